//! Whether two pictures show the same.

use crate::args::Verify as Args;
use crate::search::{Queries, no_thresholds};
use crate::source;
use crate::verifier::{decide, percent};
use anyhow::Result;
use npair_index::Index;
use npair_metrics::{Embeddings, PairScores, Verifier};
use npair_recipe::Device;
use npair_types::Labels;

pub fn run(args: &Args, device: Device, json: bool) -> Result<()> {
    let index = Index::open(&args.index)?;
    let verifier = index.verifier().ok_or_else(|| no_thresholds(&index))?;
    let mut values = Vec::new();
    for (setting, picture) in [("A", &args.first), ("B", &args.second)] {
        let queries = Queries::open(&index, picture, device)?;
        if queries.vectors.values.len() != index.width() {
            let rows = queries.vectors.values.len() / queries.vectors.width.max(1);
            return Err(source::usage(setting, format!("{picture} holds {rows} pictures: give one")));
        }
        values.extend(queries.vectors.values);
    }
    let pair = Embeddings::new(&values, index.width(), Labels::new([0, 0]).map_err(npair_metrics::Error::from)?);
    let pair = pair.map_err(npair_evaluate::Error::from)?;
    let similarity = PairScores::new(&pair, index.measure()).of(0, 1);
    let far = args.far.unwrap_or(Verifier::USUAL);
    let decision = decide(verifier, similarity, far)?;
    if json {
        let mut whole = serde_json::to_value(decision)?;
        whole["similarity"] = similarity.into();
        whole["far"] = far.into();
        say!("{whole}");
        return Ok(());
    }
    let word = if decision.matches { "the same" } else { "not the same" };
    let sure = decision.probability.map_or(String::new(), |p| {
        format!("; of pairs this similar {:.1} % are the same, were as many the same as not", 100. * p)
    });
    say!(
        "{word}: {} {similarity:.4}, the same from {:.4} on at a false accept rate of {}{sure}",
        index.measure(),
        decision.threshold,
        percent(far)
    );
    Ok(())
}
