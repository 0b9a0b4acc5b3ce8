use std::ops::{AddAssign, Range};

/// A sum over the shards of a batch by one binary tree, whoever adds which of them.
///
/// ```text
/// ((g0 + g1) + (g2 + g3)) + (g4 + g5)
/// ```
/// Two neighbours of 2^k shards are added as soon as both are there and the first begins at a multiple of 2^(k + 1); what is left in the end
/// is added from the first on. Parts of the tree that different ranks have fit together to the same tree.
#[derive(Debug, Clone, PartialEq)]
pub struct TreeSum<T> {
    /// Ascending.
    nodes: Vec<Node<T>>,
}

/// The sum of some shards that follow each other.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node<T> {
    pub(crate) first: usize,
    pub(crate) shards: usize,
    pub(crate) values: Vec<T>,
}

impl<T> Default for TreeSum<T> {
    fn default() -> Self {
        Self { nodes: Vec::new() }
    }
}

impl<T: Copy + AddAssign> TreeSum<T> {
    /// A sum of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what comes of a shard; shards come one after the other.
    ///
    /// # Panics
    /// If the shard does not follow the last one, or has another number of values.
    pub fn add(&mut self, shard: usize, values: Vec<T>) {
        self.push(Node { first: shard, shards: 1, values });
    }

    pub(crate) fn push(&mut self, node: Node<T>) {
        if let Some(last) = self.nodes.last() {
            assert_eq!(last.first + last.shards, node.first, "shards come one after the other");
            assert_eq!(last.values.len(), node.values.len(), "shards have the same number of values");
        }
        self.nodes.push(node);
        while let [.., a, b] = &mut self.nodes[..] {
            if a.shards != b.shards || !a.first.is_multiple_of(2 * a.shards) {
                break;
            }
            add(&mut a.values, &b.values);
            a.shards *= 2;
            self.nodes.pop();
        }
    }

    /// The parts of the tree that are there.
    pub(crate) fn nodes(&self) -> &[Node<T>] {
        &self.nodes
    }

    /// The whole; nothing of no shards.
    pub fn finish(self) -> Vec<T> {
        let mut nodes = self.nodes.into_iter();
        let mut sum = nodes.next().map_or_else(Vec::new, |node| node.values);
        nodes.for_each(|node| add(&mut sum, &node.values));
        sum
    }
}

fn add<T: Copy + AddAssign>(sum: &mut [T], values: &[T]) {
    sum.iter_mut().zip(values).for_each(|(sum, &value)| *sum += value);
}

/// First and number of shards of the nodes that somebody has who adds these shards.
pub(crate) fn layout(shards: Range<usize>) -> Vec<(usize, usize)> {
    let mut sum = TreeSum::<u8>::new();
    shards.for_each(|shard| sum.add(shard, Vec::new()));
    sum.nodes.iter().map(|node| (node.first, node.shards)).collect()
}
