//! What a folder may contain, and what is said about it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Tensor};
use npair_backbones::*;
use npair_nn::Mode;
use npair_testkit::inputs;
use npair_types::Streams;
use std::fs;
use std::path::Path;

fn config(width: usize) -> EmbeddingNetConfig {
    let mut config = EmbeddingNetConfig::new(
        BackboneConfig::ConvNet(ConvNetConfig { width, size: 16.into(), ..Default::default() }),
        3,
    );
    config.preprocess = serde_json::json!({"resize": 16, "mean": [0.5]});
    config.extra.insert("trained on".to_owned(), "glyphs".into());
    config
}

fn saved(dir: &Path, width: usize) -> EmbeddingNet {
    let net = EmbeddingNet::new(config(width), Streams::new(2), DType::F32, &Device::Cpu).unwrap();
    net.save(dir).unwrap();
    net
}

fn load(dir: &Path) -> Result<EmbeddingNet> {
    EmbeddingNet::load(dir, DType::F32, &Device::Cpu)
}

/// The message for a folder; it has to be one line.
fn complaint(dir: &Path) -> String {
    let message = load(dir).unwrap_err().to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

#[test]
fn a_network_comes_back_to_the_bit() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("made/on/the/way");
    let net = saved(&folder, 4);
    let x = inputs::normal(1, 1., (3, 1, 16, 16), DType::F32).unwrap();
    // Running statistics that are not the first ones.
    net.forward(&x, &Mode::train(Streams::new(1), 0)).unwrap();
    net.save(&folder).unwrap();
    let back = load(&folder).unwrap();
    assert_eq!(back.config(), net.config());
    assert_eq!(Some(&load_config(&folder).unwrap()), net.config());
    let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (a, b) = (net.varmap().tensors().unwrap(), back.varmap().tensors().unwrap());
    assert_eq!(a.len(), 4 * 5 + 2);
    for ((name, a), (other, b)) in a.iter().zip(&b) {
        assert_eq!((name, values(a)), (other, values(b)));
    }
    let out = |net: &EmbeddingNet| values(&net.forward(&x, &Mode::Eval).unwrap());
    assert_eq!(out(&net), out(&back));
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(files.len(), 2, "{files:?}");
}

#[test]
fn missing_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    assert!(complaint(dir.path()).contains("config.json: "));
    saved(dir.path(), 4);
    fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    assert!(complaint(dir.path()).contains("model.safetensors: "));
    // A file in the place of the folder.
    let file = dir.path().join("config.json");
    assert!(load(&file).is_err());
    let net = EmbeddingNet::new(config(4), Streams::new(2), DType::F32, &Device::Cpu).unwrap();
    assert!(net.save(&file).unwrap_err().to_string().contains("give a folder that can be written"));
}

#[test]
fn damaged_weights_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    saved(dir.path(), 4);
    let path = dir.path().join("model.safetensors");
    let good = fs::read(&path).unwrap();
    let mut lying = good.clone();
    // A header longer than the file.
    lying[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let text = String::from_utf8_lossy(&good[8..200]).into_owned();
    let shape = text.find("\"shape\":[").unwrap() + 8 + 9;
    let mut larger = good.clone();
    // One extent of the first tensor ten times or more what it was.
    larger[shape] = if larger[shape] == b'9' { b'8' } else { b'9' };
    for (what, bytes) in [
        ("empty", &[][..]),
        ("truncated", &good[..good.len() - 5]),
        ("half a header", &good[..40]),
        ("long header", &lying),
        ("lying shape", &larger),
        ("text", b"not a safetensors file at all"),
    ] {
        fs::write(&path, bytes).unwrap();
        let message = complaint(dir.path());
        assert!(message.contains("model.safetensors: no safetensors file"), "{what}: {message}");
        assert!(message.ends_with("or take another checkpoint"), "{what}: {message}");
    }
}

#[test]
fn weights_of_another_architecture_are_refused() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    saved(dir.path(), 4);
    saved(other.path(), 6);
    fs::copy(other.path().join("model.safetensors"), dir.path().join("model.safetensors")).unwrap();
    let message = complaint(dir.path());
    assert!(message.contains("backbone.block1.conv.weight has [6, 1, 3, 3] instead of [4, 1, 3, 3]"), "{message}");
    assert!(message.contains("from the same run"), "{message}");
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    saved(dir.path(), 4);
    let path = dir.path().join("config.json");
    let good = fs::read_to_string(&path).unwrap();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from} is not in {good}");
        fs::write(&path, good.replace(from, to)).unwrap();
        let message = complaint(dir.path());
        assert!(message.contains("config.json: "), "{message}");
        message
    };
    assert!(
        with("\"format\": 1", "\"format\": 2, \"brand-new\": 3").contains("format 2, but this npair reads up to 1")
    );
    assert!(with("\"format\": 1", "\"format\": \"one\"").contains("no whole number `format`"));
    assert!(with("\"width\"", "\"widht\"").contains("unknown field `widht`"));
    assert!(with("\"embedding\"", "\"embeding\"").contains("unknown field `embeding`"));
    assert!(with("\"conv-net\"", "\"conv-nets\"").contains("unknown variant `conv-nets`"));
    assert!(with("\"width\": 4", "\"width\": 0").contains("model setting width is 0"));
    assert!(with("{", "").contains("no JSON"));
}
