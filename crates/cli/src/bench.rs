use crate::args;
use crate::device::{Scale, Timed, bench_device};
use anyhow::{Context, Result, bail};
use npair_recipe::Device;
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Times a device, a line a case, next to the last run of the same kind.
pub fn run(args: &args::Bench, device: Device, json: bool) -> Result<()> {
    let opened = device.open()?;
    let kind = json!({
        "device": device.to_string(), "threads": rayon::current_num_threads(), "quick": args.quick, "only": args.only,
    });
    let file = args.record.clone().or_else(usual);
    // Whether it can be written is known before minutes are spent.
    let mut records = file.as_deref().map(open).transpose()?;
    let last = file.as_deref().map(|path| last(path, &kind)).transpose()?.flatten();
    if !json {
        print_head(device, last.as_ref());
    }
    let scale = if args.quick { Scale::Quick } else { Scale::Usual };
    let all = bench_device(&opened, scale, &args.only, |timed| {
        if json {
            say!("{}", json!(timed));
        } else {
            print_line(timed, last.as_ref());
        }
    })?;
    if all.is_empty() {
        bail!("no case has {:?} in its name: see them all with npair bench --quick", args.only);
    }
    let (Some(path), Some(records)) = (file, &mut records) else { return Ok(()) };
    let mut record = kind;
    record["npair"] = json!(env!("CARGO_PKG_VERSION"));
    record["unix_seconds"] = json!(now());
    record["cases"] = json!(all);
    // One call: a line is there or it is not.
    records.write_all(format!("{record}\n").as_bytes()).with_context(|| cannot_write(&path))?;
    if !json {
        say!("recorded in {}", path.display());
    }
    Ok(())
}

fn cannot_write(path: &Path) -> String {
    format!("{} cannot be written; name another file with --record", path.display())
}

/// `npair/bench.jsonl` where programs keep their state; nowhere if there is no home.
fn usual() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let folder = state.or_else(|| Some(std::env::home_dir()?.join(".local/state")))?;
    Some(folder.join("npair/bench.jsonl"))
}

fn open(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        fs::create_dir_all(folder).with_context(|| cannot_write(path))?;
    }
    OpenOptions::new().create(true).append(true).open(path).with_context(|| cannot_write(path))
}

/// The last record whose device, threads and size are these. Lines that were cut off are passed over.
fn last(path: &Path, kind: &Value) -> Result<Option<Value>> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("{} cannot be read; name another file with --record", path.display()))?;
    let records = text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let same = |record: &Value| ["device", "threads", "quick", "only"].iter().all(|key| record[key] == kind[key]);
    Ok(records.into_iter().find(same))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs())
}

fn print_head(device: Device, last: Option<&Value>) {
    let threads = rayon::current_num_threads();
    say!("npair {} on {device}, {threads} threads of the CPU; medians", env!("CARGO_PKG_VERSION"));
    if let Some(last) = last {
        let days = now().saturating_sub(last["unix_seconds"].as_u64().unwrap_or(0)) / 86_400;
        let when = match days {
            0 => "less than a day ago".to_owned(),
            1 => "a day ago".to_owned(),
            n => format!("{n} days ago"),
        };
        say!("before: the last recorded run, {when}, by npair {}", last["npair"].as_str().unwrap_or("?"));
    }
    let before = if last.is_some() { "    before" } else { "" };
    say!("  {:<66} {:>10} {:>18} {:>9}{before}", "", "ms", "rate", "of limit");
}

fn print_line(timed: &Timed, last: Option<&Value>) {
    let (Some(median), Some((rate, unit))) = (timed.median(), timed.rate()) else {
        say!("  {:<66} not taken: {}", timed.name, timed.not_taken.as_deref().unwrap_or("it has no rounds"));
        return;
    };
    let share = timed.of_limit.map_or(String::new(), |share| format!("{:.0} %", 100. * share));
    let same = |last: &Value| {
        let cases: Vec<Timed> = serde_json::from_value(last["cases"].clone()).ok()?;
        cases.into_iter().find(|case| case.name == timed.name)?.median()
    };
    let before = last.map_or(String::new(), |last| {
        same(last).map_or_else(|| "       new".to_owned(), |before| format!(" {:>9.2}", 1e3 * before))
    });
    say!("  {:<66} {:>10.2} {rate:>7.1} {unit:<10} {share:>9}{before}", timed.name, 1e3 * median);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_record_of_the_same_kind_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/bench.jsonl");
        let kind = |threads: u32| json!({ "device": "cpu", "threads": threads, "quick": true });
        let mut file = open(&path).unwrap();
        assert_eq!(last(&path, &kind(2)).unwrap(), None);
        for (threads, npair) in [(2, "a"), (2, "b"), (3, "c")] {
            let mut record = kind(threads);
            record["npair"] = json!(npair);
            writeln!(file, "{record}").unwrap();
        }
        write!(file, "{{\"device\": \"cp").unwrap();
        assert_eq!(last(&path, &kind(2)).unwrap().unwrap()["npair"], "b");
        assert_eq!(last(&path, &kind(4)).unwrap(), None);
        let why = open(folder.path()).unwrap_err().to_string();
        assert!(why.contains("cannot be written; name another file with --record"), "{why}");
    }
}
