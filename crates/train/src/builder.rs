use crate::checkpoint;
use crate::event_file::EventFile;
use crate::folder::RunLock;
use crate::journal::Journal;
use crate::objective::{Objective, Penalty};
use crate::planner::Planner;
use crate::trainer::{Extent, Validation};
use crate::{
    Adam, AdamSettings, Callback, Constant, Error, Every, GradCache, Optimizer, ParameterGroup, Ranks, Result, RowsOf,
    RunFolder, Schedule, Trainer, Updater, Which, optimizer,
};
use candle_core::Var;
use npair_backbones::{EmbeddingModel, Mode};
use npair_batch::{BatchSampler, TupleMiner};
use npair_evaluate::{Inputs, Metric, View};
use npair_losses::{CrossBatchMemory, Loss, NPairMc, Regularizer};
use npair_types::{ExampleId, Streams};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Files that are kept in a new run's folder: name and content.
type Kept = Vec<(String, Vec<u8>)>;

/// Puts the parts of a run together; what does not fit is said by name when it is [built](Self::build).
///
/// Only a sampler has to be given. Without more a run is the paper's: N-pair-mc, Adam at a constant rate of 0.003, 1,000 steps.
pub struct TrainerBuilder {
    model: Box<dyn EmbeddingModel>,
    inputs: Arc<dyn Inputs>,
    sampler: Option<Box<dyn BatchSampler>>,
    loss: Box<dyn Loss>,
    miner: Option<Box<dyn TupleMiner>>,
    memory: Option<CrossBatchMemory>,
    penalties: Vec<Penalty>,
    optimizer: Option<Box<dyn Optimizer>>,
    groups: Vec<ParameterGroup>,
    layer_decay: f64,
    clip_norm: f64,
    freeze: Vec<String>,
    schedule: Box<dyn Schedule>,
    pieces: Option<GradCache>,
    ranks: Option<Ranks>,
    validation: Option<Validation>,
    callbacks: Vec<Box<dyn Callback>>,
    seed: u64,
    extent: Extent,
    kept: Kept,
    notes: Vec<String>,
    curves: Curves,
}

/// Where curves are written besides the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Curves {
    Nowhere,
    TensorBoard,
}

impl TrainerBuilder {
    pub(crate) fn new(model: Box<dyn EmbeddingModel>, inputs: Arc<dyn Inputs>) -> Self {
        let extent =
            Extent { steps: 1000, checkpoint_every: 250, accumulate: 1, allow_dead: Vec::new(), judge_first: false };
        Self {
            model,
            inputs,
            sampler: None,
            loss: Box::new(NPairMc),
            miner: None,
            memory: None,
            penalties: Vec::new(),
            optimizer: None,
            groups: Vec::new(),
            layer_decay: 1.,
            clip_norm: 0.,
            freeze: Vec::new(),
            schedule: Box::new(Constant::default()),
            pieces: None,
            ranks: None,
            validation: None,
            callbacks: Vec::new(),
            seed: 0,
            extent,
            kept: Vec::new(),
            notes: Vec::new(),
            curves: Curves::Nowhere,
        }
    }

    /// Which examples form a batch.
    pub fn sampler(self, sampler: impl BatchSampler + 'static) -> Self {
        Self { sampler: Some(Box::new(sampler)), ..self }
    }

    /// What is minimized; its variables train too, as `loss.*`.
    pub fn loss(self, loss: impl Loss + 'static) -> Self {
        Self { loss: Box::new(loss), ..self }
    }

    /// Which tuples of a batch the loss looks at.
    pub fn miner(self, miner: impl TupleMiner + 'static) -> Self {
        Self { miner: Some(Box::new(miner)), ..self }
    }

    /// Embeddings of the last batches as further rows to compare with.
    pub fn memory(self, memory: CrossBatchMemory) -> Self {
        Self { memory: Some(memory), ..self }
    }

    /// Adds a penalty, times `weight`, of the embeddings or of the rows that the loss has for every class.
    pub fn regularizer(mut self, weight: f64, of: RowsOf, regularizer: impl Regularizer + 'static) -> Self {
        self.penalties.push(Penalty { weight, of, regularizer: Box::new(regularizer) });
        self
    }

    /// How gradients move variables.
    pub fn optimizer(self, optimizer: impl Optimizer + 'static) -> Self {
        Self { optimizer: Some(Box::new(optimizer)), ..self }
    }

    /// Parts of the model, or of the loss, with a rate or decay of their own.
    pub fn groups(self, groups: Vec<ParameterGroup>) -> Self {
        Self { groups, ..self }
    }

    /// Layer-wise decay of the learning rate: layer l of the model, of which the head is number L, learns at `decay^(L - l)` times the
    /// rate that it has without (that of its group too); 1 for none. For a model that names its
    /// [`stages`](EmbeddingModel::stages).
    ///
    /// # Source
    /// Clark et al., ICLR 2020 (ELECTRA); Bao et al., ICLR 2022 (BEiT).
    pub fn layer_decay(self, decay: f64) -> Self {
        Self { layer_decay: decay, ..self }
    }

    /// Largest Euclidean norm of the whole gradient; 0 for none.
    pub fn clip_norm(self, clip_norm: f64) -> Self {
        Self { clip_norm, ..self }
    }

    /// Batches whose gradients are averaged into one step.
    pub fn accumulate(mut self, batches: u64) -> Self {
        self.extent.accumulate = batches;
        self
    }

    /// What does not train, by the beginning of its name, up to a dot.
    pub fn freeze(self, prefixes: Vec<String>) -> Self {
        Self { freeze: prefixes, ..self }
    }

    /// What may stay without a gradient, by the beginning of its name; anything else without one ends the run at its first step.
    pub fn allow_dead(mut self, prefixes: Vec<String>) -> Self {
        self.extent.allow_dead = prefixes;
        self
    }

    /// The learning rate over the steps.
    pub fn schedule(self, schedule: impl Schedule + 'static) -> Self {
        Self { schedule: Box::new(schedule), ..self }
    }

    /// Takes gradients in pieces: a batch takes no more memory than a piece.
    pub fn grad_cache(self, pieces: GradCache) -> Self {
        Self { pieces: Some(pieces), ..self }
    }

    /// Shares every batch among ranks, which all build the same trainer over one folder; they begin with the first one's weights. How the
    /// batch is cut is part of the run: one that goes on with as many shards as before takes the same steps on any number of ranks, and one
    /// that is cut otherwise says so.
    pub fn ranks(self, ranks: Ranks) -> Self {
        Self { ranks: Some(ranks), ..self }
    }

    /// Judges other inputs while training, and keeps the best model by it.
    pub fn validate(mut self, inputs: impl Inputs + 'static, metric: impl Metric + 'static, every: Every) -> Self {
        let select_by = self.validation.take().and_then(|v| v.select_by);
        self.validation = Some(Validation { inputs: Arc::new(inputs), metric: Box::new(metric), every, select_by });
        self
    }

    /// Judges the model before the first step as well: one that has learned something already is kept as the best unless training
    /// makes a better one.
    pub fn judge_first(mut self, judged: bool) -> Self {
        self.extent.judge_first = judged;
        self
    }

    /// The score that the best model is chosen by, of those that the metric of [`validate`](Self::validate) gives; larger is
    /// better.
    pub fn select_by(mut self, score: impl Into<String>) -> Self {
        if let Some(validation) = &mut self.validation {
            validation.select_by = Some(score.into());
        }
        self
    }

    /// Adds something that hears of training.
    pub fn callback(mut self, callback: impl Callback + 'static) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// Number of steps.
    pub fn steps(mut self, steps: u64) -> Self {
        self.extent.steps = steps;
        self
    }

    /// Steps between checkpoints; the last step always makes one.
    pub fn checkpoint_every(mut self, steps: u64) -> Self {
        self.extent.checkpoint_every = steps;
        self
    }

    /// Seed of augmentation, dropout and mining. A sampler and a model have been given theirs.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// A file that is kept in a new run's folder: the settings that the parts were made of, say.
    pub fn keep(mut self, name: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        self.kept.push((name.into(), content.into()));
        self
    }

    /// Something worth telling when training begins.
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// Writes what the journal tells to event files of TensorBoard as well, in the folder `tensorboard` of the run:
    /// `tensorboard --logdir RUN` shows them.
    pub fn tensor_board(self) -> Self {
        Self { curves: Curves::TensorBoard, ..self }
    }

    /// Begins a run in a new folder, which is made when everything else is in order.
    ///
    /// # Errors
    /// [`Error::Mismatch`] with the names of parts that do not go together, [`Error::Setting`] for a number out of range or a name
    /// that is none, [`Error::File`] if there is something in the folder; [`Error::Ranks`] if another rank could not begin, or is
    /// elsewhere.
    pub fn build(self, folder: impl AsRef<Path>) -> Result<Trainer> {
        let (ready, kept) = self.ready()?;
        let (folder, lock) = ready.first(|| RunFolder::create(folder.as_ref(), &kept), folder.as_ref())?;
        ready.into_trainer(folder, lock, (0, None))
    }

    /// Goes on with a run from its last checkpoint, with parts made as they were for [`build`](Self::build); from the start if it
    /// was stopped before the first one.
    ///
    /// # Errors
    /// As [`build`](Self::build), and if the folder is no run, or its checkpoint is one of other parts.
    pub fn resume(self, folder: impl AsRef<Path>) -> Result<Trainer> {
        let (ready, _) = self.ready()?;
        let (folder, lock) = ready.first(|| RunFolder::open(folder.as_ref()), folder.as_ref())?;
        let Ok(place) = folder.checkpoint(Which::Last) else {
            let every = ready.extent.checkpoint_every;
            if every > 0 && Journal::last_step(&folder.journal()) > every {
                let why = "has lost its checkpoints, but its journal tells of steps after one: put them back, or start a new run";
                return Err(Error::file(folder.path(), why));
            }
            return ready.into_trainer(folder, lock, (0, None));
        };
        let (step, journal) = checkpoint::steps_of(&place)?;
        let mut trainer = ready.into_trainer(folder, lock, (step, journal))?;
        let accumulate = trainer.extent.accumulate;
        let state = trainer.stateful().load(&place, accumulate)?;
        let other = |e: Error| Error::file(&place, e.to_string());
        trainer.planner.restore(&state.sampler).map_err(other)?;
        trainer.best = state.best;
        let shards = trainer.ranks.as_ref().map(Ranks::shards);
        if shards != state.shards {
            let word =
                |shards: Option<usize>| shards.map_or("one piece".to_owned(), |shards| format!("{shards} shards"));
            trainer.notes.push(format!(
                "a batch is {} from here on, where it was {}: not the bits of a run without a break",
                word(shards),
                word(state.shards)
            ));
        }
        trainer.validation_due = state.validation_due;
        Ok(trainer)
    }

    /// Checks everything that can be checked before there is a folder.
    fn ready(self) -> Result<(Ready, Kept)> {
        let setting = |setting, why: &str| Err(Error::Setting { setting, why: why.to_owned() });
        if self.extent.steps == 0 {
            return setting("training.steps", "is 0, but has to be at least 1");
        }
        if self.extent.accumulate == 0 {
            return setting("optimizer.accumulate", "is 0, but has to be at least 1");
        }
        let Some(mut sampler) = self.sampler else {
            return setting("sampler", "there is none: give one to the builder, an NPairSampler for N pairs");
        };
        let names: Vec<&str> = self.callbacks.iter().map(|callback| callback.name()).collect();
        if let Some(twice) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
            let why = format!("two are called {}: give each a name of its own", twice.1);
            return Err(Error::Setting { setting: "callback", why });
        }
        let width = try_out(self.model.as_ref(), self.inputs.as_ref())?;
        if let Some(validation) = &self.validation {
            validation.check_labels()?;
            validation.check_choice(self.model.as_ref())?;
        }
        self.ranks.as_ref().map_or(Ok(()), |ranks| ranks.check(sampler.batch_size()))?;
        self.schedule.check(self.extent.steps, self.validation.as_ref().map(Validation::every))?;
        let (streams, device) = (Streams::new(self.seed), self.model.device());
        let Self { loss, miner, memory, penalties, .. } = self;
        let objective = Objective { loss, miner, memory, penalties, streams, device };
        objective.check(sampler.as_ref())?;
        objective.try_out(sampler.as_mut(), width)?;
        let mut notes = self.notes;
        let mut vars = self.model.variables();
        vars.extend(objective.variables());
        freeze(&self.freeze, &self.extent.allow_dead, &mut vars, &mut notes)?;
        let layers = (self.model.name(), &self.model.stages());
        let groups = optimizer::layered(&vars, &self.groups, layers, self.layer_decay)?;
        let optimizer = match self.optimizer {
            Some(optimizer) => optimizer,
            None => Box::new(Adam::new(AdamSettings::default())?),
        };
        let updater = Updater::with(vars, optimizer, &groups, self.clip_norm)?;
        notes.extend(updater.describe());
        let ready = Ready {
            model: self.model,
            inputs: self.inputs,
            objective,
            updater,
            schedule: self.schedule,
            pieces: self.pieces,
            ranks: self.ranks,
            sampler,
            validation: self.validation,
            callbacks: self.callbacks,
            streams,
            extent: self.extent,
            notes,
            curves: self.curves,
        };
        Ok((ready, self.kept))
    }
}

/// Parts that fit, before there is a folder.
struct Ready {
    model: Box<dyn EmbeddingModel>,
    inputs: Arc<dyn Inputs>,
    objective: Objective,
    updater: Updater,
    schedule: Box<dyn Schedule>,
    pieces: Option<GradCache>,
    ranks: Option<Ranks>,
    sampler: Box<dyn BatchSampler>,
    validation: Option<Validation>,
    callbacks: Vec<Box<dyn Callback>>,
    streams: Streams,
    extent: Extent,
    notes: Vec<String>,
    curves: Curves,
}

impl Ready {
    /// The run's folder, as the rank that writes makes or opens it, and its lock; the others open what is there then.
    fn first(&self, open: impl FnOnce() -> Result<RunFolder>, folder: &Path) -> Result<(RunFolder, Option<RunLock>)> {
        let Some(ranks) = &self.ranks else {
            let folder = open()?;
            let lock = RunLock::take(folder.path())?;
            return Ok((folder, Some(lock)));
        };
        let own = match ranks.leads() {
            true => {
                let folder = open()?;
                let lock = RunLock::take(folder.path())?;
                Some((folder, Some(lock)))
            }
            false => None,
        };
        ranks.wait("the run's folder")?;
        own.map_or_else(|| Ok((appeared(folder)?, None)), Ok)
    }

    fn into_trainer(
        self,
        folder: RunFolder,
        lock: Option<RunLock>,
        (step, lines): (u64, Option<usize>),
    ) -> Result<Trainer> {
        let Extent { steps, accumulate, .. } = self.extent;
        let planner = Planner::new(self.sampler, self.pieces, step * accumulate, steps * accumulate);
        let planner = planner.shared(self.ranks.clone());
        if let Some(ranks) = &self.ranks {
            ranks.align(self.model.as_ref(), &self.updater)?;
        }
        let mut journal = match lock {
            Some(_) => Journal::open(&folder.journal(), step, lines)?,
            None => Journal::of_another(&folder.journal(), lines),
        };
        if lock.is_some() && self.curves == Curves::TensorBoard {
            journal = journal.with_events(EventFile::create(folder.path(), step)?);
        }
        Ok(Trainer {
            model: self.model,
            inputs: self.inputs,
            objective: self.objective,
            updater: self.updater,
            schedule: self.schedule,
            pieces: self.pieces,
            ranks: self.ranks,
            planner,
            validation: self.validation,
            callbacks: self.callbacks,
            streams: self.streams,
            extent: self.extent,
            folder,
            journal,
            notes: self.notes,
            checked: step > 0,
            step,
            best: None,
            validation_due: false,
            _lock: lock,
        })
    }
}

/// How long a folder that another machine has made may take to be seen here: file systems of a network remember what was not there.
const SEEN_WITHIN: Duration = Duration::from_secs(60);

/// The folder of a run that another rank has just made.
fn appeared(folder: &Path) -> Result<RunFolder> {
    let begun = Instant::now();
    while !folder.exists() {
        if begun.elapsed() > SEEN_WITHIN {
            let why = "was made by rank 0, but is not here: take a folder that all ranks see at one path, on a network's file system say";
            return Err(Error::file(folder, why));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    RunFolder::open(folder)
}

/// The width of the model's embeddings of the inputs: tried on the first two, before anything is trained.
fn try_out(model: &dyn EmbeddingModel, inputs: &dyn Inputs) -> Result<usize> {
    let ids: Vec<ExampleId> = (0..inputs.len().min(2)).map(ExampleId).collect();
    if ids.is_empty() {
        let why = format!("{} holds no examples", inputs.name());
        return Err(Error::Setting { setting: "inputs", why });
    }
    let first = inputs.load(&ids, View::PLAIN)?.to_device(&model.device())?;
    let wrong =
        |why: String| Error::Mismatch { parts: format!("model {}, inputs {}", model.name(), inputs.name()), why };
    let embedded = model.forward_no_grad(&first, &Mode::Eval).map_err(|e| wrong(e.to_string()))?;
    match embedded.dims() {
        [rows, width] if *rows == ids.len() && *width > 0 => Ok(*width),
        got => Err(wrong(format!("{} examples became {got:?}, but a row of width D each is needed", ids.len()))),
    }
}

/// Takes out what is not to train.
fn freeze(
    prefixes: &[String],
    allow_dead: &[String],
    vars: &mut Vec<(String, Var)>,
    notes: &mut Vec<String>,
) -> Result<()> {
    for (setting, prefixes) in [("model.freeze", prefixes), ("training.allow_dead", allow_dead)] {
        let unknown = |prefix: &String| optimizer::unknown(vars.iter().map(|(name, _)| name.as_str()), prefix);
        if let Some(why) = prefixes.iter().find_map(unknown) {
            return Err(Error::Setting { setting, why });
        }
    }
    let (frozen, rest): (Vec<_>, Vec<_>) =
        vars.drain(..).partition(|(name, _)| prefixes.iter().any(|prefix| optimizer::is_below(name, prefix)));
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
