//! How long a run is: a few steps are tried, which also shows whether the learning rate is one that learns.

use super::Plan;
use crate::config::ScheduleName;
use crate::draft::Draft;
use crate::frozen::HEAD_VIEWS;
use crate::{Config, Error, Result};
use npair_train::{Callback, Constant, Moment, StepReport, Trainer, TrainerBuilder};
use std::time::{Duration, Instant};

/// Minutes of a run of which nobody says how long it is to be.
const MINUTES: f64 = 10.;
/// Steps that are tried.
const STEPS: u64 = 24;
/// No trial takes longer, unless one step does.
const LONGEST: Duration = Duration::from_secs(20);
/// Steps at the beginning of a trial whose time is not counted: memory is taken and files are read for the first time.
const COLD: usize = 4;
/// How often an example is seen at most: a run on few examples need not take as long as one on many.
const VIEWS: u64 = 400;
/// The least number of steps.
const LEAST: u64 = 100;
/// Steps of a head that learns alone.
const OF_THE_HEAD: u64 = 1000;
/// Part of the time that is left to steps when the network is judged and saved between them.
const FOR_STEPS: f64 = 0.95;
/// The least number of steps between looks at the network.
const OFTEN: u64 = 50;
/// How often a rate that does not learn is lowered.
const LOWERED: usize = 3;

/// What a few steps of a network that is thrown away showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Trial {
    /// Seconds of a step, the median.
    pub(crate) seconds: f64,
    /// Whether the loss stayed finite and fell.
    pub(crate) learns: bool,
}

/// Tries a few steps; `builder` makes a trainer of a network of its own.
fn try_steps(builder: TrainerBuilder) -> Result<Trial> {
    let folder = tempfile::tempdir().map_err(|e| Error::file(&std::env::temp_dir(), e))?;
    let builder = builder.steps(STEPS).checkpoint_every(0).schedule(Constant { warm_up: STEPS / 2 });
    let mut trainer: Trainer = builder.build(folder.path().join("trial"))?;
    let mut listener = Listener { since: Instant::now(), seconds: Vec::new(), losses: Vec::new() };
    let outcome = trainer.fit_with(&mut listener);
    match outcome {
        Err(npair_train::Error::Diverged { .. }) => {}
        Err(other) => return Err(other.into()),
        Ok(_) => {}
    }
    let finite = outcome.is_ok();
    let mut counted =
        listener.seconds.get(COLD..).filter(|rest| !rest.is_empty()).unwrap_or(&listener.seconds).to_vec();
    counted.sort_by(f64::total_cmp);
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len().max(1) as f64;
    let losses = &listener.losses;
    // What was cut short says nothing about the loss.
    let whole = losses.len() as u64 == STEPS;
    let fell = !whole || mean(&losses[losses.len() - 6..]) < mean(&losses[..3]);
    Ok(Trial { seconds: counted.get(counted.len() / 2).copied().unwrap_or(0.), learns: finite && fell })
}

struct Listener {
    since: Instant,
    seconds: Vec<f64>,
    losses: Vec<f64>,
}

impl Callback for Listener {
    fn name(&self) -> &str {
        "trial"
    }

    fn step(&mut self, _: &mut Moment<'_>, report: &StepReport) -> npair_train::Result<()> {
        self.seconds.push(report.seconds);
        self.losses.push(report.loss);
        Ok(())
    }

    fn stop(&mut self) -> bool {
        self.since.elapsed() > LONGEST && self.seconds.len() > COLD
    }
}

/// Chooses the number of steps, and the rate if the planned one does not learn; `trainer` makes a trainer of a new network for
/// settings, `examples` is the number of those to learn from.
pub(crate) fn take_time(
    draft: &mut Draft,
    plan: &mut Plan,
    examples: usize,
    trainer: &mut dyn FnMut(&Config) -> Result<TrainerBuilder>,
) -> Result<()> {
    let begun = Instant::now();
    let open_steps = !draft.given.has("training.steps");
    let open_rate = !draft.given.has("optimizer.learning_rate") && (open_steps || draft.config.training.steps >= LEAST);
    if open_steps || open_rate {
        let mut trial = try_steps(trainer(&draft.config)?)?;
        for _ in 0..LOWERED {
            if trial.learns || !open_rate {
                break;
            }
            let rate = draft.config.optimizer.learning_rate / 3.;
            let why = "at the rate before it the loss of the first steps did not fall";
            let name = draft.config.optimizer.name.word();
            plan.choose("optimizer", format!("{name}, rate {rate:.1e}"), why);
            draft.config.optimizer.learning_rate = rate;
            trial = try_steps(trainer(&draft.config)?)?;
        }
        if open_steps {
            let batch = &draft.config.batch;
            let a_step = batch.classes * batch.per_class * draft.config.optimizer.accumulate;
            steps(draft, plan, &Pace { examples, a_step, seconds: trial.seconds, spent: begun.elapsed() });
        }
    }
    rhythm(draft);
    Ok(())
}

/// What is known when the number of steps is chosen.
struct Pace {
    /// Examples to learn from.
    examples: usize,
    /// Examples of a step.
    a_step: usize,
    /// Seconds of a step.
    seconds: f64,
    /// Time that the trial took.
    spent: Duration,
}

impl Pace {
    /// Seconds that the features of all examples take in so many views: a step goes there and back, which costs three times as much.
    fn features(&self, views: usize) -> f64 {
        (self.examples * views) as f64 * self.seconds / 3. / self.a_step.max(1) as f64
    }
}

fn steps(draft: &mut Draft, plan: &mut Plan, pace: &Pace) {
    let minutes = draft.minutes.unwrap_or(MINUTES);
    let head = if draft.config.model.head_steps > 0 { pace.features(HEAD_VIEWS + 1) } else { 0. };
    let room = (minutes * 60. - pace.spent.as_secs_f64() - head).max(0.) * FOR_STEPS;
    let seconds = pace.seconds;
    let fitting = (room / seconds.max(1e-6)) as u64;
    if draft.config.model.head_steps > 0 && fitting < LEAST && !draft.given.has("model.frozen") {
        head_alone(draft, plan, pace, minutes * 60.);
        return;
    }
    let enough = (VIEWS * pace.examples as u64 / pace.a_step.max(1) as u64).max(LEAST);
    let steps = fitting.min(enough).max(10);
    // A round number is easier to speak of.
    let round = 10u64.pow(steps.ilog10().saturating_sub(1));
    let steps = steps / round * round;
    let whose = if draft.minutes.is_some() { "--minutes" } else { "the usual time; --minutes sets it" };
    let why = if fitting > enough {
        format!("every example {VIEWS} times; {seconds:.3} s a step here, {:.0} s in all", seconds * steps as f64)
    } else {
        format!(
            "{minutes} minute{} ({whose}) at {seconds:.3} s a step here; an hour would do {:.0}",
            if minutes == 1. { "" } else { "s" },
            3600. / seconds
        )
    };
    plan.choose("training.steps", steps.to_string(), why);
    draft.config.training.steps = steps;
}

/// Where the time is too short for the whole network, its head alone learns, on features that are computed once.
fn head_alone(draft: &mut Draft, plan: &mut Plan, pace: &Pace, seconds: f64) {
    let once = pace.features(1).max(1e-6);
    let views = ((seconds / 2. / once) as usize).saturating_sub(1).min(4);
    let layers =
        if draft.config.optimizer.layer_decay < 1. { "; optimizer.layer_decay has no other layer then" } else { "" };
    let why = format!(
        "the time is too short for {LEAST} steps of the whole network: its head learns on its features{layers}"
    );
    plan.choose("model.frozen", format!("true, {views} changed views"), why);
    let config = &mut draft.config;
    let head = config.optimizer.group.iter().find(|group| group.prefix == "head").map_or(1., |group| group.lr_scale);
    (config.optimizer.group, config.optimizer.layer_decay) = (Vec::new(), 1.);
    config.optimizer.learning_rate *= head;
    (config.model.frozen, config.model.frozen_views, config.model.head_steps) = (true, views, 0);
    config.training.steps = OF_THE_HEAD;
    let rate = config.optimizer.learning_rate;
    plan.choose("training.steps", OF_THE_HEAD.to_string(), format!("of the head alone, at rate {rate}: seconds"));
}

/// When the network is judged and saved, and how long the rate rises.
fn rhythm(draft: &mut Draft) {
    let steps = draft.config.training.steps;
    let open = |key: &str| !draft.given.has(key);
    if open("training.eval_every") {
        // A rate that falls by what validation finds has to hear of it some times.
        let often = if draft.config.schedule.name == ScheduleName::Plateau { 1 } else { OFTEN };
        draft.config.training.eval_every = steps.div_ceil(10).max(often);
    }
    if open("training.checkpoint_every") {
        draft.config.training.checkpoint_every = steps.div_ceil(10).max(OFTEN);
    }
    if open("schedule.warm_up") {
        draft.config.schedule.warm_up = (steps / 20).min(200);
    }
}
