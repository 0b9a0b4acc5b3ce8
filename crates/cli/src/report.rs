//! One page about runs.

use crate::args::Report as Args;
use crate::eval::{Against, judged_run};
use anyhow::Result;
use npair_evaluate::{check_free, write_file};
use npair_recipe::Device;
use npair_recipe::report::page;
use std::time::SystemTime;

pub fn run(args: &Args, device: Device, json: bool) -> Result<()> {
    let out = args.out.clone().unwrap_or_else(|| args.runs[0].join("report.html"));
    check_free(std::slice::from_ref(&out), args.force)?;
    let runs = args
        .runs
        .iter()
        .map(|folder| judged_run(folder, &args.checkpoint, args.split.as_deref(), Against::Baselines, device))
        .collect::<Result<Vec<_>>>()?;
    let page = crate::progress::told(|tell| {
        tell("the page".to_owned());
        page(&runs, date())
    })?;
    let html = page.html().map_err(npair_recipe::Error::from)?;
    write_file(&out, html.as_bytes())?;
    if json {
        say!("{}", serde_json::json!({ "page": out, "bytes": html.len(), "runs": args.runs }));
    } else {
        say!("{} ({:.1} MB)", out.display(), html.len() as f64 / 1e6);
    }
    Ok(())
}

/// Today, as people of all countries read it.
fn date() -> String {
    let days = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400);
    // Howard Hinnant's algorithm for the proleptic Gregorian calendar.
    let z = days as i64 + 719_468;
    let (era, of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}
