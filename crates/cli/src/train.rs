use crate::args::Train;
use crate::fail::Stopped;
use crate::launched::Launched;
use crate::verifier::{Asked, percent};
use crate::{plan, progress, source};
use anyhow::Result;
use indicatif::ProgressBar;
use npair_evaluate::Scores;
use npair_metrics::Verifier;
use npair_recipe::{Config, Device, Kind, LearnedVerifier, Run, Training, Which};
use npair_train::{Callback, Moment, Outcome, StepReport};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub fn run(args: &Train, launched: &Launched, device: Option<Device>, json: bool) -> Result<()> {
    let device = launched.device(device);
    let ranks = launched.ranks(device)?;
    let stop = Arc::new(AtomicBool::new(false));
    let hear = stop.clone();
    // Once: after the steps under way, saved. Twice: at once, with the last checkpoint.
    ctrlc::set_handler(move || {
        if hear.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })?;
    let bar = progress::bar(0, "features");
    let mut told = |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    };
    let (mut training, folder) = match (&args.resume, &args.out) {
        (Some(folder), _) => {
            (Training::resume_among(resumed(args, device, folder)?, folder, ranks, &mut told)?, folder)
        }
        (None, Some(folder)) => {
            let mut draft = source::draft(&args.settings, args.data.as_deref())?;
            draft.config.device = device.unwrap_or(draft.config.device);
            (draft.minutes, draft.planned) = (args.minutes, !args.no_plan);
            (Training::start_among(draft, folder, ranks, &mut told)?, folder)
        }
        (None, None) => return Err(source::usage("--out", "give the folder of the new run".to_owned())),
    };
    bar.finish_and_clear();
    let steps = training.config().training.steps;
    if !json {
        launched.introduce().iter().for_each(|line| say!("{line}"));
        introduce(&mut training)?;
    }
    let mut live = Live::new(steps, training.steps_done(), stop, json);
    let outcome = training.train(&mut live).map_err(|error| how_to_go_on(error, folder))?;
    live.bar.finish_and_clear();
    if outcome.step < outcome.steps && live.stop.load(Ordering::Relaxed) {
        let at = format!("stopped after step {} of {}, saved", outcome.step, outcome.steps);
        return Err(Stopped(format!("{at}; go on with: npair train --resume {}", folder.display())).into());
    }
    tell_end(&outcome, json)?;
    if !training.trainer().leads() {
        return Ok(());
    }
    // Learned now, while the data is there.
    let asked = Asked { folder, checkpoint: "best", far: None, device: training.config().device };
    let learned = asked.find(training.config())?;
    // Of views they would say whether two are of one picture, which nobody asks.
    if !json && training.config().data.views == 0 {
        learned.iter().for_each(tell_threshold);
    }
    if !json {
        say!("judge it with: npair eval {}", folder.display());
    }
    Ok(())
}

/// How a run came to its end.
fn tell_end(outcome: &Outcome, json: bool) -> Result<()> {
    if outcome.step < outcome.steps {
        say!("ended after step {} of {}: nothing was gained any more (training.patience)", outcome.step, outcome.steps);
    }
    if json {
        say!("{}", serde_json::to_string(outcome)?);
        return Ok(());
    }
    say!(
        "{} steps in {:.1} s, of which {:.1} s waiting for data and {:.1} s class mining",
        outcome.step,
        outcome.seconds,
        outcome.data_seconds,
        outcome.mining_seconds
    );
    Ok(())
}

/// What is about to be trained on what, after what was chosen by the data.
fn introduce(training: &mut Training) -> Result<()> {
    plan::print(training.plan());
    let model = training.trainer().model();
    let parameters: usize = model.variables().iter().map(|(_, var)| var.elem_count()).sum();
    let train = training.splits().learned()?;
    say!(
        "{}: {} examples of {} classes, {} a step; {parameters} parameters; from step {} of {}",
        train.name(),
        train.len(),
        train.labels().classes().len(),
        training.batch_size(),
        training.steps_done(),
        training.config().training.steps,
    );
    Ok(())
}

/// The threshold that decides unless another rate is asked for.
fn tell_threshold(learned: &LearnedVerifier) {
    let Ok(usual) = learned.verifier.threshold(Verifier::USUAL) else { return };
    say!(
        "same or not: from {} {:.4} on, for a false accept rate of {} ({} examples of {} unseen classes)",
        learned.verifier.measure,
        usual.threshold,
        percent(usual.far),
        learned.examples,
        learned.classes
    );
}

/// The settings of a run that goes on: its own, but for what is said now.
fn resumed(args: &Train, device: Option<Device>, folder: &Path) -> Result<Config> {
    if args.settings.config.is_some() || args.settings.seed.is_some() || args.settings.unlabeled {
        let why =
            "a run goes on with the settings it was begun with: leave out --config, --seed and --unlabeled".to_owned();
        return Err(source::usage("--resume", why));
    }
    let config = Run::open(folder)?.config()?;
    let mut config = match args.settings.sets.is_empty() {
        true => config,
        false => Config::parse("config.toml", &config.to_toml()?, &args.settings.sets)?,
    };
    if let Some(data) = &args.data {
        config.data.source = source::data_source("--data", data)?.absolute();
    }
    if let Some(more) = args.more {
        config.training.steps = config.training.steps.saturating_add(more);
    }
    config.data.source.expect_there()?;
    config.device = device.unwrap_or(config.device);
    Ok(config)
}

/// An error of a picture, with what to do about the run.
fn how_to_go_on(error: npair_recipe::Error, folder: &Path) -> anyhow::Error {
    if error.kind() != Kind::Data {
        return error.into();
    }
    let (resume, new) = (format!("npair train --resume {}", folder.display()), "--set data.skip_bad=true");
    let saved = Run::open(folder).is_ok_and(|run| run.checkpoint(Which::Last).is_ok());
    let cure = match saved {
        true => {
            format!("put it right and go on with: {resume}; or start a new run that leaves out what is bad, with {new}")
        }
        false => format!("put it right and go on with: {resume}; or leave out what is bad: {resume} {new}"),
    };
    anyhow::anyhow!(error).context(format!("nothing of the run is lost: {cure}"))
}

/// The progress bar, and what is told beside it.
struct Live {
    bar: ProgressBar,
    stop: Arc<AtomicBool>,
    json: bool,
    loss: f64,
    since: Instant,
    /// When the last line was told, and the step that this process began after.
    told: Instant,
    from: u64,
    examples: usize,
}

/// Time between lines where there is no bar.
const EVERY: Duration = Duration::from_secs(10);

impl Live {
    fn new(steps: u64, done: u64, stop: Arc<AtomicBool>, json: bool) -> Self {
        let bar = progress::bar(steps, "train");
        bar.set_position(done);
        bar.reset_eta();
        let now = Instant::now();
        Self { bar, stop, json, loss: f64::NAN, since: now, told: now, from: done, examples: 0 }
    }

    fn tell(&self, text: &str) {
        if !self.json {
            self.bar.suspend(|| say!("{text}"));
        }
    }
}

impl Callback for Live {
    fn name(&self) -> &str {
        "progress"
    }

    fn note(&mut self, text: &str) {
        self.tell(text);
    }

    fn step(&mut self, _: &mut Moment<'_>, r: &StepReport) -> npair_train::Result<()> {
        self.loss = if self.loss.is_nan() { r.loss } else { 0.95 * self.loss + 0.05 * r.loss };
        self.examples += r.examples;
        let rate = self.examples as f64 / self.since.elapsed().as_secs_f64().max(1e-9);
        self.bar.set_message(format!("loss {:.4}  {rate:.0} examples/s", self.loss));
        self.bar.set_position(r.step);
        if self.json {
            let mut line = serde_json::to_value(r).unwrap_or_default();
            line["kind"] = "step".into();
            say!("{line}");
        } else if self.bar.is_hidden() && (self.told.elapsed() >= EVERY || r.step == r.steps) {
            // Where there is no bar, a line now and then.
            self.told = Instant::now();
            let done = (r.step - self.from).max(1);
            let left = self.since.elapsed().as_secs_f64() / done as f64 * (r.steps - r.step) as f64;
            self.tell(&format!(
                "step {}/{}  loss {:.4}  rate {:.2e}  {rate:.0} examples/s  {left:.0} s left",
                r.step, r.steps, self.loss, r.learning_rate
            ));
        }
        Ok(())
    }

    fn evaluation(&mut self, at: &mut Moment<'_>, scores: &Scores, _: bool) -> npair_train::Result<()> {
        let short: Vec<String> = scores.scores.iter().take(6).map(|s| format!("{} {:.4}", s.name, s.value)).collect();
        self.tell(&format!("step {}, {}: {}", at.step, scores.set, short.join("  ")));
        Ok(())
    }

    fn stop(&mut self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
