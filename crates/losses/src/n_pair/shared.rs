use crate::rows::dots;
use crate::{Error, NPairMc, Result};
use candle_core::{DType, Device, Tensor};
use npair_collective::{Collective, Shards, Tag, TreeSum, broadcast_values, sum_over_ranks, sum_to_rank};
use npair_similarity::{Mask, Similarity};
use npair_types::{Labels, Measure};
use std::ops::Range;

/// N pairs that several ranks hold parts of, each its shards'.
#[derive(Debug, Clone, Copy)]
pub struct SharedPairs<'a> {
    ranks: &'a dyn Collective,
    shards: Shards,
    pairs: usize,
}

/// The loss of all pairs, and its gradient by this rank's.
#[derive(Debug, Clone)]
pub struct SharedLoss {
    /// The mean over all pairs, the same on every rank.
    pub value: f64,
    /// By this rank's anchors, of their shape.
    pub anchors: Tensor,
    /// By this rank's positives.
    pub positives: Tensor,
}

impl<'a> SharedPairs<'a> {
    /// Positives that all ranks look at together.
    pub const BLOCK: usize = 2048;

    /// Anchors of a shard that are held against them at a time: their gradient is added up in the place where it stays.
    const ANCHORS: usize = 4096;

    /// So many pairs in shards.
    ///
    /// # Errors
    /// [`Error::Ranks`] for more ranks than shards, [`Error::TooFew`] for less than two pairs or fewer than shards.
    pub fn new(ranks: &'a dyn Collective, shards: Shards, pairs: usize) -> Result<Self> {
        shards.check(ranks.ranks())?;
        if pairs < shards.count().max(2) {
            return Err(Error::too_few("shared N-pair-mc", "pairs", shards.count().max(2), pairs));
        }
        Ok(Self { ranks, shards, pairs })
    }

    /// The pairs that this rank has.
    pub fn own(&self) -> Range<usize> {
        self.shards.rows_of_rank(self.ranks.rank(), self.ranks.ranks(), self.pairs)
    }

    /// This rank's shards: the pairs of each, and where they are among its own.
    fn own_shards(&self) -> impl Iterator<Item = (usize, Range<usize>)> + '_ {
        let first = self.own().start;
        self.shards.of_rank(self.ranks.rank(), self.ranks.ranks()).map(move |shard| {
            let rows = self.shards.rows(shard, self.pairs);
            (shard, rows.start - first..rows.end - first)
        })
    }

    /// A shard's pairs in parts, by their places among this rank's own.
    fn parts(shard: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        shard.clone().step_by(Self::ANCHORS).map(move |start| start..(start + Self::ANCHORS).min(shard.end))
    }

    /// Pairs whose positives are looked at together: who has them, and which they are.
    fn blocks(&self) -> Vec<(usize, Range<usize>)> {
        let ranks = self.ranks.ranks();
        let owner = |shard| (0..ranks).find(|&rank| self.shards.of_rank(rank, ranks).contains(&shard)).unwrap_or(0);
        let cut = |shard| {
            let rows: Range<usize> = self.shards.rows(shard, self.pairs);
            let starts = rows.clone().step_by(Self::BLOCK);
            starts.map(move |start| (owner(shard), start..(start + Self::BLOCK).min(rows.end)))
        };
        (0..self.shards.count()).flat_map(cut).collect()
    }

    /// The positives of a block, on every rank.
    fn fetch(&self, (owner, block): &(usize, Range<usize>), positives: &Tensor) -> Result<Tensor> {
        let own = match *owner == self.ranks.rank() {
            true => values(&positives.narrow(0, block.start - self.own().start, block.len())?)?,
            false => Vec::new(),
        };
        let tag = Tag { what: "positives from", number: block.start as u64 };
        let rows = broadcast_values::<f32>(self.ranks, tag, *owner, &own)?;
        let width = positives.dim(1)?;
        let got = rows.len();
        if got != block.len() * width {
            let want = format!("{} rows of width {width}", block.len());
            return Err(Error::Shape { what: "a block of positives", got: vec![got], want });
        }
        Ok(Tensor::from_vec(rows, (block.len(), width), positives.device())?)
    }
}

/// A loss of N pairs that ranks can share, so that none works out all of its rows.
pub trait PairLossOnRanks: Send + Sync {
    /// The loss of pairs that ranks hold parts of, and its gradient: that of all pairs on one process up to the order of sums. All ranks call it
    /// together, and neither value nor gradient depends on their number, to the bit.
    ///
    /// # Shapes
    /// `anchors` and `positives`: this rank's, [`own`](SharedPairs::own) of the N pairs, (N / ranks, D).
    ///
    /// # Errors
    /// Those of the ranks; [`Error::Shape`] for other rows.
    fn forward_shared(&self, pairs: &SharedPairs<'_>, anchors: &Tensor, positives: &Tensor) -> Result<SharedLoss>;
}

/// Every rank works out the rows of its own anchors, while the positives of all pass by in blocks, twice; what they teach others' positives is added by
/// a tree over the shards.
///
/// # Cost
/// 8 N^2 D / ranks operations on each, in O(N D / ranks) memory; one process alone has 6 N^2 D in O(N D). Every rank sends and receives about
/// 3 N D values.
impl PairLossOnRanks for NPairMc {
    fn forward_shared(&self, pairs: &SharedPairs<'_>, anchors: &Tensor, positives: &Tensor) -> Result<SharedLoss> {
        for (what, side) in [("anchors", anchors), ("positives", positives)] {
            if side.dims().first() != Some(&pairs.own().len()) || side.dims() != anchors.dims() || side.rank() != 2 {
                let want = format!("({}, D) as this rank's share of {} pairs", pairs.own().len(), pairs.pairs);
                return Err(Error::Shape { what, got: side.dims().to_vec(), want });
            }
        }
        let (anchors, positives) = (anchors.detach().contiguous()?, positives.detach().contiguous()?);
        let blocks = pairs.blocks();
        let rows = Rows::new(pairs, &anchors, &positives, &blocks)?;
        let value = rows.value(pairs)?;
        let (by_anchors, by_positives) = rows.gradients(pairs, &anchors, &positives, &blocks)?;
        Ok(SharedLoss { value, anchors: by_anchors, positives: by_positives })
    }
}

/// What is known of this rank's anchors.
struct Rows {
    /// Similarity to their own positives.
    own: Vec<f64>,
    /// Block by block, the log of the sum over the block's negatives.
    blocks: Vec<Vec<f64>>,
    /// Their terms of the loss.
    terms: Vec<f64>,
}

impl Rows {
    fn new(
        pairs: &SharedPairs<'_>,
        anchors: &Tensor,
        positives: &Tensor,
        blocks: &[(usize, Range<usize>)],
    ) -> Result<Self> {
        let own: Vec<f64> = values(&dots(anchors, positives)?)?.into_iter().map(f64::from).collect();
        let mut sums = Vec::with_capacity(blocks.len());
        for block in blocks {
            let gallery = pairs.fetch(block, positives)?;
            let mut found = Vec::with_capacity(own.len());
            for rows in pairs.own_shards().flat_map(|(_, rows)| SharedPairs::parts(rows)) {
                let queries = anchors.narrow(0, rows.start, rows.len())?;
                let mask = mask(pairs, &rows, &block.1)?;
                let sums = Similarity::new(&queries, &gallery, Measure::Dot)?.log_sum_exp(&mask)?;
                found.extend(values(&sums)?.into_iter().map(f64::from));
            }
            sums.push(found);
        }
        let term = |(i, &own): (usize, &f64)| log1p_sum_exp(sums.iter().map(|block: &Vec<f64>| block[i] - own));
        let terms = own.iter().enumerate().map(term).collect();
        Ok(Self { own, blocks: sums, terms })
    }

    /// The mean over all ranks' pairs.
    fn value(&self, pairs: &SharedPairs<'_>) -> Result<f64> {
        let mut sum = TreeSum::new();
        for (shard, rows) in pairs.own_shards() {
            sum.add(shard, vec![self.terms[rows].iter().sum::<f64>()]);
        }
        let sum = sum_over_ranks(pairs.ranks, pairs.shards, sum)?;
        Ok(sum.iter().sum::<f64>() / pairs.pairs as f64)
    }

    fn gradients(
        &self,
        pairs: &SharedPairs<'_>,
        anchors: &Tensor,
        positives: &Tensor,
        blocks: &[(usize, Range<usize>)],
    ) -> Result<(Tensor, Tensor)> {
        let (share, width) = (1. / pairs.pairs as f64, anchors.dim(1)?);
        // By the similarity to their own positives: minus all of what the negatives' weights are together.
        let by_own: Vec<f32> = self.terms.iter().map(|term| ((-term).exp_m1() * share) as f32).collect();
        let by_own = Tensor::from_vec(by_own, (self.own.len(), 1), anchors.device())?;
        let mut by_anchors = values(&positives.broadcast_mul(&by_own)?)?;
        let mut by_positives = values(&anchors.broadcast_mul(&by_own)?)?;
        let first = pairs.own().start;
        for (block, sums) in blocks.iter().zip(&self.blocks) {
            let gallery = pairs.fetch(block, positives)?;
            let mut by_gallery = TreeSum::new();
            for (shard, rows) in pairs.own_shards() {
                let mut by_block = vec![0.; block.1.len() * width];
                for rows in SharedPairs::parts(rows) {
                    let upstream = self.upstream(sums, &rows, share, anchors.device())?;
                    let queries = anchors.narrow(0, rows.start, rows.len())?;
                    let mask = mask(pairs, &rows, &block.1)?;
                    let similarity = Similarity::new(&queries, &gallery, Measure::Dot)?;
                    let (by_queries, taught) = similarity.log_sum_exp_gradients(&mask, &upstream)?;
                    add(&mut by_anchors[rows.start * width..rows.end * width], &values(&by_queries)?);
                    add(&mut by_block, &values(&taught)?);
                }
                by_gallery.add(shard, by_block);
            }
            let sum = sum_to_rank(pairs.ranks, pairs.shards, block.0, by_gallery)?;
            if let Some(sum) = sum {
                let start = (block.1.start - first) * width;
                add(&mut by_positives[start..start + sum.len()], &sum);
            }
        }
        let tensor = |values| Tensor::from_vec(values, anchors.dims(), &Device::Cpu)?.to_device(anchors.device());
        Ok((tensor(by_anchors)?, tensor(by_positives)?))
    }
}

impl Rows {
    /// What the log-sum-exps of some anchors over a block count in the loss.
    fn upstream(&self, block: &[f64], rows: &Range<usize>, share: f64, device: &Device) -> Result<Tensor> {
        let weight = |i: usize| ((block[i] - self.own[i] - self.terms[i]).exp() * share) as f32;
        let weights: Vec<f32> = rows.clone().map(weight).collect();
        Ok(Tensor::from_vec(weights, rows.len(), device)?)
    }
}

/// A block's entries for some of this rank's anchors: all but each one's own positive.
fn mask(pairs: &SharedPairs<'_>, rows: &Range<usize>, block: &Range<usize>) -> Result<Mask> {
    let first = pairs.own().start;
    if block.end <= first + rows.start || first + rows.end <= block.start {
        return Ok(Mask::All);
    }
    let labels = |pairs: Range<usize>| Labels::new(pairs.map(|pair| pair as u32));
    Ok(Mask::other_class(&labels(first + rows.start..first + rows.end)?, &labels(block.clone())?))
}

fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

fn add(sum: &mut [f32], values: &[f32]) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

/// `log(1 + sum exp x)`, which keeps the digits of a small sum.
fn log1p_sum_exp(x: impl Iterator<Item = f64> + Clone) -> f64 {
    let most = x.clone().fold(0f64, f64::max);
    if most == 0. {
        return x.map(f64::exp).sum::<f64>().ln_1p();
    }
    most + ((-most).exp() + x.map(|x| (x - most).exp()).sum::<f64>()).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PairLoss;
    use candle_core::Var;
    use npair_collective::{Alone, Threads};
    use npair_types::{Purpose, Streams};
    use rand::Rng;

    fn rows(seed: u64, n: usize, width: usize) -> Tensor {
        let mut rng = Streams::new(seed).open(Purpose::Synthesis, [0, 0]);
        let values: Vec<f32> = (0..n * width).map(|_| rng.random_range(-1f32..1.)).collect();
        Tensor::from_vec(values, (n, width), &Device::Cpu).unwrap()
    }

    /// Value, and gradients by all anchors and positives.
    fn on(ranks: usize, shards: usize, (anchors, positives): (&Tensor, &Tensor)) -> (f64, Vec<u32>, Vec<u32>) {
        let n = anchors.dim(0).unwrap();
        let found = Threads::run(ranks, |rank| {
            let pairs = SharedPairs::new(rank, Shards::new(shards).unwrap(), n).unwrap();
            let own = |t: &Tensor| t.narrow(0, pairs.own().start, pairs.own().len()).unwrap();
            NPairMc.forward_shared(&pairs, &own(anchors), &own(positives)).unwrap()
        });
        let bits = |t: &dyn Fn(&SharedLoss) -> Tensor| {
            found.iter().flat_map(|f| values(&t(f)).unwrap()).map(f32::to_bits).collect::<Vec<_>>()
        };
        assert!(found.iter().all(|f| f.value.to_bits() == found[0].value.to_bits()));
        (found[0].value, bits(&|f| f.anchors.clone()), bits(&|f| f.positives.clone()))
    }

    #[test]
    fn ranks_share_the_loss_of_one_process_to_the_same_bits() {
        // More than one block a shard, and shards that are not of one size.
        for (n, width, scale) in [(2, 3, 1.), (23, 5, 1.), (23, 5, 30.), (4500, 8, 2.)] {
            let (anchors, positives) = (rows(1, n, width), (rows(2, n, width) * scale).unwrap());
            let vars = [&anchors, &positives].map(|t| Var::from_tensor(t).unwrap());
            let want = NPairMc.forward_pairs(vars[0].as_tensor(), vars[1].as_tensor()).unwrap();
            let grads = want.value.backward().unwrap();
            let shards = n.min(2);
            let (value, by_anchors, by_positives) = on(1, shards, (&anchors, &positives));
            assert!((value - want.to_f64().unwrap()).abs() < 1e-5 * value.abs().max(1.), "{n}: {value}");
            for (found, var) in [(&by_anchors, &vars[0]), (&by_positives, &vars[1])] {
                let want = values(grads.get(var).unwrap()).unwrap();
                let most = want.iter().fold(0f32, |m, v| m.max(v.abs()));
                // Sums of up to 4,500 terms of f32 in another order: the root of their number times half an ulp, 4e-6, is usual.
                let off = found.iter().zip(&want).fold(0f32, |m, (f, w)| m.max((f32::from_bits(*f) - w).abs()));
                assert!(off <= 1e-5 * most, "{n}: off by {off} of {most}");
            }
            for (ranks, shards) in
                [(1, shards), (2, shards), (1, 5.min(n)), (2, 5.min(n)), (3.min(n), 5.min(n)), (5.min(n), 5.min(n))]
            {
                let same = on(1, shards, (&anchors, &positives));
                assert!(on(ranks, shards, (&anchors, &positives)) == same, "{n} pairs on {ranks} ranks");
            }
        }
    }

    #[test]
    fn what_is_not_this_ranks_share_is_said() {
        let pairs = SharedPairs::new(&Alone, Shards::new(2).unwrap(), 4).unwrap();
        let said = NPairMc.forward_shared(&pairs, &rows(1, 3, 2), &rows(1, 3, 2)).unwrap_err().to_string();
        assert!(said.contains("(4, D)"), "{said}");
        assert!(SharedPairs::new(&Alone, Shards::new(5).unwrap(), 4).is_err());
    }
}
