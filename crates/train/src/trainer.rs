use crate::callback::Moment;
use crate::checkpoint::{State, Stateful};
use crate::folder::{RunLock, STEP};
use crate::journal::Journal;
use crate::objective::Objective;
use crate::planner::Planner;
use crate::ranks::Work;
use crate::{
    Callback, Error, GradCache, Outcome, Ranks, Result, RunFolder, Schedule, StepReport, TrainerBuilder, Updater, files,
};
use npair_backbones::{EmbeddingModel, Mode};
use npair_batch::{BatchPlan, Prototypes};
use npair_evaluate::{Inputs, Loader, Metric, Scores, TestTimeAugmentation, embed_ids, embed_to_judge, loader};
use npair_losses::LossValue;
use npair_metrics::Embeddings;
use npair_types::{ExampleId, Purpose, Streams};
use rand::Rng;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Every(u64);

/// Every so many steps, and after the last; 0 for never.
pub fn every(steps: u64) -> Every {
    Every(steps)
}

/// What a validation judges, by what, and how often.
pub(crate) struct Validation {
    pub(crate) inputs: Arc<dyn Inputs>,
    pub(crate) metric: Box<dyn Metric>,
    pub(crate) every: Every,
    /// The score that the best model is chosen by; the metric's own choice without.
    pub(crate) select_by: Option<String>,
}

impl Validation {
    /// An error if the labels or the metric's settings cannot be judged by: tried on made-up embeddings, since the settings and the
    /// labels alone decide it.
    pub(crate) fn check_labels(&self) -> Result<()> {
        const WIDTH: usize = 4;
        let labels = self.inputs.labels();
        let mut rng = Streams::new(0).open(Purpose::Evaluation, [u64::MAX, 0]);
        let values: Vec<f32> = (0..labels.len() * WIDTH).map(|_| rng.random_range(-1f32..1.)).collect();
        let made_up = Embeddings::owned(values, WIDTH, labels.clone()).map_err(npair_evaluate::Error::from);
        let tried = made_up.and_then(|rows| self.metric.scores(&rows));
        tried.map(|_| ()).map_err(|error| match error {
            npair_evaluate::Error::Setting { .. } => error.into(),
            other => {
                let parts = format!("validation on {}, metric {}", self.inputs.name(), self.metric.name());
                Error::Mismatch { parts, why: other.to_string() }
            }
        })
    }

    /// Steps between validations; 0 for after the last alone.
    pub(crate) fn every(&self) -> u64 {
        self.every.0
    }

    /// The scores of the model as it is now.
    fn judge(&self, model: &dyn EmbeddingModel, ranks: Option<&Ranks>) -> Result<Scores> {
        let inputs = self.inputs.as_ref();
        let rows = match ranks {
            None => embed_to_judge(model, inputs, TestTimeAugmentation::none(), &mut |_| ())?,
            Some(ranks) => {
                let ids: Vec<ExampleId> = (0..inputs.len()).map(ExampleId).collect();
                let rows = ranks.embed_ids(model, inputs, &ids)?;
                let values = rows.flatten_all()?.to_vec1::<f32>()?;
                Embeddings::owned(values, rows.dim(1)?, inputs.labels().clone()).map_err(npair_evaluate::Error::from)?
            }
        };
        Ok(self.metric.scores(&rows)?)
    }

    /// An error unless the metric gives the score that is to be chosen by: tried on the untrained model.
    pub(crate) fn check_choice(&self, model: &dyn EmbeddingModel) -> Result<()> {
        let Some(name) = &self.select_by else { return Ok(()) };
        let scores = self.judge(model, None)?;
        if scores.get(name).is_some() {
            return Ok(());
        }
        let known: Vec<&str> = scores.scores.iter().map(|score| score.name.as_str()).collect();
        let why = format!("the metric {} gives no `{name}`, but {}", self.metric.name(), known.join(", "));
        Err(Error::Setting { setting: "select_by", why })
    }
}

/// How long, and how often to save.
#[derive(Debug, Clone)]
pub(crate) struct Extent {
    pub(crate) steps: u64,
    pub(crate) checkpoint_every: u64,
    pub(crate) accumulate: u64,
    pub(crate) allow_dead: Vec<String>,
    /// Whether the model is judged before the first step, so that training has to be better than that.
    pub(crate) judge_first: bool,
}

/// A run in the making: a model and inputs, and the parts that train the one on the other.
///
/// On the CPU the same seed gives the same bits, whatever the number of threads, and a resumed run goes on to the bits of an
/// uninterrupted one; on a GPU, whose sums come in an order of their own, to the same within rounding.
pub struct Trainer {
    pub(crate) model: Box<dyn EmbeddingModel>,
    pub(crate) inputs: Arc<dyn Inputs>,
    pub(crate) objective: Objective,
    pub(crate) updater: Updater,
    pub(crate) schedule: Box<dyn Schedule>,
    /// How batches are cut into pieces, if they are.
    pub(crate) pieces: Option<GradCache>,
    pub(crate) planner: Planner,
    /// Who shares the batches, if somebody does.
    pub(crate) ranks: Option<Ranks>,
    pub(crate) validation: Option<Validation>,
    pub(crate) callbacks: Vec<Box<dyn Callback>>,
    pub(crate) streams: Streams,
    pub(crate) extent: Extent,
    pub(crate) folder: RunFolder,
    pub(crate) journal: Journal,
    /// Told when training begins.
    pub(crate) notes: Vec<String>,
    /// Whether a gradient was seen to reach every variable.
    pub(crate) checked: bool,
    pub(crate) step: u64,
    pub(crate) best: Option<f64>,
    /// Whether the step was saved, but not yet validated as it has to be.
    pub(crate) validation_due: bool,
    /// Held while the trainer lives, by the rank that writes.
    pub(crate) _lock: Option<RunLock>,
}

impl Trainer {
    /// Puts the parts of a run together.
    pub fn builder(model: impl EmbeddingModel + 'static, inputs: impl Inputs + 'static) -> TrainerBuilder {
        TrainerBuilder::new(Box::new(model), Arc::new(inputs))
    }

    /// The model as it is now.
    pub fn model(&self) -> &dyn EmbeddingModel {
        self.model.as_ref()
    }

    /// What is learned from.
    pub fn inputs(&self) -> &Arc<dyn Inputs> {
        &self.inputs
    }

    /// The run's folder.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Steps done.
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    /// Steps of the run.
    pub fn steps(&self) -> u64 {
        self.extent.steps
    }

    /// Examples of a batch.
    pub fn batch_size(&self) -> usize {
        self.planner.batch_size()
    }

    /// Adds something that hears of training.
    pub fn add_callback(&mut self, callback: impl Callback + 'static) {
        self.callbacks.push(Box::new(callback));
    }

    /// Trains to the end, or until a callback says stop.
    ///
    /// # Errors
    /// The first example that cannot be loaded, a loss or gradient that is not finite, a variable that no gradient reaches, a
    /// checkpoint that cannot be written, a rank that is lost or out of step. Checkpoints written before are unharmed.
    pub fn fit(&mut self) -> Result<Outcome> {
        self.fit_with(&mut Nobody)
    }

    /// The same, heard by one more callback, whose state no checkpoint keeps: a progress bar, say.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn fit_with(&mut self, listener: &mut dyn Callback) -> Result<Outcome> {
        let start = Instant::now();
        let mut loader = loader(&self.inputs, self.streams, rayon::current_num_threads())?;
        self.begin(listener)?;
        let mut mining = Duration::ZERO;
        let mut stopped = false;
        while self.step * self.extent.accumulate < self.planner.end() {
            let report = self.one_step(loader.as_mut()).inspect_err(|error| self.mark(error));
            let report = report?;
            mining += Duration::from_secs_f64(report.mining_seconds);
            self.tell(listener, |callback, at| callback.step(at, &report))?;
            self.end_step(listener)?;
            // All are asked: some count how often.
            let stop = self.callbacks.iter_mut().fold(listener.stop(), |stop, callback| callback.stop() | stop);
            let alone = || Ok::<_, Error>((stop, None));
            let (stop, slow) = self.ranks.as_ref().map_or_else(alone, |ranks| ranks.end_step(stop, self.step))?;
            if let Some(slow) = slow {
                self.tell(listener, |callback, _| {
                    callback.note(&slow);
                    Ok(())
                })?;
            }
            if !stopped && stop {
                stopped = true;
                self.planner.stop(self.extent.accumulate);
            }
        }
        if stopped && !self.is_checkpoint(self.step) {
            self.save()?;
            self.tell(listener, |callback, at| callback.checkpoint(at))?;
        }
        let outcome = Outcome {
            step: self.step,
            steps: self.extent.steps,
            seconds: start.elapsed().as_secs_f64(),
            data_seconds: loader.waited().as_secs_f64(),
            mining_seconds: mining.as_secs_f64(),
            best: self.best,
        };
        self.tell(listener, |callback, at| callback.end(at, &outcome))?;
        Ok(outcome)
    }

    /// Saves and validates after a step, as it is due. Saved first: a validation that fails costs no work.
    fn end_step(&mut self, listener: &mut dyn Callback) -> Result<()> {
        let (saves, validates) = (self.is_checkpoint(self.step), self.is_validation(self.step));
        if saves && validates {
            self.validation_due = true;
            self.save()?;
        }
        if validates {
            self.validate(listener)?;
            self.validation_due = false;
        }
        if saves {
            self.save()?;
            self.tell(listener, |callback, at| callback.checkpoint(at))?;
        }
        Ok(())
    }

    fn begin(&mut self, listener: &mut dyn Callback) -> Result<()> {
        let mut notes = std::mem::take(&mut self.notes);
        let [one, many] = self.planner.draws_by();
        if self.planner.left_out() > 0 {
            let left_out = self.planner.left_out();
            notes.push(format!("{left_out} {many} left out: they have too few examples for a batch"));
        }
        notes.push(match self.planner.batches_per_epoch() {
            0 => format!("no number of batches visits every {one} for sure: they are drawn at random"),
            1 => format!("every batch visits every {one}"),
            batches => format!("{batches} batches visit every {one} once"),
        });
        self.tell(listener, |callback, at| {
            notes.iter().for_each(|note| callback.note(note));
            callback.begin(at)
        })?;
        // The run ended between a checkpoint and the validation that belongs to it.
        if self.validation_due {
            return self.end_step(listener);
        }
        if self.step == 0 && self.extent.judge_first { self.validate(listener) } else { Ok(()) }
    }

    /// Lets every callback hear of the present moment, the listener last.
    fn tell(
        &mut self,
        listener: &mut dyn Callback,
        mut hear: impl FnMut(&mut dyn Callback, &mut Moment<'_>) -> Result<()>,
    ) -> Result<()> {
        let Self { callbacks, model, journal, step, extent, .. } = self;
        let own = callbacks.iter_mut().map(|callback| &mut **callback as &mut dyn Callback);
        for callback in own.chain([listener as &mut dyn Callback]) {
            let mut record = |kind: &str, mut line: Value| {
                line["kind"] = kind.into();
                line["step"] = (*step).into();
                journal.write(&line)
            };
            hear(callback, &mut Moment::new((*step, extent.steps), model.as_ref(), &mut record))?;
        }
        Ok(())
    }

    /// Tells the journal what ended the run; the error itself is the caller's.
    fn mark(&mut self, error: &Error) {
        if let Error::Diverged { step, what } = error {
            let line = json!({ "kind": "diverged", "step": step, "what": what });
            // A journal that cannot be written must not hide why the run ended.
            let _ = self.journal.write(&line);
        }
    }

    fn one_step(&mut self, loader: &mut dyn Loader) -> Result<StepReport> {
        let (start, waited) = (Instant::now(), loader.waited());
        let accumulate = self.extent.accumulate;
        let mut report = StepReport::of_step(self.step + 1, self.extent.steps);
        let mut mining = Duration::ZERO;
        for part in 0..accumulate {
            let batch = self.step * accumulate + part;
            mining += self.plan(loader)?;
            let plan = self.planner.due().ok_or(Error::Batch(npair_batch::Error::NoPrototypes))?;
            let loss = self.learn(loader, &plan, batch)?;
            report.add(&loss, 1. / accumulate as f64)?;
            report.examples += plan.ids.len();
            self.check_reach(&loss)?;
        }
        let factor = self.schedule.factor(self.step, self.extent.steps);
        report.grad_norm = self.updater.step(factor)?.grad_norm;
        if !report.grad_norm.is_finite() {
            return Err(Error::Diverged { step: report.step, what: "the gradient".to_owned() });
        }
        self.step = report.step;
        report.learning_rate = factor * self.updater.optimizer().learning_rate();
        report.seconds = start.elapsed().as_secs_f64();
        report.data_seconds = (loader.waited() - waited).as_secs_f64();
        report.mining_seconds = mining.as_secs_f64();
        let mut line = serde_json::to_value(&report).map_err(|e| Error::file(&self.folder.journal(), e))?;
        line["kind"] = "step".into();
        self.journal.write(&line)?;
        Ok(report)
    }

    /// An error unless the gradients taken reach every variable. A batch whose hinges are all satisfied has nothing to teach: the
    /// next one is asked.
    fn check_reach(&mut self, loss: &LossValue) -> Result<()> {
        if self.checked || loss.active == 0 {
            return Ok(());
        }
        let names = self.updater.dead(&self.extent.allow_dead)?;
        if !names.is_empty() {
            return Err(Error::Dead { step: self.step + 1, names });
        }
        self.checked = true;
        Ok(())
    }

    /// Takes the gradients of a batch, in pieces if the run is to.
    fn learn(&mut self, loader: &mut dyn Loader, plan: &BatchPlan, batch: u64) -> Result<LossValue> {
        let Self { model, objective, updater, pieces, streams, ranks, .. } = self;
        let (model, mode) = (model.as_ref(), Mode::train(*streams, batch));
        let device = model.device();
        let mut examples = || Ok::<_, Error>(loader.next()?.to_device(&device)?);
        if let Some(ranks) = ranks {
            let work = Work { model, mode: &mode, batch: plan.ids.len(), number: batch, pieces: *pieces };
            let loss = match objective.shared(&plan.tuples) {
                Some(shared) => ranks.learn_shared(&work, examples, shared, updater)?,
                None => {
                    ranks.learn(&work, examples, |embeddings| objective.detached(embeddings, plan, batch), updater)?
                }
            };
            updater.end_batch();
            return Ok(loss);
        }
        let mut aim = |embeddings: &candle_core::Tensor| objective.detached(embeddings, plan, batch);
        let loss = match *pieces {
            None => {
                let (total, loss) = aim(&model.forward(&examples()?, &mode)?)?;
                updater.add_part(&npair_nn::backward(&total)?)?;
                loss
            }
            Some(cache) => {
                cache.gradients(model, (&mode, plan.ids.len()), |_| examples(), aim, |grads| updater.add_part(grads))?
            }
        };
        updater.end_batch();
        Ok(loss)
    }

    /// Plans ahead; embeds candidates when the due batch waits for them. Returns the time of the latter.
    fn plan(&mut self, loader: &mut dyn Loader) -> Result<Duration> {
        let Extent { accumulate, steps, checkpoint_every: every, .. } = self.extent;
        let noted = |batch: u64| {
            let done = (batch + 1) / accumulate;
            (batch + 1).is_multiple_of(accumulate) && (done == steps || is_due(done, every))
        };
        self.planner.fill(loader, &noted)?;
        let Some(ask) = self.planner.candidates() else { return Ok(Duration::ZERO) };
        let start = Instant::now();
        let (model, inputs) = (self.model.as_ref(), self.inputs.as_ref());
        let rows = match &self.ranks {
            None => embed_ids(model, inputs, &ask.ids, &mut |_| ())?,
            Some(ranks) => ranks.embed_ids(model, inputs, &ask.ids)?,
        };
        self.planner.supply(Prototypes::new(&ask.classes, &rows, ask.measure)?)?;
        self.planner.fill(loader, &noted)?;
        let time = start.elapsed();
        let (candidates, seconds) = (ask.classes.len(), time.as_secs_f64());
        self.journal
            .write(&json!({ "kind": "mining", "step": self.step, "candidates": candidates, "seconds": seconds }))?;
        Ok(time)
    }

    fn is_checkpoint(&self, step: u64) -> bool {
        step == self.extent.steps || is_due(step, self.extent.checkpoint_every)
    }

    fn is_validation(&self, step: u64) -> bool {
        self.validation.as_ref().is_some_and(|v| step == self.extent.steps || is_due(step, v.every.0))
    }

    fn validate(&mut self, listener: &mut dyn Callback) -> Result<()> {
        let Some((scores, mut best)) = self.judge("weights")? else { return Ok(()) };
        self.tell_schedule(&scores, listener)?;
        let mut told = scores;
        let averaged = self.callbacks.iter().find_map(|callback| callback.weights().cloned());
        if let Some(averaged) = averaged {
            let own = self.model.tensors()?;
            self.model.set_tensors(&averaged.into_iter().collect())?;
            // The run goes on with its own weights, whatever comes of judging the others.
            let judged = self.judge("average of weights");
            self.model.set_tensors(&own.into_iter().collect())?;
            if let Some((scores, true)) = judged? {
                (told, best) = (scores, true);
            }
        }
        self.tell(listener, |callback, at| callback.evaluation(at, &told, best))
    }

    /// Lets the schedule know what training has come to, and everybody else if the rate falls by it. What was judged before the
    /// first step is no fruit of training.
    fn tell_schedule(&mut self, scores: &Scores, listener: &mut dyn Callback) -> Result<()> {
        let Some(validation) = self.validation.as_ref().filter(|_| self.step > 0) else { return Ok(()) };
        let score = selected(scores, validation.select_by.as_deref(), validation.metric.as_ref());
        let Some(score) = score else { return Ok(()) };
        let before = self.schedule.factor(self.step, self.extent.steps);
        self.schedule.judged(self.step, score);
        let factor = self.schedule.factor(self.step, self.extent.steps);
        if factor == before || self.step == self.extent.steps {
            return Ok(());
        }
        let rate = factor * self.updater.optimizer().learning_rate();
        self.journal.write(&json!({ "kind": "schedule", "step": self.step, "learning_rate": rate }))?;
        let note = format!("{}: the learning rate is {rate:.2e} from step {} on", self.schedule.name(), self.step + 1);
        self.tell(listener, |callback, _| {
            callback.note(&note);
            Ok(())
        })
    }

    /// The scores of the model as it stands, and whether they are the best so far; then it is kept.
    fn judge(&mut self, weights: &str) -> Result<Option<(Scores, bool)>> {
        let Some(validation) = &self.validation else { return Ok(None) };
        let scores = validation.judge(self.model.as_ref(), self.ranks.as_ref())?;
        let score = selected(&scores, validation.select_by.as_deref(), validation.metric.as_ref());
        let mut line = json!({ "kind": "evaluation", "step": self.step, "scores": scores });
        if weights != "weights" {
            line["of"] = weights.into();
        }
        self.journal.write(&line)?;
        let best = score.is_some_and(|score| self.best.is_none_or(|best| score > best));
        if best {
            self.best = score;
        }
        if best && self.leads() {
            let place = self.folder.place("best");
            let new = files::fresh(&place)?;
            self.model.save(&new)?;
            let step = json!({ "step": self.step, "of": weights });
            npair_evaluate::write_file(&new.join(STEP), step.to_string().as_bytes())?;
            files::replace(&new, &place)?;
        }
        Ok(Some((scores, best)))
    }

    /// Whether this process writes checkpoints and the journal: it is the first rank, or alone.
    pub fn leads(&self) -> bool {
        self.ranks.as_ref().is_none_or(Ranks::leads)
    }

    fn save(&mut self) -> Result<()> {
        let batch = (self.step * self.extent.accumulate).saturating_sub(1);
        let mut state = State::new(self.step, self.planner.state_after(batch)?, self.best);
        state.validation_due = self.validation_due;
        state.journal = Some(self.journal.lines());
        state.shards = self.ranks.as_ref().map(Ranks::shards);
        if !self.leads() {
            return Ok(());
        }
        let place = self.folder.place("last");
        self.stateful().save(&place, state)
    }

    pub(crate) fn stateful(&mut self) -> Stateful<'_> {
        let Self { model, objective, updater, schedule, callbacks, .. } = self;
        Stateful { model: &**model, objective, updater, schedule: schedule.as_mut(), callbacks }
    }
}

impl std::fmt::Debug for Trainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (model, folder) = (self.model.name(), self.folder.path().display());
        write!(f, "Trainer({model} at step {} of {} in {folder})", self.step, self.extent.steps)
    }
}

/// Hears nothing.
struct Nobody;

impl Callback for Nobody {
    fn name(&self) -> &str {
        "nobody"
    }
}

fn is_due(step: u64, every: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}

/// The score that the best model is chosen by.
fn selected(scores: &Scores, named: Option<&str>, metric: &dyn Metric) -> Option<f64> {
    if let Some(name) = named {
        return scores.get(name);
    }
    let own = metric.selects_by();
    match own.is_empty() {
        true => scores.scores.first().map(|score| score.value),
        false => own.iter().find_map(|name| scores.get(name)),
    }
}
