use crate::checkpoint::{self, State};
use crate::config::Config;
use crate::embed::{Views, embed, embed_ids, tensor};
use crate::evaluate::{Scores, judge_briefly};
use crate::journal::Journal;
use crate::objective::Objective;
use crate::optimiser::Optimiser;
use crate::plan::Planner;
use crate::probe::Probe;
use crate::run::{Run, Which};
use crate::sides::Sides;
use crate::taught::{PartReport, Taught};
use crate::{Device, Error, GradCache, Result, optimiser, pretrained, sampler, schedule};
use candle_core::{DType, Tensor, Var};
use npair_backbones::{BackboneConfig, ConvNetConfig, EmbeddingNet};
use npair_batch::{BatchPlan, Prototypes};
use npair_data::{Pipeline, Prefetch};
use npair_nn::Mode;
use npair_types::Streams;
use serde::Serialize;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

/// What a step was like.
#[derive(Debug, Clone, Serialize)]
pub struct StepReport {
    /// Steps done, this one included.
    pub step: u64,
    /// Steps of the run.
    pub steps: u64,
    /// The loss, without the norm penalty.
    pub loss: f64,
    /// Terms of the loss.
    pub terms: usize,
    /// Terms with a gradient.
    pub active: usize,
    /// The losses that the loss is a weighted sum of, if it is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartReport>,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    /// The learning rate.
    pub learning_rate: f64,
    /// Examples of the step.
    pub examples: usize,
    /// Time of the step.
    pub seconds: f64,
    /// Time of it that was spent waiting for pictures.
    pub data_seconds: f64,
    /// Time of it that was spent on class mining: embedding the candidates.
    pub mining_seconds: f64,
}

/// Hears what happens during training, and may end it.
pub trait Watch {
    /// Something worth telling once.
    fn note(&mut self, text: &str) {
        let _ = text;
    }
    /// A step is done.
    fn step(&mut self, report: &StepReport) {
        let _ = report;
    }
    /// The validation split was judged.
    fn judged(&mut self, step: u64, scores: &Scores) {
        let _ = (step, scores);
    }
    /// A checkpoint was written.
    fn saved(&mut self, step: u64) {
        let _ = step;
    }
    /// Whether to stop: steps under way are finished, then a checkpoint is written.
    fn stop(&mut self) -> bool {
        false
    }
}

/// How training ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// Steps done.
    pub step: u64,
    /// Steps of the run; more than `step` if it was stopped.
    pub steps: u64,
    /// Time spent in this call.
    pub seconds: f64,
    /// Time of it that was spent waiting for pictures.
    pub data_seconds: f64,
    /// Time of it that was spent on class mining.
    pub mining_seconds: f64,
    /// The best validation score (recall@1), if there is a validation split.
    pub best: Option<f64>,
}

/// A run in the making.
pub struct Trainer {
    config: Config,
    run: Run,
    sides: Sides,
    pipeline: Pipeline,
    net: EmbeddingNet,
    objective: Objective,
    optimiser: Optimiser,
    /// How batches are cut into pieces, if they are.
    pieces: Option<GradCache>,
    planner: Planner,
    probe: Option<Probe>,
    journal: Journal,
    /// Told when training begins.
    notes: Vec<String>,
    /// Whether a gradient was seen to reach every variable.
    checked: bool,
    step: u64,
    best: Option<f64>,
}

impl Trainer {
    /// Starts a run in a new folder.
    ///
    /// # Errors
    /// What does not fit in the configuration or the data, before anything is trained.
    pub fn start(mut config: Config, folder: &Path) -> Result<Self> {
        let mut notes = Vec::new();
        // Before anything else, since the size of pictures decides what is built.
        let backbone = backbone(&config, &Pipeline::new(config.images())?);
        pretrained::take_images(&mut config, &backbone, &mut notes)?;
        // Everything is made before the folder, so that a mistake leaves none behind.
        let mut parts = Parts::new(&config)?;
        pretrained::load(&config, &parts.net, &mut notes)?;
        parts.notes.splice(..0, notes);
        let run = Run::create(folder, &config)?;
        parts.into_trainer(config, run, 0)
    }

    /// Goes on with a run from its last checkpoint; from the start if it was stopped before the first one. On the CPU it goes
    /// on to the same bits as if it had not been stopped; on a GPU, whose sums come in an order of their own, to the same
    /// within rounding.
    ///
    /// # Errors
    /// If the folder is no run, checkpoint and configuration do not fit, or its device cannot be opened.
    pub fn resume(folder: &Path) -> Result<Self> {
        Self::resume_on(None, folder)
    }

    /// The same, on another device than the run was begun on if one is given.
    ///
    /// # Errors
    /// Those of [`resume`](Self::resume).
    pub fn resume_on(device: Option<Device>, folder: &Path) -> Result<Self> {
        let run = Run::open(folder)?;
        let mut config = run.config()?;
        config.device = device.unwrap_or(config.device);
        let mut parts = Parts::new(&config)?;
        let Ok(place) = run.checkpoint(Which::Last) else {
            pretrained::load(&config, &parts.net, &mut parts.notes)?;
            return parts.into_trainer(config, run, 0);
        };
        let accumulate = config.optimiser.accumulate as u64;
        let state = checkpoint::load(&place, &parts.net, &mut parts.objective, accumulate, &mut parts.optimiser)?;
        let step = state.step;
        let mut trainer = parts.into_trainer(config, run, step)?;
        trainer.planner.restore(&state.sampler)?;
        trainer.best = state.best;
        Ok(trainer)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The data.
    pub fn sides(&self) -> &Sides {
        &self.sides
    }

    /// The network as it is now.
    pub fn net(&self) -> &EmbeddingNet {
        &self.net
    }

    /// Steps done.
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    /// Examples of a batch.
    pub fn batch_size(&self) -> usize {
        self.planner.batch_size()
    }

    /// Trains to the end, or until the watch says stop.
    ///
    /// # Errors
    /// The first picture that cannot be loaded, a loss or gradient that is not finite, a variable that no gradient reaches, a
    /// checkpoint that cannot be written. Checkpoints written before are unharmed.
    pub fn train(&mut self, watch: &mut dyn Watch) -> Result<Outcome> {
        let start = Instant::now();
        self.sides.notes.iter().chain(&self.notes).for_each(|n| watch.note(n));
        if self.planner.left_out() > 0 {
            watch
                .note(&format!("{} classes left out: they have too few examples for a batch", self.planner.left_out()));
        }
        watch.note(&format!("{} batches visit every class once", self.planner.batches_per_epoch()));
        let workers = rayon::current_num_threads().clamp(1, 256);
        let streams = Streams::new(self.config.seed);
        let mut prefetch = Prefetch::new(self.sides.train.clone(), self.pipeline.clone(), streams, workers)?;
        let mut mining = Duration::ZERO;
        if self.step == 0 {
            self.measure_probe()?;
        }
        let (mut stopped, accumulate) = (false, self.config.optimiser.accumulate as u64);
        while (self.step * accumulate) < self.planner.end() {
            let report = self.one_step(&mut prefetch, streams)?;
            mining += Duration::from_secs_f64(report.mining_seconds);
            watch.step(&report);
            let last = self.step == self.config.training.steps;
            if last || is_due(self.step, self.config.training.probe_every) {
                self.measure_probe()?;
            }
            if self.sides.val.is_some() && (last || is_due(self.step, self.config.training.eval_every)) {
                self.validate(watch)?;
            }
            if self.is_checkpoint(self.step) {
                self.save("last")?;
                watch.saved(self.step);
            }
            if !stopped && watch.stop() {
                stopped = true;
                self.planner.stop(accumulate);
            }
        }
        if stopped && !self.is_checkpoint(self.step) {
            self.save("last")?;
            watch.saved(self.step);
        }
        Ok(Outcome {
            step: self.step,
            steps: self.config.training.steps,
            seconds: start.elapsed().as_secs_f64(),
            data_seconds: prefetch.waited().as_secs_f64(),
            mining_seconds: mining.as_secs_f64(),
            best: self.best,
        })
    }

    fn one_step(&mut self, prefetch: &mut Prefetch, streams: Streams) -> Result<StepReport> {
        let (start, waited) = (Instant::now(), prefetch.waited());
        let (number, accumulate) = (self.step + 1, self.config.optimiser.accumulate as u64);
        let (mut taught, mut examples) = (Taught::default(), 0);
        let mut mining = Duration::ZERO;
        for part in 0..accumulate {
            let batch = self.step * accumulate + part;
            mining += self.plan(prefetch)?;
            let plan = self.planner.due().ok_or(Error::Batch(npair_batch::Error::NoPrototypes))?;
            let now = self.learn(prefetch, &plan, &Mode::train(streams, batch), batch)?;
            // A batch whose hinges are all satisfied has nothing to teach: the next one is asked.
            if !self.checked && now.active > 0 {
                let names = self.optimiser.dead(&self.config.training.allow_dead)?;
                if !names.is_empty() {
                    return Err(Error::Dead { step: number, names });
                }
                self.checked = true;
            }
            taught.add(now, 1. / accumulate as f64);
            examples += plan.ids.len();
        }
        let factor = schedule::factor(&self.config.schedule, self.step, self.config.training.steps);
        let moved = self.optimiser.step(factor)?;
        if !moved.grad_norm.is_finite() {
            return Err(Error::Diverged { step: number, what: "the gradient".to_owned() });
        }
        self.step = number;
        let report = StepReport {
            step: number,
            steps: self.config.training.steps,
            loss: taught.loss,
            terms: taught.terms,
            active: taught.active,
            parts: taught.parts,
            grad_norm: moved.grad_norm,
            learning_rate: factor * self.config.optimiser.learning_rate,
            examples,
            seconds: start.elapsed().as_secs_f64(),
            data_seconds: (prefetch.waited() - waited).as_secs_f64(),
            mining_seconds: mining.as_secs_f64(),
        };
        let mut line = serde_json::to_value(&report).map_err(|e| Error::file(&self.run.journal(), e))?;
        line["kind"] = "step".into();
        self.journal.write(&line)?;
        Ok(report)
    }

    /// Takes the gradients of a batch, in pieces if the run is to.
    fn learn(&mut self, prefetch: &mut Prefetch, plan: &BatchPlan, mode: &Mode, batch: u64) -> Result<Taught> {
        let Self { net, objective, optimiser, pieces, .. } = self;
        let step = self.step + 1;
        let mut aim = |embeddings: &Tensor| {
            let aim = objective.of(embeddings, plan, batch)?;
            let values = aim.values();
            Ok((aim.total, values))
        };
        let aim = match *pieces {
            None => {
                let (total, values) = aim(&net.forward(&tensor(prefetch.next()?, net)?, mode)?)?;
                optimiser.add_part(&npair_nn::backward(&total)?)?;
                values
            }
            Some(cache) => cache.gradients(
                net,
                mode,
                plan.ids.len(),
                |_| tensor(prefetch.next()?, net),
                aim,
                |grads| optimiser.add_part(grads),
            )?,
        };
        optimiser.end_batch();
        // The first value that is read: a device has been given all of the batch's work by now.
        Taught::of(&aim, step)
    }

    /// Plans ahead; embeds candidates when the due batch waits for them. Returns the time of the latter.
    fn plan(&mut self, prefetch: &mut Prefetch) -> Result<Duration> {
        let (accumulate, steps, every) = (
            self.config.optimiser.accumulate as u64,
            self.config.training.steps,
            self.config.training.checkpoint_every,
        );
        let noted = |batch: u64| {
            let done = (batch + 1) / accumulate;
            (batch + 1).is_multiple_of(accumulate) && (done == steps || is_due(done, every))
        };
        self.planner.fill(prefetch, &noted)?;
        let Some(ask) = self.planner.candidates() else { return Ok(Duration::ZERO) };
        let start = Instant::now();
        let rows = embed_ids(&self.net, self.sides.train.as_ref(), &self.pipeline, &ask.ids, &mut |_| ())?;
        self.planner.supply(Prototypes::new(&ask.classes, &rows, ask.measure)?)?;
        self.planner.fill(prefetch, &noted)?;
        let time = start.elapsed();
        let (candidates, seconds) = (ask.classes.len(), time.as_secs_f64());
        self.journal
            .write(&json!({ "kind": "mining", "step": self.step, "candidates": candidates, "seconds": seconds }))?;
        Ok(time)
    }

    fn is_checkpoint(&self, step: u64) -> bool {
        step == self.config.training.steps || is_due(step, self.config.training.checkpoint_every)
    }

    fn measure_probe(&mut self) -> Result<()> {
        if let Some(probe) = self.probe.as_ref().filter(|_| self.config.training.probe_every > 0) {
            let seen = probe.measure(&self.net, &self.pipeline)?;
            self.journal.write(&json!({
                "kind": "probe", "step": self.step, "pairs": probe.pairs(),
                "n_pair_loss": seen.n_pair_loss, "n_way_accuracy": seen.n_way_accuracy,
            }))?;
        }
        Ok(())
    }

    fn validate(&mut self, watch: &mut dyn Watch) -> Result<()> {
        let Some(val) = &self.sides.val else { return Ok(()) };
        let rows = embed(&self.net, val.as_ref(), &self.pipeline, Views::one(), &mut |_| ())?.labelled()?;
        // What is chosen by is retrieval; clustering is left to `npair eval`.
        let config =
            crate::config::EvaluationConfig { k_means_runs: 0, pairs: 200_000, ..self.config.evaluation.clone() };
        let (n, streams) = (self.config.batch.classes, Streams::new(self.config.seed));
        let scores = judge_briefly("val", &rows, &config, n, streams, &mut |_| ())?;
        self.journal.write(&json!({ "kind": "evaluation", "step": self.step, "scores": scores }))?;
        watch.judged(self.step, &scores);
        if let Some(score) = scores.get("recall@1").or(scores.get("MRR"))
            && self.best.is_none_or(|best| score > best)
        {
            self.best = Some(score);
            let best = self.run.place("best");
            let new = crate::files::fresh(&best)?;
            self.net.save(&new)?;
            crate::files::replace(&new, &best)?;
        }
        Ok(())
    }

    fn save(&mut self, name: &str) -> Result<()> {
        let batch = (self.step * self.config.optimiser.accumulate as u64).saturating_sub(1);
        let state = State::new(self.step, self.planner.state_after(batch)?, self.best);
        checkpoint::save(&self.run.place(name), &self.net, &self.objective, &self.optimiser, state)
    }
}

fn is_due(step: u64, every: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}

/// What a configuration is made into before there is a folder.
struct Parts {
    sides: Sides,
    pipeline: Pipeline,
    net: EmbeddingNet,
    objective: Objective,
    optimiser: Optimiser,
    pieces: Option<GradCache>,
    sampler: Box<dyn npair_batch::BatchSampler>,
    probe: Option<Probe>,
    notes: Vec<String>,
}

/// The network below the head: the named one, or the small ConvNet for the pipeline's pictures.
fn backbone(config: &Config, pipeline: &Pipeline) -> BackboneConfig {
    let [channels, size, _] = pipeline.shape();
    let (width, blocks) = (config.model.width, config.model.blocks);
    let small = || BackboneConfig::ConvNet(ConvNetConfig { channels, size, width, blocks });
    config.model.backbone.as_ref().map_or_else(small, Clone::clone)
}

/// Whether a network takes the pipeline's pictures: tried on two empty ones, before anything is trained.
fn try_out(net: &EmbeddingNet, pipeline: &Pipeline) -> Result<()> {
    let [channels, height, width] = pipeline.shape();
    let pixels = Tensor::zeros((2, channels, height, width), net.params().dtype(), net.params().device())?;
    net.forward(&pixels, &Mode::Eval)?;
    Ok(())
}

/// Takes out what is not to train.
fn freeze(config: &Config, vars: &mut Vec<(String, Var)>, notes: &mut Vec<String>) -> Result<()> {
    let named = [("model.freeze", &config.model.freeze), ("training.allow_dead", &config.training.allow_dead)];
    for (setting, prefixes) in named {
        let unknown = |prefix: &String| optimiser::unknown(vars.iter().map(|(name, _)| name.as_str()), prefix);
        if let Some(why) = prefixes.iter().find_map(unknown) {
            return Err(Error::Setting { setting, why });
        }
    }
    let prefixes = &config.model.freeze;
    let (frozen, rest): (Vec<_>, Vec<_>) =
        vars.drain(..).partition(|(name, _)| prefixes.iter().any(|prefix| optimiser::is_below(name, prefix)));
    *vars = rest;
    if vars.is_empty() {
        let why = "freezes everything; leave out what has to learn".to_owned();
        return Err(Error::Setting { setting: "model.freeze", why });
    }
    if !frozen.is_empty() {
        let count: usize = frozen.iter().map(|(_, var)| var.elem_count()).sum();
        notes.push(format!("{count} values frozen, in {}", prefixes.join(", ")));
    }
    Ok(())
}

impl Parts {
    fn new(config: &Config) -> Result<Self> {
        if config.training.steps == 0 {
            let why = "is 0, but has to be at least 1".to_owned();
            return Err(Error::Setting { setting: "training.steps", why });
        }
        let device = config.device.open()?;
        let images = config.images();
        let pipeline = Pipeline::new(images.clone())?;
        let sides = Sides::open(config, &pipeline)?;
        let m = &config.model;
        let mut model = npair_backbones::ModelConfig::new(backbone(config, &pipeline), m.embedding);
        model.dropout = m.dropout;
        model.output = m.output;
        model.preprocess =
            serde_json::to_value(&images).map_err(|e| Error::Setting { setting: "images", why: e.to_string() })?;
        let net = EmbeddingNet::new(model, Streams::new(config.seed), DType::F32, &device)?;
        try_out(&net, &pipeline)?;
        let index = sides.train.class_index();
        let objective = Objective::new(config, index.classes(), &device)?;
        let mut vars = net.params().trainable();
        vars.extend(objective.variables());
        let mut notes = Vec::new();
        freeze(config, &mut vars, &mut notes)?;
        let optimiser = Optimiser::new(vars, config.optimiser.clone())?;
        notes.extend(optimiser.describe());
        let pieces = match config.training.grad_cache {
            0 => None,
            piece => Some(GradCache::new(piece)?),
        };
        let sampler = sampler::build(config, sides.train.as_ref())?;
        let (pairs, side) = match (&sides.known, &sides.val) {
            (Some(known), _) => ("known", known),
            (None, Some(val)) => ("val", val),
            (None, None) => ("train", &sides.gallery),
        };
        let probe = match config.training.probe_every {
            0 => None,
            _ => Probe::new(side, pairs, config.batch.classes, config.evaluation.probe_batches, config.seed)?,
        };
        Ok(Self { sides, pipeline, net, objective, optimiser, pieces, sampler, probe, notes })
    }

    fn into_trainer(self, config: Config, run: Run, step: u64) -> Result<Trainer> {
        let accumulate = config.optimiser.accumulate as u64;
        let pieces = self.pieces;
        let planner = Planner::new(self.sampler, pieces, step * accumulate, config.training.steps * accumulate);
        let journal = Journal::open(&run.journal(), step)?;
        let Self { sides, pipeline, net, objective, optimiser, probe, notes, .. } = self;
        Ok(Trainer {
            config,
            run,
            sides,
            pipeline,
            net,
            objective,
            optimiser,
            pieces,
            planner,
            probe,
            journal,
            notes,
            checked: step > 0,
            step,
            best: None,
        })
    }
}
