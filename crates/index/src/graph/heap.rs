use std::cmp::Ordering;

/// A node and how near it is. Greater is nearer; of equally near ones the first node is the greatest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Near {
    pub(super) similarity: f32,
    pub(super) node: u32,
}

impl Ord for Near {
    fn cmp(&self, other: &Self) -> Ordering {
        self.similarity.total_cmp(&other.similarity).then(other.node.cmp(&self.node))
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Near {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Near {}
