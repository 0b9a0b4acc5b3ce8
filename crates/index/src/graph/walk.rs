use super::heap::Near;
use super::space::{Asked, Space};
use super::{Graph, NOBODY, Placed};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A graph and the vectors of its nodes.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) graph: &'a Graph,
    pub(super) space: Space<'a>,
}

/// The way through a graph, with the room that it takes.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// A bit for every node that was looked at.
    seen: Vec<u64>,
    touched: Vec<u32>,
    /// To be looked at, the nearest first.
    ahead: BinaryHeap<Near>,
    /// The best so far, the farthest first.
    best: BinaryHeap<Reverse<Near>>,
}

impl Walk {
    /// Positions of the rows that a search finds, nearest first, at most `breadth`.
    pub(crate) fn search(&mut self, placed: &Placed, vectors: Space, query: &[f32], breadth: usize) -> Vec<usize> {
        let Some(entry) = placed.entry else { return Vec::new() };
        let (ground, asked) = (Ground { graph: &placed.graph, space: vectors }, vectors.asked(query));
        let start = ground.descend(asked, entry, 0);
        let found = self.layer(ground, asked, &[start], 0, breadth);
        found.iter().map(|near| placed.positions[near.node as usize] as usize).collect()
    }

    /// The best nodes of a layer that are found from some, nearest first, at most `breadth`.
    pub(super) fn layer(
        &mut self,
        ground: Ground,
        asked: Asked,
        starts: &[Near],
        layer: usize,
        breadth: usize,
    ) -> Vec<Near> {
        let Ground { graph, space } = ground;
        self.seen.resize(graph.len().div_ceil(64), 0);
        for &near in starts {
            if self.is_new(near.node) {
                self.ahead.push(near);
                self.best.push(Reverse(near));
            }
        }
        while let Some(next) = self.ahead.pop() {
            let bar = self.best.peek().map_or(f32::NEG_INFINITY, |worst| worst.0.similarity);
            if self.best.len() >= breadth && next.similarity < bar {
                break;
            }
            for node in graph.near(next.node as usize, layer) {
                if !self.is_new(node) || !space.is_there(node) {
                    continue;
                }
                let near = Near { similarity: space.similarity(asked, node as usize), node };
                if self.best.len() < breadth || self.best.peek().is_some_and(|worst| near > worst.0) {
                    self.ahead.push(near);
                    self.best.push(Reverse(near));
                    if self.best.len() > breadth {
                        self.best.pop();
                    }
                }
            }
        }
        self.finish()
    }

    /// Whether a node was not seen before; now it was.
    fn is_new(&mut self, node: u32) -> bool {
        let (word, bit) = (node as usize / 64, 1 << (node % 64));
        let is_new = self.seen[word] & bit == 0;
        if is_new {
            self.seen[word] |= bit;
            self.touched.push(node);
        }
        is_new
    }

    /// What was found, nearest first; the room is empty again.
    fn finish(&mut self) -> Vec<Near> {
        self.touched.drain(..).for_each(|node| self.seen[node as usize / 64] = 0);
        self.ahead.clear();
        let mut found: Vec<Near> = self.best.drain().map(|near| near.0).collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found
    }
}

impl Ground<'_> {
    /// The nearest node that steps to nearer ones lead to, on all layers above this one.
    pub(super) fn descend(&self, asked: Asked, entry: usize, to: usize) -> Near {
        let Self { graph, space } = *self;
        let mut best = Near { similarity: space.similarity(asked, entry), node: entry as u32 };
        for layer in (to + 1..=graph.layer(entry)).rev() {
            loop {
                let before = best;
                for node in graph.near(before.node as usize, layer).filter(|&n| space.is_there(n)) {
                    best = best.max(Near { similarity: space.similarity(asked, node as usize), node });
                }
                if best == before {
                    break;
                }
            }
        }
        best
    }
}

impl Space<'_> {
    /// Whether a node's row is still one.
    fn is_there(&self, node: u32) -> bool {
        self.positions.is_none_or(|positions| positions[node as usize] != NOBODY)
    }
}

impl Placed {
    /// The vectors of its nodes.
    pub(crate) fn space<'a>(&'a self, vectors: &'a [f32], width: usize, measure: npair_types::Measure) -> Space<'a> {
        let positions = (!self.in_place).then_some(&*self.positions);
        Space { vectors, width, measure, positions, inverse: self.inverse.as_deref() }
    }
}
