use crate::{Error, Result};
use candle_core::Tensor;
use npair_collective::{Collective, Shards, Tag};
use npair_losses::{PairLossOnRanks, SharedLoss, SharedPairs};
use npair_types::Pairs;
use std::ops::Range;

/// Who has which rows of a batch, and who works on which of its pairs.
pub(super) struct PairRows<'a> {
    ranks: &'a dyn Collective,
    shards: Shards,
    pairs: &'a Pairs,
    batch: usize,
    width: usize,
}

impl<'a> PairRows<'a> {
    pub(super) fn new(
        ranks: &'a dyn Collective,
        shards: Shards,
        pairs: &'a Pairs,
        (batch, width): (usize, usize),
    ) -> Self {
        Self { ranks, shards, pairs, batch, width }
    }

    /// The loss, and its gradient by this rank's rows of the batch, whose embeddings these are: (rows, D).
    pub(super) fn learn(&self, loss: &dyn PairLossOnRanks, own: &Tensor) -> Result<(f64, Tensor)> {
        let values = own.to_dtype(candle_core::DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let shared = SharedPairs::new(self.ranks, self.shards, self.pairs.len())?;
        let pairs = shared.own().len();
        let sides = Tensor::from_vec(self.to_pairs(&values)?, (2 * pairs, self.width), own.device())?;
        let SharedLoss { value, anchors, positives } =
            loss.forward_shared(&shared, &sides.narrow(0, 0, pairs)?, &sides.narrow(0, pairs, pairs)?)?;
        let taught = Tensor::cat(&[&anchors, &positives], 0)?.flatten_all()?.to_vec1::<f32>()?;
        Ok((value, Tensor::from_vec(self.to_rows(&taught)?, own.shape(), own.device())?))
    }

    /// Rows of the batch that a rank has.
    fn held(&self, rank: usize) -> Range<usize> {
        self.shards.rows_of_rank(rank, self.ranks.ranks(), self.batch)
    }

    /// Rows of the pairs that a rank works on: anchors, then positives.
    fn wanted(&self, rank: usize) -> impl Iterator<Item = usize> + '_ {
        let pairs = self.shards.rows_of_rank(rank, self.ranks.ranks(), self.pairs.len());
        self.pairs.anchors()[pairs.clone()].iter().chain(&self.pairs.positives()[pairs]).copied()
    }

    /// What this rank's pairs are, of the rows that all have.
    fn to_pairs(&self, own: &[f32]) -> Result<Vec<f32>> {
        let held = self.held(self.ranks.rank());
        let row = |row: usize| bytemuck::cast_slice(&own[(row - held.start) * self.width..][..self.width]);
        let part = |rank| {
            let mine = self.wanted(rank).filter(|row| held.contains(row));
            mine.flat_map(|at| row(at).iter().copied()).collect::<Vec<u8>>()
        };
        let given = self.exchange("rows of pairs", (0..self.ranks.ranks()).map(part).collect())?;
        let mut wanted = vec![0.; self.wanted(self.ranks.rank()).count() * self.width];
        for (rank, values) in given.iter().enumerate() {
            let held = self.held(rank);
            let places = self.wanted(self.ranks.rank()).enumerate().filter(|(_, row)| held.contains(row));
            for ((place, _), values) in places.zip(values.chunks_exact(self.width)) {
                wanted[place * self.width..][..self.width].copy_from_slice(values);
            }
        }
        Ok(wanted)
    }

    /// What this rank's rows are taught, by those who work on their pairs; zeros where there is no pair.
    fn to_rows(&self, taught: &[f32]) -> Result<Vec<f32>> {
        let own = self.ranks.rank();
        let part = |rank| {
            let held = self.held(rank);
            let theirs = self.wanted(own).enumerate().filter(|(_, row)| held.contains(row));
            let row = |place: usize| bytemuck::cast_slice(&taught[place * self.width..][..self.width]);
            theirs.flat_map(|(place, _)| row(place).iter().copied()).collect::<Vec<u8>>()
        };
        let given = self.exchange("gradients of pairs", (0..self.ranks.ranks()).map(part).collect())?;
        let held = self.held(own);
        let mut rows = vec![0.; held.len() * self.width];
        for (rank, values) in given.iter().enumerate() {
            let mine = self.wanted(rank).filter(|row| held.contains(row));
            for (row, values) in mine.zip(values.chunks_exact(self.width)) {
                rows[(row - held.start) * self.width..][..self.width].copy_from_slice(values);
            }
        }
        Ok(rows)
    }

    fn exchange(&self, what: &'static str, parts: Vec<Vec<u8>>) -> Result<Vec<Vec<f32>>> {
        let given = self.ranks.all_to_all(Tag { what, number: self.batch as u64 }, parts).map_err(Error::from)?;
        Ok(given.iter().map(|bytes| bytemuck::pod_collect_to_vec(bytes)).collect())
    }
}
