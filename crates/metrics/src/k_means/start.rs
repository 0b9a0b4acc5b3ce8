use npair_similarity::{Element, Rows};
use npair_types::ChaCha8Rng;
use rand::Rng;
use rand::seq::index::sample;

/// Where k-means starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// K random points, as in Song et al.'s evaluation.
    #[default]
    RandomPoints,
    /// k-means++ (Arthur and Vassilvitskii, SODA 2007): far points are more likely. Reads all rows K times.
    PlusPlus,
}

impl Start {
    /// Which rows are the first centres.
    pub(super) fn rows<T: Element>(self, rows: Rows<T>, k: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
        match self {
            Self::RandomPoints => sample(rng, rows.len(), k).into_vec(),
            Self::PlusPlus => plus_plus(rows, k, rng),
        }
    }
}

fn plus_plus<T: Element>(rows: Rows<T>, k: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut chosen = vec![rng.random_range(0..rows.len())];
    let mut taken = vec![false; rows.len()];
    taken[chosen[0]] = true;
    let mut far = vec![f64::INFINITY; rows.len()];
    while chosen.len() < k {
        rows.lower_to_distances(rows.row(chosen[chosen.len() - 1]), &mut far);
        let total: f64 = far.iter().sum();
        let mut at = rng.random::<f64>() * total;
        let drawn = far.iter().position(|f| {
            at -= f;
            at < 0.
        });
        // All that is left coincides with a centre, or rounding used up the last sliver: the first one not chosen.
        let next = drawn.filter(|_| total > 0.).or_else(|| taken.iter().position(|taken| !taken));
        next.iter().for_each(|&next| taken[next] = true);
        chosen.extend(next);
    }
    chosen
}
