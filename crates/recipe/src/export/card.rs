//! What a network is, for those who find it.

use super::Exportable;
use crate::report::JudgedRun;
use npair_evaluate::{Baseline, Score};
use std::fmt::Write;

/// What is known of a network: what it was trained on, how it was judged, what it found.
#[derive(Debug)]
pub struct Card<'a> {
    /// The run, judged.
    pub run: &'a JudgedRun,
}

impl Card<'_> {
    /// The text of the model card, as the Hub reads it.
    pub(super) fn text(&self, net: &Exportable) -> String {
        let run = self.run;
        let mut text =
            "---\nlibrary_name: npair\ntags:\n- metric-learning\n- image-feature-extraction\n---\n\n".to_owned();
        let (kind, width) = match net {
            Exportable::Pictures(net) => (format!("{} for pictures", net.name()), net.embedding()),
            Exportable::Vectors(net) => ("a network for vectors".to_owned(), net.config().embedding),
        };
        let _ = writeln!(
            text,
            "# {}\n\nAn embedding network ({kind}, width {width}): examples of one class lie near each",
            run.name
        );
        let _ = writeln!(text, "other, those of others far, compared by {}.\n", run.config.evaluation.measure);
        let _ = writeln!(text, "## Training\n");
        let config = &run.config;
        let _ = writeln!(text, "* data: {}", String::from(config.data.source.clone()));
        if let Some(weights) = &config.model.pretrained {
            let _ = writeln!(text, "* began with the weights {weights}");
        }
        let (classes, each, loss) = (config.batch.classes, config.batch.per_class, config.loss.name());
        let _ = writeln!(
            text,
            "* loss {loss}, batches of {classes} classes of {each}, {} steps, seed {}",
            config.training.steps, config.seed
        );
        if let Some(step) = run.checkpoint.1 {
            let _ = writeln!(text, "* the {} checkpoint, after step {step}", run.checkpoint.0);
        }
        self.scores(&mut text);
        self.thresholds(&mut text);
        let _ = writeln!(
            text,
            "## Use\n\n```sh\nnpair index FOLDER photos/ --out shop\nnpair search shop query.jpg\n```\n"
        );
        let _ = writeln!(
            text,
            "or in PyTorch: `load()` of `load.py`; `python load.py` proves that it computes the same. Pictures"
        );
        let _ = writeln!(text, "become pixels as `preprocess` of `config.json` says.\n");
        let _ = writeln!(
            text,
            "## Limits\n\nThe scores are of classes like those above, pictures like those above. Thresholds hold for"
        );
        let _ = writeln!(
            text,
            "pairs as frequent and as hard as those that they were learned from. Licence and terms of the data"
        );
        text + "and of the first weights hold for this network, too; write them here.\n"
    }

    fn scores(&self, text: &mut String) {
        let scores = &self.run.scores;
        let (set, examples, classes) = (&scores.set, scores.examples, scores.classes);
        let _ = writeln!(
            text,
            "\n## Scores\n\nOf {set}: {examples} examples of {classes} classes, none of them trained on unless it says so;"
        );
        let _ =
            writeln!(text, "95 % intervals by the bootstrap over classes.\n\n| | {} |", Baseline::SCORES.join(" | "));
        let _ = writeln!(text, "|---|---|---|---|");
        let value = |score: &Score| match score.interval {
            Some(interval) => format!("{:.4} [{:.3}, {:.3}]", score.value, interval.low, interval.high),
            None => format!("{:.4}", score.value),
        };
        let row = |scores: &[Score]| {
            let cell = |name: &&str| scores.iter().find(|score| score.name == **name).map_or("-".to_owned(), value);
            Baseline::SCORES.iter().map(cell).collect::<Vec<_>>().join(" | ")
        };
        let _ = writeln!(text, "| this network | {} |", row(&scores.scores));
        for baseline in &self.run.baselines {
            let _ = writeln!(text, "| {} | {} |", baseline.name, row(&baseline.scores));
        }
        for note in &scores.notes {
            let _ = writeln!(text, "\n{note}.");
        }
    }

    fn thresholds(&self, text: &mut String) {
        let Some(learned) = &self.run.verifier else { return };
        let (examples, classes) = (learned.examples, learned.classes);
        let _ = writeln!(
            text,
            "\n## Thresholds\n\nFrom {examples} other examples of {classes} classes (`thresholds.json`):\n"
        );
        let _ = writeln!(text, "| false accept rate | the same from | 95 % | true accept rate |\n|---|---|---|---|");
        for t in &learned.verifier.thresholds {
            let interval = format!("[{:.4}, {:.4}]", t.interval.low, t.interval.high);
            let _ = writeln!(text, "| {} | {:.4} | {interval} | {:.4} |", t.far, t.threshold, t.tar);
        }
        let _ = writeln!(text);
    }
}
