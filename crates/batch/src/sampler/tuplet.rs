use crate::sampler::cyclic::{Cyclic, Examples, parse, usable, write};
use crate::{BatchPlan, BatchSampler, Error, Result, SamplerSettings};
use npair_types::{ChaCha8Rng, ClassIndex, Labels, TupleKind, Tuples, Tuplets};
use serde::{Deserialize, Serialize};

/// (N+1)-tuplet batches: N queries, each with a positive and N - 1 negatives that are no one else's, (N + 1) N examples in
/// all. It is the batch whose cost the N-pair batch avoids.
///
/// Query classes need two examples, negative classes one. Over an epoch every query class is visited.
///
/// # Source
/// Sohn, NIPS 2016, section 3.1 and figure 2(b).
#[derive(Debug, Clone)]
pub struct TupletSampler {
    index: ClassIndex,
    queries: Vec<usize>,
    n: usize,
    state: State,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    rng: ChaCha8Rng,
    queries: Cyclic,
    negatives: Cyclic,
    examples: Examples,
}

npair_types::settings! {
    /// N queries with negatives of their own.
    pub struct TupletSamplerSettings {
        /// N, the classes of a tuplet, at least 2.
        classes: usize = 60,
    }
}

impl SamplerSettings for TupletSamplerSettings {
    fn build(&self, index: ClassIndex, rng: ChaCha8Rng) -> Result<Box<dyn BatchSampler>> {
        Ok(Box::new(TupletSampler::new(index, self.classes, rng)?))
    }
}

impl TupletSampler {
    /// Batches of N = `n` tuplets with N - 1 negatives each.
    ///
    /// # Errors
    /// [`Error::Setting`] if n < 2, [`Error::TooFewClasses`] if fewer than n classes have two examples.
    pub fn new(index: ClassIndex, n: usize, rng: ChaCha8Rng) -> Result<Self> {
        if n < 2 {
            return Err(Error::Setting { what: "N, the number of classes of a tuplet,", got: n, least: 2 });
        }
        let queries = usable(&index, 2, n)?;
        let state = State {
            rng,
            queries: Cyclic::new(queries.len()),
            negatives: Cyclic::new(index.len()),
            examples: Examples::new(),
        };
        Ok(Self { index, queries, n, state })
    }
}

impl BatchSampler for TupletSampler {
    fn name(&self) -> &str {
        "tuplet sampler"
    }

    fn kind(&self) -> TupleKind {
        TupleKind::Tuplets
    }

    fn next_batch(&mut self) -> Result<BatchPlan> {
        let Self { index, queries, n, state } = self;
        let (n, rng) = (*n, &mut state.rng);
        let (mut ids, mut labels) = (Vec::new(), Vec::new());
        let (mut anchors, mut positives, mut negatives) = (Vec::new(), Vec::new(), Vec::new());
        for query in state.queries.draw(n, rng) {
            let place = queries[query];
            anchors.push(ids.len());
            positives.push(ids.len() + 1);
            ids.extend(state.examples.draw(index, place, 2, rng));
            labels.extend([index.classes()[place]; 2]);
            // One class too many, in case the query's own is among them.
            let others = state.negatives.draw(n, rng).into_iter().filter(|&c| c != place).take(n - 1);
            for other in others {
                negatives.push(ids.len());
                ids.extend(state.examples.draw(index, other, 1, rng));
                labels.push(index.classes()[other]);
            }
        }
        let labels = Labels::from_ids(labels)?;
        let tuplets = Tuplets::new(anchors, positives, negatives, &labels)?;
        Ok(BatchPlan { ids, labels, tuples: Tuples::Tuplets(tuplets) })
    }

    fn batch_size(&self) -> usize {
        (self.n + 1) * self.n
    }

    fn batches_per_epoch(&self) -> usize {
        self.queries.len().div_ceil(self.n)
    }

    fn left_out(&self) -> usize {
        self.index.len() - self.queries.len()
    }

    fn save(&self) -> Result<serde_json::Value> {
        write(&self.state)
    }

    fn restore(&mut self, state: &serde_json::Value) -> Result<()> {
        let state: State = parse(state)?;
        state.examples.check(&self.index)?;
        if !state.queries.is_of(self.queries.len()) || !state.negatives.is_of(self.index.len()) {
            return Err(Error::State("the number of classes differs".to_owned()));
        }
        self.state = state;
        Ok(())
    }
}
