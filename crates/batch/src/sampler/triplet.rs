use super::n_pair::mined_or_tempered;
use crate::{
    BatchPlan, BatchSampler, CandidateSets, Candidates, ClassMiner, GreedyMiningSettings, NPairSampler, Prototypes,
    Result, SamplerSettings,
};
use npair_types::{ChaCha8Rng, ClassIndex, Triplets, TupleKind, Tuples};

/// Triplet batches as the paper's baseline forms them: the examples of an N-pair batch, in which the pairs of classes 2k and
/// 2k + 1 make two triplets, each with the other's anchor as its negative. 2N examples make N triplets, the cost of N pairs.
///
/// # Source
/// Sohn, NIPS 2016, section 4 and footnote 4 (mining is of classes here too, never of instances).
pub struct TripletSampler(NPairSampler);

npair_types::settings! {
    /// The examples of an N-pair batch, read as the paper's N triplets.
    pub struct TripletSamplerSettings {
        /// N, the classes of a batch, at least 2.
        classes: usize = 60,
        /// Greedy negative class mining; none by default.
        mining: Option<GreedyMiningSettings> = None,
        /// Power t of a class's number of examples that its probability goes by, from 0 (every class once per epoch) to 1; without
        /// mining.
        temper: f64 = 0.0,
    }
}

impl SamplerSettings for TripletSamplerSettings {
    fn build(&self, index: ClassIndex, rng: ChaCha8Rng) -> Result<Box<dyn BatchSampler>> {
        Ok(Box::new(match &self.mining {
            Some(_) if self.temper != 0. => return Err(mined_or_tempered(self.temper)),
            None => TripletSampler::new(index, self.classes, rng)?.tempered(self.temper)?,
            Some(mining) => {
                TripletSampler::mined(index, self.classes, mining.candidate_sets(), Box::new(mining.miner()), rng)?
            }
        }))
    }
}

impl TripletSampler {
    /// Batches of `n` random classes.
    ///
    /// # Errors
    /// As [`NPairSampler::new`].
    pub fn new(index: ClassIndex, n: usize, rng: ChaCha8Rng) -> Result<Self> {
        NPairSampler::new(index, n, rng).map(Self)
    }

    /// Batches of `n` classes that `miner` chooses.
    ///
    /// # Errors
    /// As [`NPairSampler::mined`].
    pub fn mined(
        index: ClassIndex,
        n: usize,
        sets: CandidateSets,
        miner: Box<dyn ClassMiner>,
        rng: ChaCha8Rng,
    ) -> Result<Self> {
        NPairSampler::mined(index, n, sets, miner, rng).map(Self)
    }

    /// The same with classes drawn by their number of examples.
    ///
    /// # Errors
    /// As [`NPairSampler::tempered`].
    pub fn tempered(self, t: f64) -> Result<Self> {
        self.0.tempered(t).map(Self)
    }
}

impl BatchSampler for TripletSampler {
    fn name(&self) -> &str {
        "triplet sampler"
    }

    fn kind(&self) -> TupleKind {
        TupleKind::Triplets
    }

    fn next_batch(&mut self) -> Result<BatchPlan> {
        let mut plan = self.0.next_batch()?;
        if let Tuples::Pairs(pairs) = &plan.tuples {
            plan.tuples = Tuples::Triplets(Triplets::from_pairs(pairs)?);
        }
        Ok(plan)
    }

    fn batch_size(&self) -> usize {
        self.0.batch_size()
    }

    fn batches_per_epoch(&self) -> usize {
        self.0.batches_per_epoch()
    }

    fn left_out(&self) -> usize {
        self.0.left_out()
    }

    fn wants_prototypes(&self) -> bool {
        self.0.wants_prototypes()
    }

    fn candidates(&mut self) -> Option<Candidates> {
        self.0.candidates()
    }

    fn supply(&mut self, prototypes: Prototypes) -> Result<()> {
        self.0.supply(prototypes)
    }

    fn save(&self) -> Result<serde_json::Value> {
        self.0.save()
    }

    fn restore(&mut self, state: &serde_json::Value) -> Result<()> {
        self.0.restore(state)
    }
}
