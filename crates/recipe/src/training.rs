//! A run made of settings.

use crate::config::TrainingConfig;
use crate::draft::Draft;
use crate::frozen::{self, Features, Progress};
use crate::plan::{self, Plan};
use crate::ranks::{self, Together, Told};
use crate::record::{self, SplitRecord};
use crate::run::CONFIG;
use crate::watch::Watched;
use crate::{
    Config, Device, Error, Result, Run, fit, label_sets, limits, objective, pretrained, resumed, sampler, splits,
    unlabeled, without_effect,
};
use candle_core::DType;
use npair_backbones::{
    BackboneConfig, ConvNetConfig, EmbeddingModel, EmbeddingNet, HeadOnFeatures, VectorNet, VectorNetConfig,
};
use npair_evaluate::{
    FeatureInputs, Inputs, LabelSetScores, RetrievalScores, Splits, TestTimeAugmentation, TtaConfig, embed_to_judge,
    write_file,
};
use npair_metrics::Embeddings;
use npair_train::{
    Callback, Collective, EarlyStopping, EmbeddingWatch, GradCache, Outcome, PairProbe, RunFolder, Trainer,
    TrainerBuilder, WeightAverage, every,
};
use npair_types::Streams;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// A run in the making, with the settings and the data that it was made of.
#[derive(Debug)]
pub struct Training {
    config: Config,
    plan: Plan,
    splits: Splits,
    model: Arc<dyn EmbeddingModel>,
    trainer: Trainer,
    /// Whether this rank tells what comes of the run.
    leads: bool,
}

impl Training {
    /// Starts a run in a new folder.
    ///
    /// # Errors
    /// What does not fit in the configuration or the data, before anything is trained.
    pub fn start(config: Config, folder: &Path) -> Result<Self> {
        Self::start_telling(config.into(), folder, &mut |_, _| ())
    }

    /// The same of a draft, whose open settings are chosen by the data; `progress` hears of what is computed before training, the
    /// features of a frozen backbone.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub fn start_telling(draft: Draft, folder: &Path, progress: Progress<'_>) -> Result<Self> {
        Self::start_among(draft, folder, None, progress)
    }

    /// The same on several ranks, all of which start it: the first one's draft counts, and it writes the folder, which all of them have to see
    /// at the same path. The same steps to the bit, whatever their number, where `training.shards` is the same.
    ///
    /// # Errors
    /// Those of [`start`](Self::start), and of the ranks.
    pub fn start_among(
        mut draft: Draft,
        folder: &Path,
        ranks: Option<Arc<dyn Collective>>,
        progress: Progress<'_>,
    ) -> Result<Self> {
        let together = Together::of(&mut draft.config, ranks)?;
        if let Some(together) = together.as_ref().filter(|together| !together.leads()) {
            return Self::follow(together, draft.config.device, folder, progress);
        }
        // Planning takes a while.
        RunFolder::check_new(folder)?;
        let Prepared { config, plan, material, record, mut notes, features } = Prepared::of(draft, progress)?;
        notes.extend(material.train_head(&config, progress)?);
        let text = config.to_toml()?;
        // What is written has to be what is read when the run is judged.
        if Config::parse(CONFIG, &text, &[])?.to_toml()? != text {
            let why = "cannot be written so that it is read back the same: leave out what is unusual".to_owned();
            return Err(Error::Setting { setting: "config.toml", why });
        }
        let record = record.map(|record| record.to_csv()).transpose()?;
        let builder = ranks::share(together.as_ref(), material.builder(&config, features.as_ref())?)?;
        if let Some(together) = &together {
            together.tell(&text, record.as_deref())?;
        }
        let builder = notes.into_iter().fold(builder, TrainerBuilder::note).keep(CONFIG, text);
        let builder = match record {
            Some(record) => builder.keep(record::FILE, record),
            None => builder,
        };
        let trainer = builder.build(folder)?;
        if let Some(features) = features {
            features.keep(folder)?;
        }
        Ok(Training { plan, ..material.into_training(config, trainer) })
    }

    /// A rank that is not the first: takes part in the run that the first one tells of.
    fn follow(together: &Together, device: Device, folder: &Path, progress: Progress<'_>) -> Result<Self> {
        let Told { config, record } = together.hear()?;
        let config = Config { device, ..config };
        let _in_precision = config.training.precision.begin();
        let splits = splits::of_record(&config, folder, record)?;
        let material = Material::new(&config, splits)?;
        // Features are those of the weights that the run starts from; what trains is the first rank's.
        if config.model.frozen {
            material.load_pretrained(&config, &mut Vec::new())?;
        }
        let features = material.compute_features(&config, progress)?;
        let builder = together.share(material.builder(&config, features.as_ref())?)?;
        Ok(material.into_training(config, builder.build(folder)?))
    }

    /// What would be trained: the settings of a run, with what was chosen by the data and why. Nothing is written.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub fn plan_of(draft: Draft, progress: Progress<'_>) -> Result<(Config, Plan, Vec<String>)> {
        let Prepared { config, plan, material, notes, .. } = Prepared::of(draft, progress)?;
        let notes = notes.into_iter().chain(material.splits.notes).collect();
        Ok((config, plan, notes))
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
        Self::resume_telling(device, folder, &mut |_, _| ())
    }

    /// The same; `progress` hears of what has to be computed again before training.
    ///
    /// # Errors
    /// Those of [`resume`](Self::resume).
    pub fn resume_telling(device: Option<Device>, folder: &Path, progress: Progress<'_>) -> Result<Self> {
        let mut config = Run::open(folder)?.config()?;
        config.device = device.unwrap_or(config.device);
        Self::resume_as(config, folder, progress)
    }

    /// The same with changed settings: such as move neither weights nor batches, and where the data lies now.
    ///
    /// # Errors
    /// Those of [`resume`](Self::resume), and [`Error::Setting`] for a setting that would make it another run.
    pub fn resume_as(config: Config, folder: &Path, progress: Progress<'_>) -> Result<Self> {
        Self::resume_among(config, folder, None, progress)
    }

    /// The same on several ranks, all of which go on with it, with the same settings: as many as before, or another number.
    ///
    /// # Errors
    /// Those of [`resume_as`](Self::resume_as), and of the ranks.
    pub fn resume_among(
        mut config: Config,
        folder: &Path,
        ranks: Option<Arc<dyn Collective>>,
        progress: Progress<'_>,
    ) -> Result<Self> {
        let run = Run::open(folder)?;
        let together = Together::of(&mut config, ranks)?;
        let leads = ranks::leads(together.as_ref());
        limits::check(&config)?;
        config.training.precision.check(config.device)?;
        resumed::check(&run.config()?, &config)?;
        let (mut notes, checkpoint) = (Vec::new(), run.checkpoint(npair_train::Which::Last).ok());
        let before = run.config()?.training;
        if config.training.precision != before.precision {
            notes.push(
                "products are of another precision from here on: not the bits of a run without a break".to_owned(),
            );
        }
        let before = before.steps;
        if config.training.steps > before {
            let after = config.training.steps;
            notes.push(format!(
                "{after} steps instead of {before}: the learning rate is that of the longer run from here on"
            ));
        }
        let splits = match splits::go_on(&config, folder) {
            Ok(splits) => splits,
            Err(error) if checkpoint.is_some() => return Err(error),
            // Nothing was learned yet: what cannot be read may be left out, and the split is drawn of the rest.
            Err(_) => {
                let mut draft = Draft::that_shrinks(config);
                let (splits, record) = splits::begin(&mut draft)?;
                config = draft.config;
                if let Some(record) = record.filter(|_| leads) {
                    write_file(&folder.join(record::FILE), &record.to_csv()?)?;
                }
                splits
            }
        };
        let material = Material::new(&config, splits)?;
        if checkpoint.is_none() {
            material.load_pretrained(&config, &mut notes)?;
            notes.extend(material.train_head(&config, progress)?);
        }
        let features = match material.kept_features(&config, folder) {
            Some(kept) => Some(kept),
            None => {
                // Features are those of the backbone that the run has.
                if let Some(checkpoint) = checkpoint.filter(|_| config.model.frozen) {
                    material.network.model().load(&checkpoint)?;
                }
                material.compute_features(&config, progress)?
            }
        };
        let builder = ranks::share(together.as_ref(), material.builder(&config, features.as_ref())?)?;
        let trainer = notes.into_iter().fold(builder, TrainerBuilder::note).resume(folder)?;
        if leads {
            write_file(&folder.join(CONFIG), config.to_toml()?.as_bytes())?;
        }
        Ok(material.into_training(config, trainer))
    }

    /// Trains to the end, or until the callback says stop.
    ///
    /// # Errors
    /// Those of [`Trainer::fit`].
    pub fn train(&mut self, listener: &mut dyn Callback) -> Result<Outcome> {
        self.splits.notes.iter().for_each(|note| listener.note(note));
        let mut watched = Watched::new(listener, &self.config);
        let in_precision = self.config.training.precision.begin();
        let outcome = self.trainer.fit_with(&mut watched)?;
        drop(in_precision);
        if outcome.step == outcome.steps && self.leads {
            watched.diagnose(self.trainer.folder().path())?;
        }
        Ok(outcome)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What was chosen by the data, and why; empty for a run that goes on.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The data.
    pub fn splits(&self) -> &Splits {
        &self.splits
    }

    /// The model as it is now.
    pub fn model(&self) -> &Arc<dyn EmbeddingModel> {
        &self.model
    }

    /// The engine.
    pub fn trainer(&mut self) -> &mut Trainer {
        &mut self.trainer
    }

    /// Steps done.
    pub fn steps_done(&self) -> u64 {
        self.trainer.steps_done()
    }

    /// Examples of a batch.
    pub fn batch_size(&self) -> usize {
        self.trainer.batch_size()
    }
}

/// The embeddings of inputs by the network as a run begins with it, and what to call them: a network with weights of its own gives
/// its features, one from nothing its embeddings.
///
/// # Errors
/// If the weights that the run began with cannot be read any more, and those of embedding.
pub fn first_embeddings(config: &Config, inputs: &Arc<dyn Inputs>) -> Result<(&'static str, Embeddings)> {
    let splits = Splits::of_all(inputs.clone());
    let material = Material::new(config, splits)?;
    material.load_pretrained(config, &mut Vec::new())?;
    match &material.network {
        Network::Pictures(net) if config.model.pretrained.is_some() => {
            let how = (0, Streams::new(config.seed));
            let features = FeatureInputs::compute(inputs.clone(), net.clone(), how, &mut |_| ())?;
            let set = Embeddings::new(features.values(), net.features(), inputs.labels().clone());
            Ok(("pretrained features", set.map_err(npair_evaluate::Error::from)?))
        }
        network => {
            let how = TestTimeAugmentation::of(TtaConfig::default(), Streams::new(config.seed))?;
            Ok(("untrained network", embed_to_judge(network.model().as_ref(), inputs.as_ref(), how, &mut |_| ())?))
        }
    }
}

/// All that a new run is made of, before there is a folder: a mistake leaves none behind.
struct Prepared {
    config: Config,
    plan: Plan,
    material: Material,
    record: Option<SplitRecord>,
    notes: Vec<String>,
    features: Option<Features>,
}

impl Prepared {
    fn of(mut draft: Draft, progress: Progress<'_>) -> Result<Self> {
        draft.check()?;
        limits::check(&draft.config)?;
        frozen::check(&draft.config)?;
        unlabeled::check(&draft.config)?;
        label_sets::check(&draft.config)?;
        draft.config.training.precision.check(draft.config.device)?;
        let _in_precision = draft.config.training.precision.begin();
        let mut notes = Vec::new();
        let mut plan = plan::by_the_data(&mut draft)?;
        let config = &mut draft.config;
        if !config.data.source.is_vectors() {
            // The size of pictures decides what is built.
            let backbone = backbone(config)?;
            fit::images(config, &backbone)?;
            pretrained::take_images(config, &backbone, &mut notes)?;
        }
        without_effect::check(&draft)?;
        let (splits, record) = splits::begin(&mut draft)?;
        label_sets::check_names(&draft.config, splits.learned()?.as_ref())?;
        plan.settle_batch(&draft.config);
        let material = Material::new(&draft.config, splits)?;
        // How many steps there will be is seen later.
        material.check_schedule(&draft.config, u64::MAX)?;
        material.load_pretrained(&draft.config, &mut notes)?;
        let mut features = material.compute_features(&draft.config, progress)?;
        if plan.facts.is_some() {
            let learned = material.splits.learned()?.len();
            let twin = &mut |config: &Config| material.twin(config)?.unjudged(config, features.as_ref());
            plan::take_time(&mut draft, &mut plan, learned, twin)?;
        }
        if features.is_none() {
            features = material.compute_features(&draft.config, progress)?;
        }
        material.check_schedule(&draft.config, draft.config.training.steps)?;
        Ok(Self { config: draft.config, plan, material, record, notes, features })
    }
}

/// The network below the head: the named one, or the small ConvNet for the pipeline's pictures.
fn backbone(config: &Config) -> Result<BackboneConfig> {
    let images = config.pipeline()?;
    let (channels, size) = (images.config().channels.count(), images.config().size);
    let (width, blocks) = (config.model.width, config.model.blocks);
    let small = || BackboneConfig::ConvNet(ConvNetConfig { channels, size, width, blocks });
    Ok(config.model.backbone.as_ref().map_or_else(small, Clone::clone))
}

/// A network of pictures, or of vectors.
enum Network {
    Pictures(Arc<EmbeddingNet>),
    Vectors(Arc<VectorNet>),
}

impl Network {
    fn new(config: &Config, splits: &Splits, device: &candle_core::Device) -> Result<Self> {
        let (m, streams) = (&config.model, Streams::new(config.seed));
        if config.data.source.is_vectors() {
            let width = width_of(splits)?;
            let vectors = VectorNetConfig {
                hidden: m.hidden.clone(),
                dropout: m.dropout,
                output: m.output,
                ..VectorNetConfig::linear(width, m.embedding)
            };
            return Ok(Self::Vectors(Arc::new(VectorNet::new(vectors, streams, DType::F32, device)?)));
        }
        let mut model = npair_backbones::EmbeddingNetConfig::new(backbone(config)?, m.embedding);
        model.dropout = m.dropout;
        model.output = m.output;
        model.frozen_norms = m.frozen_norms;
        model.preprocess = serde_json::to_value(config.images())
            .map_err(|e| Error::Setting { setting: "images", why: e.to_string() })?;
        Ok(Self::Pictures(Arc::new(EmbeddingNet::new(model, streams, DType::F32, device)?)))
    }

    fn model(&self) -> Arc<dyn EmbeddingModel> {
        match self {
            Self::Pictures(net) => net.clone(),
            Self::Vectors(net) => net.clone(),
        }
    }
}

/// The width of a data set's vectors.
fn width_of(splits: &Splits) -> Result<usize> {
    let first = splits.all.load(&[npair_types::ExampleId(0)], npair_evaluate::View::PLAIN)?;
    Ok(first.dims2()?.1)
}

/// The data and the network that a configuration names.
struct Material {
    splits: Splits,
    network: Network,
}

impl Material {
    fn new(config: &Config, splits: Splits) -> Result<Self> {
        let device = config.device.open()?;
        let network = Network::new(config, &splits, &device)?;
        Ok(Self { splits, network })
    }

    /// Loads the weights that a run starts from into the network, and says how they fitted.
    fn load_pretrained(&self, config: &Config, notes: &mut Vec<String>) -> Result<()> {
        match &self.network {
            Network::Pictures(net) => pretrained::load(config, net, notes),
            Network::Vectors(_) if config.model.pretrained.is_some() => {
                let why = "is for networks of pictures; leave it out".to_owned();
                Err(Error::Setting { setting: "model.pretrained", why })
            }
            Network::Vectors(_) => Ok(()),
        }
    }

    /// An error if the learning rate's schedule cannot work in so many steps, before anything is computed.
    fn check_schedule(&self, config: &Config, steps: u64) -> Result<()> {
        let every = self.splits.val.as_ref().map(|_| config.training.eval_every);
        Ok(config.schedule.build()?.check(steps, every)?)
    }

    /// The same data with a network of its own, as it begins.
    fn twin(&self, config: &Config) -> Result<Self> {
        let twin = Self::new(config, self.splits.clone())?;
        twin.load_pretrained(config, &mut Vec::new())?;
        Ok(twin)
    }

    /// The network whose backbone is frozen, if it is.
    fn frozen(&self, config: &Config) -> Option<&Arc<EmbeddingNet>> {
        match &self.network {
            Network::Pictures(net) if config.model.frozen => Some(net),
            _ => None,
        }
    }

    fn compute_features(&self, config: &Config, progress: Progress<'_>) -> Result<Option<Features>> {
        let Some(net) = self.frozen(config) else { return Ok(None) };
        // What does not fit is said before minutes of work.
        builder(config, self.network.model(), &self.splits)?;
        Features::compute(config, net, &self.splits, progress).map(Some)
    }

    fn kept_features(&self, config: &Config, folder: &Path) -> Option<Features> {
        Features::kept(config, self.frozen(config)?, &self.splits, folder)
    }

    /// The parts of a run: with features, those of its head.
    fn builder(&self, config: &Config, features: Option<&Features>) -> Result<TrainerBuilder> {
        let fed = features.map_or_else(|| self.splits.clone(), |features| features.feed(&self.splits));
        let mut builder = builder(config, self.model_of(config), &fed)?;
        if let Some(watch) = EmbeddingWatch::new(fed.learned()?, config.training.eval_every) {
            builder = builder.callback(watch);
        }
        Ok(if config.training.tensor_board { builder.tensor_board() } else { builder })
    }

    /// Lets the head alone learn, on features of the backbone as it is, where that is asked for; says what came of it. A head drawn
    /// at random would spoil the backbone before it has learned anything itself.
    fn train_head(&self, config: &Config, progress: Progress<'_>) -> Result<Option<String>> {
        let (Network::Pictures(net), 1..) = (&self.network, config.model.head_steps) else { return Ok(None) };
        let begun = Instant::now();
        let alone = frozen::head_alone(config);
        let features = Features::compute(&alone, net, &self.splits, progress)?;
        let folder = tempfile::tempdir().map_err(|e| Error::file(&std::env::temp_dir(), e))?;
        let head = folder.path().join("head");
        self.unjudged(&alone, Some(&features))?.checkpoint_every(0).build(&head)?.fit()?;
        let judged = features.recall_as_they_come(config)?.map_or(String::new(), |recall| {
            format!("; before it, recall@1 of the features as they come was {recall:.4} on the validation split")
        });
        let (steps, seconds) = (config.model.head_steps, begun.elapsed().as_secs_f64());
        Ok(Some(format!(
            "the head alone learned for {steps} steps on features of the backbone, in {seconds:.0} s{judged}"
        )))
    }

    /// The parts of training beside the run, a trial or the head alone: nothing is judged.
    fn unjudged(&self, config: &Config, features: Option<&Features>) -> Result<TrainerBuilder> {
        let config =
            Config { training: TrainingConfig { probe_every: 0, ..config.training.clone() }, ..config.clone() };
        let mut fed = features.map_or_else(|| self.splits.clone(), |features| features.feed(&self.splits));
        fed.val = None;
        builder(&config, self.model_of(&config), &fed)
    }

    /// What is trained: with a frozen backbone its head.
    fn model_of(&self, config: &Config) -> Arc<dyn EmbeddingModel> {
        match self.frozen(config) {
            Some(net) => Arc::new(HeadOnFeatures::new(net.clone())),
            None => self.network.model(),
        }
    }

    fn into_training(self, config: Config, trainer: Trainer) -> Training {
        let model = self.network.model();
        let leads = trainer.leads();
        Training { config, plan: Plan::default(), splits: self.splits, model, trainer, leads }
    }
}

fn builder(config: &Config, model: Arc<dyn EmbeddingModel>, splits: &Splits) -> Result<TrainerBuilder> {
    let (streams, device) = (Streams::new(config.seed), model.device());
    let learned = splits.learned()?;
    let sets = label_sets::label_sets(config, learned.as_ref());
    let loss = objective::loss(config, &learned.class_index(), sets.as_ref(), &device)?;
    if let Some(sets) = &sets {
        label_sets::check_loss(config, sets, learned.as_ref(), loss.as_ref())?;
    }
    let builder = Trainer::builder(model, learned.clone())
        .sampler(sampler::build(config, learned.as_ref(), sets.as_ref(), loss.accepts())?)
        .loss(loss)
        .optimizer(config.optimizer.build()?)
        .groups(config.optimizer.groups())
        .layer_decay(config.optimizer.layer_decay)
        .clip_norm(config.optimizer.clip_norm)
        .accumulate(config.optimizer.accumulate as u64)
        .freeze(config.model.freeze.clone())
        .allow_dead(config.training.allow_dead.clone())
        .schedule(config.schedule.build()?)
        .steps(config.training.steps)
        .checkpoint_every(config.training.checkpoint_every)
        .seed(config.seed);
    let mut builder = objective::add(builder, config)?;
    if config.training.grad_cache > 0 {
        builder = builder.grad_cache(GradCache::new(config.training.grad_cache)?);
    }
    if let Some(val) = &splits.val {
        // What is chosen by is retrieval; clustering is left to `npair eval`.
        let settings = npair_evaluate::EvaluationConfig { pairs: 200_000, ..config.evaluation.clone() };
        let every = every(config.training.eval_every);
        builder = match label_sets::label_sets(config, val.as_ref()) {
            Some(sets) => builder.validate(val.clone(), LabelSetScores { sets, settings, streams }, every),
            None => {
                let metric = RetrievalScores { settings, pairs_per_batch: config.batch.classes, streams };
                builder.validate(val.clone(), metric, every)
            }
        };
    }
    if config.training.average > 0. {
        builder = builder.callback(WeightAverage::new(config.training.average)?);
    }
    if config.training.patience > 0 {
        builder = builder.callback(EarlyStopping::patience(config.training.patience));
    }
    builder = builder.judge_first(config.model.head_steps > 0);
    if let Some(probe) = probe(config, splits)? {
        builder = builder.callback(probe);
    }
    Ok(builder)
}

/// The N-pair loss on fixed pairs, if it is asked for: of seen classes, of validation, or of training, as there are.
fn probe(config: &Config, splits: &Splits) -> Result<Option<PairProbe>> {
    let every = config.training.probe_every;
    if every == 0 {
        return Ok(None);
    }
    let (pairs, inputs) = match (&splits.seen, &splits.val) {
        (Some(seen), _) => ("known", seen),
        (None, Some(val)) => ("val", val),
        (None, None) => ("train", splits.named("train")?),
    };
    let size = (config.batch.classes, config.evaluation.probe_batches);
    Ok(PairProbe::new(inputs, pairs, size, every, Streams::new(config.seed))?)
}
