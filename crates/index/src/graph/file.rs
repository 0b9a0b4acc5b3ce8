//! A graph as words of 32 bits, and back without trust.

use super::{Graph, HIGHEST, NOBODY};

impl Graph {
    /// Parts that make its words: sizes, ids, starts, links.
    pub(crate) fn words(&self) -> [Vec<u32>; 2] {
        let mut head = vec![self.links as u32, self.len() as u32, self.entry, self.upper.len() as u32];
        head.extend(self.ids.iter().flat_map(|id| [*id as u32, (*id >> 32) as u32]));
        head.extend(&self.starts);
        head.extend(&self.upper);
        [head, self.lowest.clone()]
    }

    /// The graph of these words; what is wrong with them, if anything is.
    pub(crate) fn of_words(words: &[u32]) -> Result<Self, String> {
        let wrong = |what: &str| Err(format!("is no graph: {what}"));
        let [links, n, entry, upper, ..] = *words else { return wrong("it ends too early") };
        let (links, n, upper) = (links as usize, n as usize, upper as usize);
        let want = 4 + 2 * n as u128 + (n as u128 + 1) + upper as u128 + n as u128 * 2 * links as u128;
        if !(2..=64).contains(&links) || n == 0 || entry as usize >= n || want != words.len() as u128 {
            return wrong("its sizes do not fit");
        }
        let (ids, rest) = words[4..].split_at(2 * n);
        let (starts, rest) = rest.split_at(n + 1);
        let (upper, lowest) = rest.split_at(upper);
        let ids: Vec<u64> = ids.chunks_exact(2).map(|w| u64::from(w[0]) | u64::from(w[1]) << 32).collect();
        let graph = Self { links, ids, entry, starts: starts.to_vec(), upper: upper.to_vec(), lowest: lowest.to_vec() };
        graph.check().map_or_else(wrong, |()| Ok(graph))
    }

    /// Nothing for a sound graph, in the place of what is wrong.
    fn check(&self) -> Result<(), &'static str> {
        if !self.ids.is_sorted_by(|a, b| a < b) {
            return Err("its ids do not ascend");
        }
        let steps = self.starts.windows(2).all(|w| w[0] <= w[1] && (w[1] - w[0]) as usize <= HIGHEST);
        let lists = self.starts[self.len()] as usize;
        if self.starts[0] != 0 || !steps || lists * self.links != self.upper.len() {
            return Err("its layers do not fit");
        }
        for node in 0..self.len() {
            for layer in 0..=self.layer(node) {
                // Whoever is linked on a layer has to be on it.
                let fits = |to: u32| to == NOBODY || ((to as usize) < self.len() && self.layer(to as usize) >= layer);
                let (is_upper, range) = self.place(node, layer);
                let list = if is_upper { &self.upper[range] } else { &self.lowest[range] };
                if !list.iter().all(|&to| fits(to)) {
                    return Err("a link leads nowhere");
                }
            }
        }
        Ok(())
    }
}
