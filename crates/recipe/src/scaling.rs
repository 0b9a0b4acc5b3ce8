//! What a step costs on many ranks, on paper: before anybody asks for them.

use crate::{Config, Error, Result, Training};
use npair_losses::{NPairMc, PairLoss, SharedPairs};
use npair_train::{Callback, Moment, Ranks, StepReport};
use serde::Serialize;
use std::time::Instant;

/// Bytes of a number that ranks send each other.
const VALUE: f64 = 4.;
/// Calls of a step: embeddings or rows there and back, sums of gradients and of running statistics (two each), the end of the step.
const CALLS: f64 = 7.;
/// Steps of which the time is measured, after those in which memory is taken and files are read for the first time.
const MEASURED: usize = 8;
const COLD: usize = 3;

/// What a step is, and how fast things are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Scaling {
    /// N, pairs of a batch: 2 N pictures.
    pub pairs: usize,
    /// D, the width of an embedding.
    pub width: usize,
    /// Values that train.
    pub parameters: usize,
    /// Seconds in which a rank embeds an example and leads its gradient back.
    pub example_seconds: f64,
    /// Operations a second of a rank in the similarity matrix.
    pub loss_flops: f64,
    /// Bytes a second into and out of a rank.
    pub link: f64,
    /// Seconds until a message arrives.
    pub latency: f64,
}

/// A step on so many ranks, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StepOnRanks {
    /// How many.
    pub ranks: usize,
    /// Embedding and leading back.
    pub network: f64,
    /// The loss and its gradient.
    pub loss: f64,
    /// Embeddings, rows and what they are taught, from rank to rank.
    pub rows: f64,
    /// Gradients of the parameters, from rank to rank.
    pub gradients: f64,
    /// Waiting for messages to arrive.
    pub messages: f64,
    /// All of that, one after the other.
    pub seconds: f64,
    /// The share of a rank's time that one rank alone would have needed for its part.
    pub efficiency: f64,
    /// Bytes of embeddings and their gradients on a rank.
    pub row_bytes: f64,
}

impl Scaling {
    /// The cost of a step.
    ///
    /// ```text
    /// network    2 N / R  t            t seconds an example
    /// loss       6 N^2 D / f           N < 4,096: every rank has the whole matrix
    ///            8 N^2 D / (R f)       else: its own anchors' rows
    /// rows       2 N D                 values into a rank: all embeddings
    ///            3 N D + 8 N D / R     else: positives twice, what they are taught; rows of pairs there and back
    /// gradients  2 P (R - 1) / R       values: a range of them from all, and the sums to all
    /// messages   R latencies a call    a header to each rank; 7 calls, and 3 for each block of 2,048 positives
    /// ```
    pub fn step(&self, ranks: usize) -> StepOnRanks {
        let (n, d, r) = (self.pairs as f64, self.width as f64, ranks as f64);
        let shared = self.pairs >= Ranks::SHARED_FROM;
        let others = (r - 1.) / r;
        let network = 2. * n / r * self.example_seconds;
        let loss = if shared { 8. / r } else { 6. } * n * n * d / self.loss_flops;
        let row_values = if shared { 3. * n * d + 8. * n * d / r } else { 2. * n * d };
        let rows = row_values * others * VALUE / self.link;
        let gradients = 2. * self.parameters as f64 * others * VALUE / self.link;
        let blocks = if shared { n / SharedPairs::BLOCK as f64 } else { 0. };
        let messages = if ranks == 1 { 0. } else { (CALLS + 3. * blocks.ceil()) * r * self.latency };
        let seconds = network + loss + rows + gradients + messages;
        let whole = (2. * n * self.example_seconds + if shared { 8. } else { 6. } * n * n * d / self.loss_flops) / r;
        let row_bytes = VALUE * d * if shared { 4. * n / r } else { 4. * n };
        StepOnRanks { ranks, network, loss, rows, gradients, messages, seconds, efficiency: whole / seconds, row_bytes }
    }

    /// One rank, two, four and so on, and the largest number.
    pub fn steps(&self, most: usize) -> Vec<StepOnRanks> {
        let doubled = std::iter::successors(Some(1usize), |ranks| ranks.checked_mul(2));
        let mut numbers: Vec<usize> = doubled.take_while(|&ranks| ranks < most).collect();
        numbers.push(most.max(1));
        numbers.into_iter().map(|ranks| self.step(ranks)).collect()
    }

    /// The largest of these numbers of ranks at which at least half of a rank's time is work that one alone would have to do, too.
    pub fn worthwhile(&self, most: usize) -> Option<usize> {
        self.steps(most).into_iter().filter(|step| step.efficiency >= 0.5).map(|step| step.ranks).next_back()
    }

    /// An error unless all rates are above 0.
    ///
    /// # Errors
    /// [`Error::Setting`] with the first that is not.
    pub fn check(&self) -> Result<()> {
        let wrong =
            |setting, got: f64| Err(Error::Setting { setting, why: format!("is {got}, but has to be above 0") });
        for (setting, got) in [
            ("--pairs", self.pairs as f64),
            ("--width", self.width as f64),
            ("--example-seconds", self.example_seconds),
            ("--loss-gflops", self.loss_flops),
            ("--link-gbytes", self.link),
        ] {
            if !(got.is_finite() && got > 0.) {
                return wrong(setting, got);
            }
        }
        Ok(())
    }
}

/// Operations a second that the N-pair loss has on this process's threads, at this width.
///
/// # Errors
/// Those of the loss.
pub fn measured_loss_flops(width: usize) -> Result<f64> {
    let pairs = 2048usize;
    let device = candle_core::Device::Cpu;
    let side = |shift: usize| {
        let value = |i: usize| ((i * 7919 + shift) % 1013) as f32 / 1013. - 0.5;
        let values: Vec<f32> = (0..pairs * width).map(value).collect();
        candle_core::Var::from_tensor(&candle_core::Tensor::from_vec(values, (pairs, width), &device)?)
    };
    let (anchors, positives) = (side(1)?, side(2)?);
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let begun = Instant::now();
        let loss = NPairMc.forward_pairs(anchors.as_tensor(), positives.as_tensor())?;
        loss.value.backward()?;
        best = best.min(begun.elapsed().as_secs_f64());
    }
    Ok(6. * (pairs * pairs * width) as f64 / best)
}

/// How a run's network does on this process's threads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NetworkPace {
    /// Seconds of an example, there and back.
    pub example_seconds: f64,
    /// Values that train.
    pub parameters: usize,
    /// D.
    pub width: usize,
}

/// Trains a few steps of a run with these settings, which is thrown away.
///
/// # Errors
/// Those of [`Training::start`].
pub fn measured_network(mut config: Config) -> Result<NetworkPace> {
    config.training.steps = (COLD + MEASURED) as u64;
    config.schedule = Default::default();
    (config.training.checkpoint_every, config.training.eval_every, config.model.head_steps) = (0, 0, 0);
    let folder = tempfile::tempdir().map_err(|e| Error::file(&std::env::temp_dir(), e))?;
    let mut training = Training::start(config, &folder.path().join("run"))?;
    let mut clock = Clock(Vec::new());
    training.train(&mut clock)?;
    let mut steps = clock.0.split_off(COLD.min(clock.0.len()));
    steps.sort_by(f64::total_cmp);
    let seconds = steps.get(steps.len() / 2).copied().unwrap_or(0.);
    let variables = training.trainer().model().variables();
    let parameters = variables.iter().map(|(_, var)| var.elem_count()).sum();
    let width = training.config().model.embedding;
    Ok(NetworkPace { example_seconds: seconds / training.batch_size().max(1) as f64, parameters, width })
}

/// Seconds of every step, but for waiting for data.
struct Clock(Vec<f64>);

impl Callback for Clock {
    fn name(&self) -> &str {
        "clock"
    }

    fn step(&mut self, _: &mut Moment<'_>, report: &StepReport) -> npair_train::Result<()> {
        self.0.push(report.seconds - report.data_seconds);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Scaling {
        let (pairs, width, parameters) = (8192, 512, 25_000_000);
        Scaling { pairs, width, parameters, example_seconds: 2e-3, loss_flops: 1e14, link: 5e10, latency: 5e-6 }
    }

    #[test]
    fn one_rank_sends_nothing_and_loses_nothing() {
        let one = plan().step(1);
        assert_eq!((one.rows, one.gradients, one.messages, one.efficiency), (0., 0., 0., 1.));
        // 16,384 examples of 2 ms, and 8 N^2 D operations at 10^14 a second.
        assert!((one.network - 32.768).abs() < 1e-9);
        assert!((one.loss - 8. * 8192f64.powi(2) * 512. / 1e14).abs() < 1e-12);
    }

    #[test]
    fn more_ranks_take_less_time_until_messages_are_all() {
        let steps = plan().steps(1_000_000);
        let best = steps.iter().enumerate().min_by(|a, b| a.1.seconds.total_cmp(&b.1.seconds)).unwrap().0;
        assert!(steps[..best].windows(2).all(|two| two[1].seconds < two[0].seconds));
        assert!(best + 1 < steps.len() && steps[best].ranks > 64);
        assert!(steps.windows(2).all(|two| two[1].efficiency < two[0].efficiency));
        let worth = plan().worthwhile(1_000_000).unwrap();
        assert!(plan().step(worth).efficiency >= 0.5 && plan().step(2 * worth).efficiency < 0.5);
    }

    #[test]
    fn a_small_batch_has_its_matrix_on_every_rank() {
        let small = Scaling { pairs: 1000, ..plan() };
        assert_eq!(small.step(1).loss, small.step(8).loss);
        assert_eq!(plan().step(1).row_bytes, 4. * plan().step(4).row_bytes);
    }
}
