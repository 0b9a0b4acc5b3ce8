//! Every loss, miner and regularizer by its name in the settings: one row each, and nothing else in the workspace lists them.
//!
//! A row names a settings struct, which lies beside its part and knows its defaults and its words; the guide's page of settings is
//! written of the rows.

use crate::Result;
use crate::config::SumSettings;
use npair_batch::*;
use npair_losses::*;
use npair_types::{Field, Settings};
use serde::{Serialize, de::DeserializeOwned};

/// A part that settings can name.
pub struct RegistryRow<M: 'static> {
    /// Its name.
    pub name: &'static str,
    /// Names that it had in earlier releases.
    pub old: &'static [&'static str],
    /// What it is.
    pub about: &'static str,
    /// Its settings.
    pub fields: &'static [Field],
    /// Settings with those that were left out.
    pub(crate) resolve: fn(toml::Table) -> std::result::Result<toml::Table, toml::de::Error>,
    /// Makes it of resolved settings.
    pub(crate) make: M,
}

/// A kind of part.
pub trait Registered: 'static {
    /// How a part is made of resolved settings.
    type Make: Copy;
    /// The section of the settings that names one.
    const SECTION: &'static str;
    /// All parts of the kind.
    fn rows() -> &'static [RegistryRow<Self::Make>];
}

/// Losses; of `[loss]`.
#[derive(Debug, Clone, Copy)]
pub enum Losses {}

/// Miners of tuples; of `[miner]`.
#[derive(Debug, Clone, Copy)]
pub enum Miners {}

/// Regularizers; of `[[regularizer]]`.
#[derive(Debug, Clone, Copy)]
pub enum Regularizers {}

/// How a loss is made.
pub type MakeLoss = fn(&toml::Table, &mut LossContext<'_>) -> Result<Box<dyn Loss>>;
/// How a miner is made.
pub type MakeMiner = fn(&toml::Table) -> Result<Box<dyn TupleMiner>>;
/// How a regularizer is made.
pub type MakeRegularizer = fn(&toml::Table) -> Result<Box<dyn Regularizer>>;

impl Registered for Losses {
    type Make = MakeLoss;
    const SECTION: &'static str = "loss";
    fn rows() -> &'static [RegistryRow<MakeLoss>] {
        LOSSES
    }
}

impl Registered for Miners {
    type Make = MakeMiner;
    const SECTION: &'static str = "miner";
    fn rows() -> &'static [RegistryRow<MakeMiner>] {
        MINERS
    }
}

impl Registered for Regularizers {
    type Make = MakeRegularizer;
    const SECTION: &'static str = "regularizer";
    fn rows() -> &'static [RegistryRow<MakeRegularizer>] {
        REGULARIZERS
    }
}

/// The row of a name, an earlier one too.
pub(crate) fn find<K: Registered>(name: &str) -> Option<&'static RegistryRow<K::Make>> {
    K::rows().iter().find(|row| row.name == name || row.old.contains(&name))
}

/// Settings of a struct, with those that were left out.
fn resolve<S: Serialize + DeserializeOwned>(table: toml::Table) -> std::result::Result<toml::Table, toml::de::Error> {
    let settings: S = table.try_into()?;
    toml::Table::try_from(settings).map_err(serde::de::Error::custom)
}

/// Settings that were resolved.
fn read<S: DeserializeOwned>(table: &toml::Table) -> Result<S> {
    let wrong = |e: toml::de::Error| crate::Error::Config { place: "settings".to_owned(), why: e.message().to_owned() };
    table.clone().try_into().map_err(wrong)
}

fn loss<S: LossSettings + DeserializeOwned>(
    table: &toml::Table,
    context: &mut LossContext<'_>,
) -> Result<Box<dyn Loss>> {
    read::<S>(table)?.build(context).map_err(|error| with_key("loss", table, error.into()))
}

/// An error about a setting of a part, with the whole key where its words are those of one.
fn with_key(section: &str, settings: &toml::Table, error: crate::Error) -> crate::Error {
    let crate::Error::Loss(npair_losses::Error::Setting { what, .. }) = &error else { return error };
    let key = what.trim_start_matches("the ").replace(' ', "_");
    if !settings.contains_key(&key) {
        return error;
    }
    let said = error.to_string();
    let why = said.strip_prefix(what).unwrap_or(&said).trim_start().to_owned();
    crate::Error::Config { place: format!("{section}.{key}"), why }
}

fn miner<S: TupleMinerSettings + DeserializeOwned>(table: &toml::Table) -> Result<Box<dyn TupleMiner>> {
    Ok(read::<S>(table)?.build()?)
}

fn regularizer<S: RegularizerSettings + DeserializeOwned>(table: &toml::Table) -> Result<Box<dyn Regularizer>> {
    read::<S>(table)?.build().map_err(|error| with_key("regularizer", table, error.into()))
}

/// Makes the loss that settings name.
///
/// # Errors
/// If a setting is out of range.
pub fn build_loss(config: &crate::config::LossConfig, context: &mut LossContext<'_>) -> Result<Box<dyn Loss>> {
    (config.maker())(config.settings(), context)
}

/// A row: how it is made, its name and settings, and names that it had.
macro_rules! row {
    ($make:ident, $name:literal, $settings:ty $(, $old:literal)*) => {
        RegistryRow {
            name: $name,
            old: &[$($old),*],
            about: <$settings>::ABOUT,
            fields: <$settings>::FIELDS,
            resolve: resolve::<$settings>,
            make: $make::<$settings>,
        }
    };
}

static LOSSES: &[RegistryRow<MakeLoss>] = &[
    row!(loss, "n-pair-mc", NPairMcSettings),
    row!(loss, "n-pair-mc-symmetric", SymmetricNPairMcSettings),
    row!(loss, "n-pair-ovo", NPairOvoSettings),
    row!(loss, "triplet", SmoothTripletSettings),
    row!(loss, "triplet-margin", TripletMarginSettings),
    row!(loss, "triplet-margin-free", MarginFreeTripletSettings),
    row!(loss, "tuplet", NTupletSettings),
    row!(loss, "contrastive", ContrastiveSettings),
    row!(loss, "nca-style", NcaStyleSettings),
    row!(loss, "multi-positive-n-pair", MultiPositiveNPairSettings),
    row!(loss, "softmax", SoftmaxClassifierSettings),
    row!(loss, "lifted-structure", LiftedStructureSettings),
    row!(loss, "generalized-lifted-structure", GeneralizedLiftedStructureSettings, "generalised-lifted-structure"),
    row!(loss, "histogram", HistogramSettings),
    row!(loss, "angular", AngularSettings),
    row!(loss, "tuplet-margin", TupletMarginSettings),
    row!(loss, "batch-hard-triplet", BatchHardTripletSettings, "triplet-batch-hard"),
    row!(loss, "batch-hard-triplet-soft", BatchHardTripletSoftSettings, "triplet-batch-hard-soft"),
    row!(loss, "batch-all-triplet", BatchAllTripletSettings, "triplet-margin-all"),
    row!(loss, "pairwise-contrastive", PairwiseContrastiveSettings, "contrastive-all"),
    row!(loss, "fast-ap", FastApSettings),
    row!(loss, "smooth-ap", SmoothApSettings),
    row!(loss, "ranked-list", RankedListSettings),
    row!(loss, "multi-similarity", MultiSimilaritySettings),
    row!(loss, "circle", CircleSettings),
    row!(loss, "nt-xent", NtXentSettings),
    row!(loss, "sup-con", SupConSettings),
    row!(loss, "multi-sup-con", MultiSupConSettings),
    row!(loss, "sphere-face", SphereFaceSettings),
    row!(loss, "cos-face", CosFaceSettings),
    row!(loss, "arc-face", ArcFaceSettings),
    row!(loss, "sub-center-arc-face", SubCenterArcFaceSettings, "sub-centre-arc-face"),
    row!(loss, "normalized-softmax", NormalizedSoftmaxSettings, "normalised-softmax"),
    row!(loss, "proxy-nca", ProxyNcaSettings),
    row!(loss, "proxy-anchor", ProxyAnchorSettings),
    row!(loss, "soft-triple", SoftTripleSettings),
    row!(loss, "margin", MarginLossSettings),
    row!(loss, "sig-lip", SigLipSettings),
    row!(loss, "weighted-sum", SumSettings),
];

static MINERS: &[RegistryRow<MakeMiner>] = &[
    row!(miner, "all-triplets", AllTripletsSettings),
    row!(miner, "batch-hard", BatchHardSettings),
    row!(miner, "hardest", HardestSettings),
    row!(miner, "semi-hard", SemiHardSettings),
    row!(miner, "easy-positive", EasyPositiveSettings),
    row!(miner, "distance-weighted", DistanceWeightedSettings),
    row!(miner, "angular", AngularMinerSettings),
    row!(miner, "multi-similarity", MultiSimilarityMinerSettings),
];

static REGULARIZERS: &[RegistryRow<MakeRegularizer>] = &[
    row!(regularizer, "lp-norm", LpNormSettings),
    row!(regularizer, "center-invariant", CenterInvariantSettings, "centre-invariant"),
    row!(regularizer, "zero-mean", ZeroMeanSettings),
    row!(regularizer, "regular-face", RegularFaceSettings),
    row!(regularizer, "sparse-centers", SparseCentersSettings, "sparse-centres"),
    row!(regularizer, "ko-leo", KoLeoSettings),
    row!(regularizer, "uniformity", UniformitySettings),
];
