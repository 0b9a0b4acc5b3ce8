use super::heap::Near;
use super::space::{Space, inverses};
use super::walk::Ground;
use super::{Graph, GraphSettings, HIGHEST, NOBODY, Walk};
use npair_similarity::Rows;
use npair_types::Measure;
use rayon::prelude::*;

/// A batch is so small a part of what is linked already, and no larger than this.
const PART: usize = 32;
const LARGEST: usize = 4096;

/// A list that is about to change: (node, layer) and its links.
type List = (u32, u32, Vec<u32>);

impl Graph {
    /// Of rows with these ids.
    pub(crate) fn build(ids: Vec<u64>, vectors: Rows<f32>, measure: Measure, settings: GraphSettings) -> Self {
        let n = ids.len();
        let inverse = inverses(measure, (0..n).map(|i| Some(vectors.row(i))));
        let (values, width) = (vectors.as_slice(), vectors.width());
        let space = Space { vectors: values, width, measure, positions: None, inverse: inverse.as_deref() };
        // Rows of a class often follow each other: a graph that begins with all sorts finds its way better.
        let mut order: Vec<u32> = (0..n as u32).collect();
        order.sort_unstable_by_key(|&i| (mixed(u64::from(i)), i));
        let mut graph = Self::unlinked(ids, settings.links, order.first().copied());
        let mut linked = 1;
        while linked < n {
            let size = (linked / PART).clamp(1, LARGEST).min(n - linked);
            graph.link(&order[linked..linked + size], space, settings.breadth);
            linked += size;
        }
        graph
    }

    fn unlinked(ids: Vec<u64>, links: usize, entry: Option<u32>) -> Self {
        let mut starts = vec![0u32];
        for node in 0..ids.len() {
            starts.push(starts[node] + layer_of(node as u64, links) as u32);
        }
        let upper = vec![NOBODY; starts[ids.len()] as usize * links];
        let lowest = vec![NOBODY; ids.len() * 2 * links];
        Self { links, entry: entry.unwrap_or(NOBODY), starts, upper, lowest, ids }
    }

    /// Links new nodes: each with what it finds in the graph as it is, and those with it.
    fn link(&mut self, batch: &[u32], space: Space, breadth: usize) {
        let graph = &*self;
        let own: Vec<List> = batch
            .par_iter()
            .map_init(Walk::default, |walk, &node| graph.found(walk, node, space, breadth))
            .flatten_iter()
            .collect();
        let mut back: Vec<(u32, u32, u32)> =
            own.iter().flat_map(|(node, layer, links)| links.iter().map(move |&to| (to, *layer, *node))).collect();
        back.sort_unstable();
        let groups: Vec<&[(u32, u32, u32)]> = back.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).collect();
        let others: Vec<List> = groups.par_iter().map(|group| graph.joined(group, space)).collect();
        for (node, layer, links) in own.iter().chain(&others) {
            self.set(*node as usize, *layer as usize, links);
        }
        for &node in batch {
            if self.layer(node as usize) > self.layer(self.entry as usize) {
                self.entry = node;
            }
        }
    }

    /// The links of a new node on each of its layers.
    fn found(&self, walk: &mut Walk, node: u32, space: Space, breadth: usize) -> Vec<List> {
        let (asked, entry) = (space.node(node as usize), self.entry as usize);
        let highest = self.layer(node as usize).min(self.layer(entry));
        let ground = Ground { graph: self, space };
        let mut near = vec![ground.descend(asked, entry, highest)];
        let mut lists = Vec::with_capacity(highest + 1);
        for layer in (0..=highest).rev() {
            near = walk.layer(ground, asked, &near, layer, breadth);
            lists.push((node, layer as u32, chosen(&near, self.links, space)));
        }
        lists
    }

    /// A node's list with new nodes that have chosen it.
    fn joined(&self, group: &[(u32, u32, u32)], space: Space) -> List {
        let (node, layer, _) = group[0];
        let room = if layer == 0 { 2 * self.links } else { self.links };
        let mut all: Vec<u32> = self.near(node as usize, layer as usize).collect();
        all.extend(group.iter().map(|&(_, _, new)| new));
        if all.len() > room {
            let asked = space.node(node as usize);
            let near = |&to: &u32| Near { similarity: space.similarity(asked, to as usize), node: to };
            let mut near: Vec<Near> = all.iter().map(near).collect();
            near.sort_unstable_by(|a, b| b.cmp(a));
            all = chosen(&near, room, space);
        }
        (node, layer, all)
    }
}

/// Of candidates, nearest first, those that are nearer to the node than to any chosen before: links in all directions.
fn chosen(near: &[Near], most: usize, space: Space) -> Vec<u32> {
    let mut all: Vec<u32> = Vec::with_capacity(most);
    for candidate in near {
        let asked = space.node(candidate.node as usize);
        if all.iter().all(|&other| space.similarity(asked, other as usize) < candidate.similarity) {
            all.push(candidate.node);
            if all.len() == most {
                break;
            }
        }
    }
    all
}

/// The highest layer of a node: each layer has one node in `links` of the one below.
pub(super) fn layer_of(node: u64, links: usize) -> usize {
    let share = ((mixed(node ^ (1 << 63)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    ((-share.ln() / (links as f64).ln()) as usize).min(HIGHEST)
}

/// A number that looks drawn at random, the same for the same number (splitmix64, Steele et al. 2014).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
