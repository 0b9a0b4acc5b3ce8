//! The thresholds that belong to a model: kept beside it, or learned from the validation split of its run.

use crate::{embedded, source};
use anyhow::Result;
use npair_evaluate::EvaluationConfig;
use npair_metrics::{Decision, Embeddings, Rates, Threshold, VerificationPairs, Verifier};
use npair_recipe::{Config, Device, LearnedVerifier, Run, Which, learns_thresholds};
use npair_types::{Purpose, Streams};
use std::path::Path;

/// Where a verifier is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The folder of a run or of a model.
    pub folder: &'a Path,
    /// best or last.
    pub checkpoint: &'a str,
    /// A false accept rate that its thresholds have to be for, beside the usual ones.
    pub far: Option<f64>,
    /// What embeds.
    pub device: Device,
}

impl Asked<'_> {
    fn rates(&self) -> Vec<f64> {
        self.far.into_iter().chain(Verifier::RATES).collect()
    }

    /// The verifier that is kept, or a new one, which is kept if it is of the best checkpoint; none if there is nothing to learn it
    /// from: a run's own data may be gone, which is said and harms nothing else unless a rate is asked for. A model's folder has the
    /// one that it was exported with.
    pub fn find(&self, config: &Config) -> Result<Option<LearnedVerifier>> {
        let Ok(run) = Run::open(self.folder) else { return Ok(LearnedVerifier::read(self.folder)?) };
        let which = if self.checkpoint == "last" { Which::Last } else { Which::Best };
        if let Some(kept) = LearnedVerifier::of_run(&run, which, config, &self.rates())? {
            return Ok(Some(kept));
        }
        let learned = match self.learn(config, run.step_of(which)) {
            Ok(learned) => learned,
            Err(error) if self.far.is_some() => return Err(error),
            Err(error) => {
                warn!("note: thresholds cannot be learned from the run's validation split: {error:#}");
                return Ok(None);
            }
        };
        if let Some(new) = learned.as_ref().filter(|_| which == Which::Best)
            && let Err(error) = new.write(self.folder)
        {
            warn!("note: thresholds are not kept: {error}");
        }
        Ok(learned)
    }

    fn learn(&self, config: &Config, step: Option<u64>) -> Result<Option<LearnedVerifier>> {
        let own = source::load(self.folder, self.checkpoint, None, &[], self.device)?;
        // Two classes that are sets of labels may share most of them: they are neither the same nor not.
        if !learns_thresholds(&own.splits) || own.config.data.label_separator.is_some() {
            return Ok(None);
        }
        let side = own.splits.named("val")?;
        let set = embedded::plain_to_judge(own.model.as_ref(), side.as_ref())?;
        let evaluation = config.evaluation.clone();
        let config = Config { evaluation, ..own.config };
        Ok(Some(LearnedVerifier::learn(&config, side.name(), &set, &self.rates(), step)?))
    }
}

/// What the thresholds do on the pairs of a set.
pub fn rates_on(
    verifier: &Verifier,
    set: &Embeddings,
    settings: &EvaluationConfig,
    streams: Streams,
) -> Result<Vec<Rates>> {
    let mut rng = streams.open(Purpose::Evaluation, [9, 0]);
    let pairs = VerificationPairs::of(set, verifier.measure, settings.pairs, &mut rng);
    Ok(verifier.rates_on(&pairs.map_err(npair_evaluate::Error::from)?))
}

/// The threshold for a false accept rate; a rate that is too low for those that were learned is a wrong option.
pub fn threshold(verifier: &Verifier, far: f64) -> Result<&Threshold> {
    verifier.threshold(far).map_err(|error| source::usage("--far", error.to_string()))
}

/// What is said of a pair of this similarity at a false accept rate.
pub fn decide(verifier: &Verifier, similarity: f64, far: f64) -> Result<Decision> {
    threshold(verifier, far)?;
    Ok(verifier.decide(similarity, far).map_err(npair_evaluate::Error::from)?)
}

/// A false accept rate from the command line.
pub fn far(text: &str) -> std::result::Result<f64, String> {
    let (number, scale) = text.strip_suffix('%').map_or((text, 1.), |number| (number, 0.01));
    match number.trim().parse::<f64>() {
        Ok(rate) if rate > 0. && rate * scale < 1. => Ok(rate * scale),
        _ => Err("it is a share of wrong pairs between 0 and 1: 0.001, or 0.1%".to_owned()),
    }
}

/// A rate as people read it.
pub fn percent(rate: f64) -> String {
    let percent = 100. * rate;
    match percent {
        0. => "0 %".to_owned(),
        p if p < 0.01 => format!("{p:.1e} %"),
        p if p < 1. => format!("{p:.2} %"),
        p => format!("{p:.1} %"),
    }
}
