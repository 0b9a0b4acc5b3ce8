use super::cyclic::{Examples, parse, usable, write};
use super::tempered::TemperedClasses;
use crate::class_mining::{ClassChoice, MinedClasses, SavedChoice};
use crate::{
    BatchPlan, BatchSampler, CandidateSets, Candidates, ChosenClasses, ClassMiner, Error, GreedyMiningSettings, Groups,
    Prototypes, Result, SamplerSettings,
};
use npair_types::{ChaCha8Rng, ClassIndex, Labels, Pairs, TupleKind, Tuples};
use serde::{Deserialize, Serialize};

/// N-pair batches: two examples of each of N classes, 2N pictures for N queries with N - 1 negatives each. Rows are the N
/// anchors, then their N positives.
///
/// Every class with two examples is visited once per epoch, and every example of a class once per round through the class.
///
/// # Source
/// Sohn, NIPS 2016, section 3.2 and figure 2.
///
/// # Examples
/// ```
/// # use npair_batch::{BatchSampler, NPairSampler};
/// # use npair_types::{ClassIndex, Labels, Purpose, Streams};
/// let index = ClassIndex::from_labels(&Labels::new([4, 4, 7, 7, 7, 9])?); // class 9 has no pair
/// let mut sampler = NPairSampler::new(index, 2, Streams::new(1).open(Purpose::Sampling, [0, 0]))?;
/// let batch = sampler.next_batch()?;
/// assert_eq!((batch.ids.len(), batch.labels.classes().len(), sampler.left_out()), (4, 2, 1));
/// # Ok::<(), npair_batch::Error>(())
/// ```
pub struct NPairSampler {
    index: ClassIndex,
    usable: Vec<usize>,
    n: usize,
    rng: ChaCha8Rng,
    classes: ClassChoice,
    examples: Examples,
}

/// Everything that changes from batch to batch.
#[derive(Serialize, Deserialize)]
struct State {
    rng: ChaCha8Rng,
    classes: SavedChoice,
    examples: Examples,
}

npair_types::settings! {
    /// Two examples of each of N classes.
    pub struct NPairSamplerSettings {
        /// N, the classes of a batch, at least 2.
        classes: usize = 60,
        /// Greedy negative class mining; none by default.
        mining: Option<GreedyMiningSettings> = None,
        /// Power t of a class's number of examples that its probability goes by, from 0 (every class once per epoch) to 1; without
        /// mining.
        temper: f64 = 0.0,
    }
}

impl SamplerSettings for NPairSamplerSettings {
    fn build(&self, index: ClassIndex, rng: ChaCha8Rng) -> Result<Box<dyn BatchSampler>> {
        Ok(Box::new(match &self.mining {
            Some(_) if self.temper != 0. => return Err(mined_or_tempered(self.temper)),
            None => NPairSampler::new(index, self.classes, rng)?.tempered(self.temper)?,
            Some(mining) => {
                NPairSampler::mined(index, self.classes, mining.candidate_sets(), Box::new(mining.miner()), rng)?
            }
        }))
    }
}

/// Two ways to choose the classes of a batch.
pub(super) fn mined_or_tempered(temper: f64) -> Error {
    Error::Range {
        what: "the temper of class draws",
        got: temper,
        range: "0 with class mining, which chooses the classes",
    }
}

impl NPairSampler {
    /// Batches of N = `n` random classes.
    ///
    /// # Errors
    /// [`Error::Setting`] if n < 2, [`Error::TooFewClasses`] if fewer than n classes have two examples.
    pub fn new(index: ClassIndex, n: usize, rng: ChaCha8Rng) -> Result<Self> {
        if n < 2 {
            return Err(Error::Setting { what: "N, the number of pairs in a batch,", got: n, least: 2 });
        }
        let usable = usable(&index, 2, n)?;
        let classes = ClassChoice::random(usable.len());
        Ok(Self { index, usable, n, rng, classes, examples: Examples::new() })
    }

    /// Batches of N = `n` classes that `miner` chooses from sets of candidates, such as [`GreedyMiner`](crate::GreedyMiner):
    /// classes that are hard for each other.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`Error::Setting`] for candidate sets that are too small.
    pub fn mined(
        index: ClassIndex,
        n: usize,
        sets: CandidateSets,
        miner: Box<dyn ClassMiner>,
        rng: ChaCha8Rng,
    ) -> Result<Self> {
        let mut sampler = Self::new(index, n, rng)?;
        sampler.classes = ClassChoice::Mined(MinedClasses::new(sets, miner, n, sampler.usable.len())?);
        Ok(sampler)
    }

    /// Batches of N = `n` classes of few groups: see [`Groups`]. Every group is visited once per round of the groups, so a
    /// class of a small group is seen more often than one of a large group.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn grouped(index: ClassIndex, n: usize, groups: &Groups, rng: ChaCha8Rng) -> Result<Self> {
        let mut sampler = Self::new(index, n, rng)?;
        sampler.classes = ClassChoice::grouped(groups, &sampler.usable);
        Ok(sampler)
    }

    /// The same with classes drawn by their number of examples n: the next class of a batch is each of those that are not in it with a
    /// probability that goes by n^t, t from 0 to 1 (by the number of examples). 0 leaves the sampler as it is; else it is in the
    /// place of any other choice of classes, and draws from a stream of its own.
    ///
    /// # Errors
    /// [`Error::Range`] for another t.
    ///
    /// # Source
    /// Mahajan et al., ECCV 2018 (t = 1/2); Kang et al., ICLR 2020, equation 1.
    pub fn tempered(mut self, t: f64) -> Result<Self> {
        let tempered = TemperedClasses::new(&self.index, &self.usable, t, &self.rng)?;
        if t > 0. {
            self.classes = ClassChoice::Tempered(tempered);
        }
        Ok(self)
    }

    /// The classes of the last batch as a class miner chose them, by their indices among the candidates.
    pub fn last_choice(&self) -> Option<&ChosenClasses> {
        match &self.classes {
            ClassChoice::Mined(mined) => mined.last(),
            _ => None,
        }
    }
}

impl BatchSampler for NPairSampler {
    fn name(&self) -> &str {
        "N-pair sampler"
    }

    fn kind(&self) -> TupleKind {
        TupleKind::Pairs
    }

    fn next_batch(&mut self) -> Result<BatchPlan> {
        let Self { index, usable, n, rng, classes, examples } = self;
        let chosen = classes.draw(*n, rng)?;
        let (mut ids, mut labels) = (vec![npair_types::ExampleId(0); 2 * *n], Vec::with_capacity(2 * *n));
        for (i, &c) in chosen.iter().enumerate() {
            let pair = examples.draw(index, usable[c], 2, rng);
            (ids[i], ids[*n + i]) = (pair[0], pair[1]);
            labels.push(index.classes()[usable[c]]);
        }
        labels.extend_from_within(..);
        let labels = Labels::from_ids(labels)?;
        let pairs = Pairs::new((0..*n).collect(), (*n..2 * *n).collect(), &labels)?;
        Ok(BatchPlan { ids, labels, tuples: Tuples::Pairs(pairs) })
    }

    fn batch_size(&self) -> usize {
        2 * self.n
    }

    fn batches_per_epoch(&self) -> usize {
        self.classes.batches_per_epoch(self.usable.len(), self.n)
    }

    fn left_out(&self) -> usize {
        self.index.len() - self.usable.len()
    }

    fn wants_prototypes(&self) -> bool {
        self.classes.wants_prototypes()
    }

    fn candidates(&mut self) -> Option<Candidates> {
        let Self { index, usable, rng, classes, examples, .. } = self;
        classes.candidates(index, usable, examples, rng)
    }

    fn supply(&mut self, prototypes: Prototypes) -> Result<()> {
        self.classes.supply(prototypes)
    }

    fn save(&self) -> Result<serde_json::Value> {
        let (rng, examples) = (self.rng.clone(), self.examples.clone());
        write(&State { rng, classes: self.classes.save()?, examples })
    }

    fn restore(&mut self, state: &serde_json::Value) -> Result<()> {
        let State { rng, classes, examples } = parse(state)?;
        examples.check(&self.index)?;
        self.classes.restore(classes, self.usable.len())?;
        (self.rng, self.examples) = (rng, examples);
        Ok(())
    }
}
