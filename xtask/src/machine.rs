//! What a result says about where it comes from: machine, versions, commit, date. Never a host name.

use crate::shell;
use serde::Serialize;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Debug, Clone, Serialize)]
pub struct Origin {
    pub command: String,
    pub commit: String,
    pub rustc: String,
    pub cpu: String,
    pub cores: usize,
    /// Day, UTC.
    pub date: String,
}

impl Origin {
    /// Of a result that `command` makes.
    pub fn of(root: &Path, command: &str) -> Self {
        let unknown = |_| "unknown".to_owned();
        Self {
            command: command.to_owned(),
            commit: commit(root),
            rustc: shell::text(Command::new("rustc").arg("--version")).unwrap_or_else(unknown),
            cpu: cpu(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            date: date(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs())),
        }
    }

    /// Lines of a Markdown list.
    pub fn markdown(&self) -> String {
        format!(
            "- command: `{}`\n- commit: {}\n- compiler: {}\n- machine: {}, {} cores\n- date: {}\n",
            self.command, self.commit, self.rustc, self.cpu, self.cores, self.date
        )
    }
}

fn commit(root: &Path) -> String {
    let git = |args: &[&str]| shell::text(Command::new("git").current_dir(root).args(args));
    let Ok(head) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown (no git)".to_owned() };
    let clean = git(&["status", "--porcelain", "--untracked-files=no"]).is_ok_and(|s| s.is_empty());
    if clean { head } else { format!("{head}, with changes that are not committed") }
}

/// The processor's model as it names itself.
fn cpu() -> String {
    if let Ok(text) = std::fs::read_to_string("/proc/cpuinfo") {
        let model = text.lines().find_map(|l| l.strip_prefix("model name")?.split_once(':'));
        if let Some((_, model)) = model {
            return model.trim().to_owned();
        }
    }
    let mac = shell::text(Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"]));
    mac.unwrap_or_else(|_| format!("{} ({})", std::env::consts::ARCH, std::env::consts::OS))
}

/// How many programs wanted to run, on average of the last minute; where the system says.
pub fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// Time that all processors have spent, working and in all, in the system's ticks; where the system says.
pub fn ticks() -> Option<[u64; 2]> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let all: Vec<u64> = stat.lines().next()?.split_whitespace().skip(1).map_while(|n| n.parse().ok()).collect();
    // user, nice, system, idle, waiting for disks, interrupts, soft interrupts, taken by other guests.
    let [user, nice, system, idle, waiting, hard, soft, stolen, ..] = all[..] else { return None };
    let busy = user + nice + system + hard + soft + stolen;
    Some([busy, busy + idle + waiting])
}

/// A name for folders: lower case, words joined by hyphens.
pub fn slug(text: &str) -> String {
    let plain = text.replace("(R)", "").replace("(TM)", "").to_lowercase();
    let words = plain.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    words.collect::<Vec<_>>().join("-")
}

/// `yyyy-mm-dd` of seconds since 1970 (the days-to-civil algorithm of the proleptic Gregorian calendar, in eras of 400 years
/// that begin on 1 March).
fn date(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (dom, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{dom:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_dates() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(951_782_400), "2000-02-29");
        assert_eq!(date(951_782_400 + 86_400), "2000-03-01");
        assert_eq!(date(1_798_761_599), "2026-12-31");
    }

    #[test]
    fn a_processor_makes_a_folder_name() {
        assert_eq!(slug("Intel(R) Xeon(R) Processor @ 2.60GHz"), "intel-xeon-processor-2-60ghz");
    }
}
