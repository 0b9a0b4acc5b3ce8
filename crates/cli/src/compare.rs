//! Whether the difference of runs is more than chance.

use crate::args::Compare as Args;
use crate::eval::{Against, judged_run};
use crate::source;
use anyhow::Result;
use npair_recipe::Device;
use npair_recipe::report::{differences, same_examples};

pub fn run(args: &Args, device: Device, json: bool) -> Result<()> {
    let judged = |folder: &std::path::PathBuf| {
        judged_run(folder, &args.checkpoint, args.split.as_deref(), Against::Nothing, device)
    };
    let runs = args.runs.iter().map(judged).collect::<Result<Vec<_>>>()?;
    if let Some(other) = runs[1..].iter().find(|other| !same_examples(&runs[0], other)) {
        let why = format!(
            "{} and {} are judged on other examples: train both on the same data with the same seed (--seed)",
            runs[0].name, other.name
        );
        return Err(source::usage("RUN", why));
    }
    for difference in differences(&runs)? {
        if json {
            let mut line = serde_json::to_value(&difference)?;
            line["verdict"] = difference.verdict().into();
            say!("{line}");
            continue;
        }
        let (found, [first, second]) = (&difference.found, &difference.runs);
        say!(
            "{:<12} {first} - {second}: {:+.4} [{:+.4}, {:+.4}], p = {:.4}: {}",
            difference.score,
            found.difference,
            found.interval.low,
            found.interval.high,
            found.p,
            difference.verdict()
        );
    }
    Ok(())
}
