use crate::sampler::cyclic::{Cyclic, Examples, parse, usable, write};
use crate::sampler::tempered::TemperedClasses;
use crate::{BatchPlan, BatchSampler, Error, Result, SamplerSettings};
use npair_types::{ChaCha8Rng, ClassIndex, Labels, TupleKind, Tuples};
use serde::{Deserialize, Serialize};

/// Balanced batches: M examples of each of C classes, class after class. Classes with fewer than M examples are left out.
///
/// # Source
/// Sohn, NIPS 2016, table 4 (C x M at a fixed number of examples).
///
/// # Examples
/// ```
/// # use npair_batch::{BalancedSampler, BatchSampler};
/// # use npair_types::{ClassIndex, Labels, Purpose, Streams};
/// let index = ClassIndex::from_labels(&Labels::new([1, 1, 1, 2, 2, 2, 3, 3])?);
/// let mut sampler = BalancedSampler::new(index, 2, 3, Streams::new(1).open(Purpose::Sampling, [0, 0]))?;
/// assert_eq!((sampler.next_batch()?.ids.len(), sampler.left_out()), (6, 1));
/// # Ok::<(), npair_batch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct BalancedSampler {
    index: ClassIndex,
    usable: Vec<usize>,
    classes: usize,
    per_class: usize,
    state: State,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    rng: ChaCha8Rng,
    classes: Cyclic,
    /// What draws the classes in the place of the cycle, if anything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tempered: Option<TemperedClasses>,
    examples: Examples,
}

npair_types::settings! {
    /// M examples of each of C classes.
    pub struct BalancedSamplerSettings {
        /// C, the classes of a batch, at least 1.
        classes: usize = 60,
        /// M, the examples per class, at least 1.
        per_class: usize = 2,
        /// Power t of a class's number of examples that its probability goes by, from 0 (every class once per epoch) to 1.
        temper: f64 = 0.0,
    }
}

impl SamplerSettings for BalancedSamplerSettings {
    fn build(&self, index: ClassIndex, rng: ChaCha8Rng) -> Result<Box<dyn BatchSampler>> {
        Ok(Box::new(BalancedSampler::new(index, self.classes, self.per_class, rng)?.tempered(self.temper)?))
    }
}

impl BalancedSampler {
    /// Batches of C = `classes` and M = `per_class`.
    ///
    /// # Errors
    /// [`Error::Setting`] if either is 0, [`Error::TooFewClasses`] if fewer than C classes have M examples.
    pub fn new(index: ClassIndex, classes: usize, per_class: usize, rng: ChaCha8Rng) -> Result<Self> {
        for (what, got) in [("C, the classes of a batch,", classes), ("M, the examples per class,", per_class)] {
            if got == 0 {
                return Err(Error::Setting { what, got, least: 1 });
            }
        }
        let usable = usable(&index, per_class, classes)?;
        let state = State { rng, classes: Cyclic::new(usable.len()), tempered: None, examples: Examples::new() };
        Ok(Self { index, usable, classes, per_class, state })
    }

    /// The same with classes drawn by their number of examples.
    ///
    /// # Errors
    /// As [`NPairSampler::tempered`](crate::NPairSampler::tempered).
    pub fn tempered(mut self, t: f64) -> Result<Self> {
        let tempered = TemperedClasses::new(&self.index, &self.usable, t, &self.state.rng)?;
        self.state.tempered = (t > 0.).then_some(tempered);
        Ok(self)
    }
}

impl BatchSampler for BalancedSampler {
    fn name(&self) -> &str {
        "balanced sampler"
    }

    fn kind(&self) -> TupleKind {
        TupleKind::Labeled
    }

    fn next_batch(&mut self) -> Result<BatchPlan> {
        let Self { index, usable, classes, per_class, state } = self;
        let (mut ids, mut labels) = (Vec::new(), Vec::new());
        let chosen = match &mut state.tempered {
            None => state.classes.draw(*classes, &mut state.rng),
            Some(tempered) => tempered.draw(*classes),
        };
        for c in chosen {
            ids.extend(state.examples.draw(index, usable[c], *per_class, &mut state.rng));
            labels.extend(std::iter::repeat_n(index.classes()[usable[c]], *per_class));
        }
        Ok(BatchPlan { ids, labels: Labels::from_ids(labels)?, tuples: Tuples::Labeled })
    }

    fn batch_size(&self) -> usize {
        self.classes * self.per_class
    }

    fn batches_per_epoch(&self) -> usize {
        match self.state.tempered {
            None => self.usable.len().div_ceil(self.classes),
            Some(_) => 0,
        }
    }

    fn left_out(&self) -> usize {
        self.index.len() - self.usable.len()
    }

    fn save(&self) -> Result<serde_json::Value> {
        write(&self.state)
    }

    fn restore(&mut self, state: &serde_json::Value) -> Result<()> {
        let State { rng, classes, tempered, examples } = parse(state)?;
        examples.check(&self.index)?;
        if !classes.is_of(self.usable.len()) {
            return Err(Error::State("the number of classes differs".to_owned()));
        }
        match (&mut self.state.tempered, tempered) {
            (None, None) => {}
            (Some(own), Some(later)) => own.restore(later),
            _ => {
                let why = "one draws classes by their number of examples, the other does not";
                return Err(Error::State(why.to_owned()));
            }
        }
        (self.state.rng, self.state.classes, self.state.examples) = (rng, classes, examples);
        Ok(())
    }
}
