//! A graph for approximate search: hierarchical navigable small worlds (Malkov and Yashunin, TPAMI 2020).
//!
//! It has no vectors of its own: nodes are rows of the index. Rows are linked in batches, each against the graph as it was before the
//! batch, so that the graph is the same for any number of threads.

mod build;
mod file;
mod heap;
mod space;
#[cfg(test)]
mod tests;
mod walk;

use crate::row::IndexRow;
use crate::{Error, Result};
use npair_types::Measure;

pub(crate) use walk::Walk;

/// No node: the rest of a list of links, or a row that is no more.
const NOBODY: u32 = u32::MAX;
/// Layers above the lowest one.
const HIGHEST: usize = 15;

/// How a graph is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphSettings {
    /// Links of a row on every layer (M), twice as many on the lowest; from 2 to 64.
    pub links: usize,
    /// Rows that are kept in view while links are looked for (efConstruction); at least `links`.
    pub breadth: usize,
}

impl Default for GraphSettings {
    /// 16 links, 128 rows in view.
    fn default() -> Self {
        Self { links: 16, breadth: 128 }
    }
}

/// The most rows in view.
pub(crate) const WIDEST: usize = 4096;

impl GraphSettings {
    pub(crate) fn check(&self) -> Result<()> {
        if (2..=64).contains(&self.links) && (self.links..=WIDEST).contains(&self.breadth) {
            return Ok(());
        }
        let why = format!(
            "has {} links and a breadth of {}, but needs 2 to 64 and {} to {WIDEST}",
            self.links, self.breadth, self.links
        );
        Err(Error::setting("graph", why))
    }
}

/// What a graph was made of, and how well it finds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GraphReport {
    /// Rows in the graph.
    pub rows: usize,
    /// Rows of the index that were looked for again.
    pub queries: usize,
    /// Share of the ten nearest rows of such a row (itself left out) that are found, at the breadth of a search by default.
    pub recall_at_10: f64,
}

/// What a graph covers now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphState {
    /// Rows of the index that are in the graph.
    pub rows: usize,
    /// Rows that were in it when it was made and are no more.
    pub removed: usize,
    /// Rows of the index that are not in it: they are compared one by one.
    pub new: usize,
}

/// Links among nodes; node i is the row with the i-th id.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Graph {
    links: usize,
    ids: Vec<u64>,
    entry: u32,
    /// How many lists in `upper` come before those of a node; one more entry than nodes.
    starts: Vec<u32>,
    /// Lists of `links` entries: of each node one for every layer above the lowest.
    upper: Vec<u32>,
    /// Lists of twice as many, one for each node.
    lowest: Vec<u32>,
}

impl Graph {
    fn len(&self) -> usize {
        self.ids.len()
    }

    /// The highest layer of a node.
    fn layer(&self, node: usize) -> usize {
        (self.starts[node + 1] - self.starts[node]) as usize
    }

    /// Where a node's links on a layer are, and in which of the two lists of lists.
    fn place(&self, node: usize, layer: usize) -> (bool, std::ops::Range<usize>) {
        match layer {
            0 => (false, node * 2 * self.links..(node + 1) * 2 * self.links),
            _ => {
                let list = self.starts[node] as usize + layer - 1;
                (true, list * self.links..(list + 1) * self.links)
            }
        }
    }

    /// A node's links on a layer.
    fn near(&self, node: usize, layer: usize) -> impl Iterator<Item = u32> + '_ {
        let (is_upper, range) = self.place(node, layer);
        let list = if is_upper { &self.upper[range] } else { &self.lowest[range] };
        list.iter().copied().take_while(|&node| node != NOBODY)
    }

    fn set(&mut self, node: usize, layer: usize, links: &[u32]) {
        let (is_upper, range) = self.place(node, layer);
        let list = if is_upper { &mut self.upper[range] } else { &mut self.lowest[range] };
        list.fill(NOBODY);
        list.iter_mut().zip(links).for_each(|(to, from)| *to = *from);
    }
}

/// A graph and where its nodes are among the rows of the index.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) graph: Graph,
    /// Of every node; the greatest number if its row is no more.
    positions: Vec<u32>,
    /// Whether node i is row i.
    in_place: bool,
    /// 1 / length of every node's vector, where that is needed for cosines.
    inverse: Option<Vec<f32>>,
    /// Where searches begin.
    entry: Option<usize>,
    state: GraphState,
}

impl Placed {
    /// The measure decides whether lengths are needed.
    pub(crate) fn new(graph: Graph, rows: &[IndexRow], vectors: &[f32], measure: Measure) -> Self {
        let state = GraphState { rows: 0, removed: 0, new: 0 };
        let mut placed = Self { graph, positions: Vec::new(), in_place: false, inverse: None, entry: None, state };
        placed.place(rows);
        let width = vectors.len() / rows.len().max(1);
        let vector = |&at: &u32| (at != NOBODY).then(|| &vectors[at as usize * width..(at as usize + 1) * width]);
        placed.inverse = space::inverses(measure, placed.positions.iter().map(vector));
        placed
    }

    /// Rows have moved, come or gone.
    pub(crate) fn place(&mut self, rows: &[IndexRow]) {
        let mut at = 0;
        self.positions.clear();
        for &id in &self.graph.ids {
            at += rows[at..].iter().take_while(|row| row.id < id).count();
            let is_there = rows.get(at).is_some_and(|row| row.id == id);
            self.positions.push(if is_there { at as u32 } else { NOBODY });
        }
        let there = |node: &usize| self.positions[*node] != NOBODY;
        let own = Some(self.graph.entry as usize).filter(|entry| *entry < self.graph.len() && there(entry));
        let best =
            || (0..self.graph.len()).filter(there).max_by_key(|&node| (self.graph.layer(node), usize::MAX - node));
        self.entry = own.or_else(best);
        self.in_place = self.positions.iter().enumerate().all(|(node, at)| node == *at as usize);
        let left = self.positions.iter().filter(|at| **at != NOBODY).count();
        self.state = GraphState { rows: left, removed: self.graph.len() - left, new: rows.len() - left };
    }

    pub(crate) fn state(&self) -> GraphState {
        self.state
    }

    /// Positions of rows that are not in the graph.
    pub(crate) fn others(&self, rows: usize) -> Vec<usize> {
        if self.state.new == 0 {
            return Vec::new();
        }
        let mut known = vec![false; rows];
        self.positions.iter().filter(|at| **at != NOBODY).for_each(|&at| known[at as usize] = true);
        (0..rows).filter(|&at| !known[at]).collect()
    }
}
