//! One side of a comparison: a child process that is asked line by line (benches/peers/protocol.py).

use crate::shell;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub struct Peer {
    name: String,
    child: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// What it said first.
    pub ready: Value,
}

impl Peer {
    /// Starts it; the error side of the inner result says why it cannot build the network.
    pub fn start(mut command: Command, name: &str) -> Result<std::result::Result<Self, String>> {
        let line = shell::line(&command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("`{line}` cannot be started; is it installed?"))?;
        let (Some(ask), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("`{line}` cannot be talked to");
        };
        let (answers, ready) = (BufReader::new(answers), Value::Null);
        let mut peer = Self { name: name.to_owned(), child, ask: Some(ask), answers, ready };
        peer.ready = peer.answer()?;
        Ok(match peer.ready["not_built"].as_str() {
            Some(why) => Err(why.to_owned()),
            None => Ok(peer),
        })
    }

    fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            let how = self.child.wait().map_or("gone".to_owned(), |status| status.to_string());
            bail!("{} ended before it answered ({how}); what it said is above", self.name);
        }
        let answer: Value = serde_json::from_str(&line)
            .with_context(|| format!("{}: the answer `{}` is not understood", self.name, line.trim()))?;
        match answer["error"].as_str() {
            Some(error) => bail!("{}: {error}", self.name),
            None => Ok(answer),
        }
    }

    /// Milliseconds of one request, as the side itself measured them.
    pub fn time(&mut self, request: &str) -> Result<f64> {
        if let Some(ask) = &mut self.ask {
            writeln!(ask, "{request}").with_context(|| format!("{} does not listen any more", self.name))?;
        }
        let answer = self.answer()?;
        answer["ms"].as_f64().with_context(|| format!("{}: `{answer}` has no `ms`", self.name))
    }

    /// Processor time that it has taken, in the system's ticks; where the system says.
    pub fn ticks(&self) -> Option<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // Behind the name, which may hold anything, in parentheses: state, ten numbers, user time, system time.
        let numbers = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(2);
        numbers.map(|n| n.parse::<u64>().ok()).sum()
    }

    /// The most memory that the process ever had, bytes; where the system says.
    pub fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(1024 * kib.trim().trim_end_matches("kB").trim_end().parse::<u64>().ok()?)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Its input closed, it ends by itself.
        self.ask = None;
        self.child.wait().ok();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_side_is_asked_line_by_line() {
        let script = r#"echo '{"ready":"x"}'; read a; echo "{\"ms\":1.5}"; read b; echo '{"error":"no such thing"}'"#;
        let mut peer = Peer::start(shell(script), "x").unwrap().ok().unwrap();
        assert_eq!(peer.ready["ready"], "x");
        assert_eq!(peer.time("step").unwrap(), 1.5);
        assert_eq!(peer.time("stepp").unwrap_err().to_string(), "x: no such thing");
        assert!(peer.time("step").unwrap_err().to_string().starts_with("x "));
    }

    #[test]
    fn what_is_not_built_is_no_error() {
        let built = Peer::start(shell(r#"echo '{"not_built":"unknown variant"}'"#), "x").unwrap();
        assert_eq!(built.err().unwrap(), "unknown variant");
        assert!(Peer::start(shell("exit 3"), "x").err().unwrap().to_string().contains("ended before it answered"));
    }
}
