//! Event files of TensorBoard: what the journal tells, as curves.
//!
//! A file is a sequence of records, each a length, its masked CRC-32C, a protobuf message `Event` and the masked CRC-32C of that.

use crate::{Error, Result};
use prost::{Message, Oneof};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The folder of a run that holds event files.
const FOLDER: &str = "tensorboard";

/// `tensorflow.Event`: the fields that are written.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    Session(SessionLog),
}

/// `tensorflow.Summary`.
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Scalar>,
}

/// `tensorflow.Summary.Value` with a `simple_value`.
#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// `tensorflow.SessionLog`.
#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `tensorflow.SessionLog.SessionStatus.START`: what was written of this step and later ones by an earlier process is void.
const START: i32 = 1;

/// An event file under way.
pub(crate) struct EventFile {
    path: PathBuf,
    file: fs::File,
}

impl EventFile {
    /// A new file in a run's folder, of a run that stands at `step`.
    pub(crate) fn create(run: &Path, step: u64) -> Result<Self> {
        let folder = run.join(FOLDER);
        let unwritten = |path: &Path, e: &std::io::Error| npair_evaluate::Error::unwritten(path, e);
        fs::create_dir_all(&folder).map_err(|e| unwritten(&folder, &e))?;
        let (file, path) = Self::open_new(&folder)?;
        let mut events = Self { path, file };
        events.append(0, What::FileVersion("brain.Event:2".to_owned()))?;
        if step > 0 {
            events.append(step + 1, What::Session(SessionLog { status: START }))?;
        }
        Ok(events)
    }

    /// A name that sorts behind those that are there, since TensorBoard reads files in the order of their names.
    fn open_new(folder: &Path) -> Result<(fs::File, PathBuf)> {
        let seconds = now() as u64;
        for nth in 0..1000 {
            let path = folder.join(format!("events.out.tfevents.{seconds:010}.npair.{}.{nth:03}", std::process::id()));
            match fs::OpenOptions::new().create_new(true).append(true).open(&path) {
                Ok(file) => return Ok((file, path)),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(npair_evaluate::Error::unwritten(&path, &e).into()),
            }
        }
        Err(Error::file(folder, "has a thousand event files of this second: remove some"))
    }

    /// The numbers of a line of the journal.
    pub(crate) fn write(&mut self, line: &Value) -> Result<()> {
        let scalars = scalars_of(line);
        let step = line.get("step").and_then(Value::as_u64).unwrap_or(0);
        if scalars.is_empty() { Ok(()) } else { self.append(step, What::Summary(Summary { value: scalars })) }
    }

    fn append(&mut self, step: u64, what: What) -> Result<()> {
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        let record = framed(&Event { wall_time: now(), step, what: Some(what) }.encode_to_vec());
        self.file.write_all(&record).map_err(|e| npair_evaluate::Error::unwritten(&self.path, &e).into())
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0., |since| since.as_secs_f64())
}

/// A message as a record of a TFRecord file.
fn framed(message: &[u8]) -> Vec<u8> {
    // The format's mask: a checksum of bytes that hold their own checksum would be weak.
    let masked = |bytes: &[u8]| crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes();
    let length = (message.len() as u64).to_le_bytes();
    [&length, &masked(&length)[..], message, &masked(message)].concat()
}

/// The curves that a line of the journal has a point of.
fn scalars_of(line: &Value) -> Vec<Scalar> {
    let scalar = |tag: String, value: f64| Scalar { tag, simple_value: Some(value as f32) };
    let kind = line.get("kind").and_then(Value::as_str).unwrap_or("other");
    if kind == "evaluation" {
        // Averaged weights are judged beside the weights.
        let of = line.get("of").and_then(Value::as_str).map_or(String::new(), |of| format!(" ({of})"));
        let scores = line.pointer("/scores/scores").and_then(Value::as_array).into_iter().flatten();
        let named = scores.filter_map(|score| Some((score.get("name")?.as_str()?, score.get("value")?.as_f64()?)));
        return named.map(|(name, value)| scalar(format!("validation/{name}{of}"), value)).collect();
    }
    let group = if kind == "step" { "train" } else { kind };
    let fields = line.as_object().into_iter().flatten().filter(|(key, _)| !["step", "steps"].contains(&key.as_str()));
    fields.filter_map(|(key, value)| Some(scalar(format!("{group}/{key}"), value.as_f64()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The messages of a file, read as the format says.
    fn read(path: &Path) -> Vec<Event> {
        let bytes = fs::read(path).unwrap();
        let (mut events, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
            let message = &bytes[at + 12..at + 12 + length];
            assert_eq!(framed(message), bytes[at..at + 16 + length]);
            events.push(Event::decode(message).unwrap());
            at += 16 + length;
        }
        events
    }

    #[test]
    fn records_are_those_of_the_format() {
        // Of RFC 3720, B.4: 32 bytes of zero have the CRC-32C 8a9136aa.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        // What TensorFlow's own writer makes of the version event at time 0: field 3, 13 bytes.
        let version = Event { wall_time: 0., step: 0, what: Some(What::FileVersion("brain.Event:2".to_owned())) };
        assert_eq!(version.encode_to_vec(), [&[0x1a, 13][..], b"brain.Event:2"].concat());
    }

    #[test]
    fn lines_become_points_and_a_second_process_voids_what_it_does_again() {
        let run = tempfile::tempdir().unwrap();
        let mut first = EventFile::create(run.path(), 0).unwrap();
        first.write(&json!({ "kind": "step", "step": 1, "steps": 9, "loss": 2.5, "parts": [] })).unwrap();
        let scores = json!({ "scores": [{ "name": "recall@1", "value": 0.5 }] });
        first.write(&json!({ "kind": "evaluation", "step": 1, "scores": scores, "of": "average of weights" })).unwrap();
        first.write(&json!({ "kind": "nothing", "step": 1 })).unwrap();
        let second = EventFile::create(run.path(), 7).unwrap();
        assert!(second.path > first.path);
        let events = read(&first.path);
        let point = |tag: &str, value: f32| {
            let value = vec![Scalar { tag: tag.to_owned(), simple_value: Some(value) }];
            Some(What::Summary(Summary { value }))
        };
        assert_eq!(events.len(), 3);
        assert_eq!(events[1].what, point("train/loss", 2.5));
        assert_eq!(events[2].what, point("validation/recall@1 (average of weights)", 0.5));
        assert!(events.iter().all(|event| event.wall_time > 1e9));
        let again = &read(&second.path)[1];
        assert_eq!((again.step, &again.what), (8, &Some(What::Session(SessionLog { status: START }))));
    }
}
