//! Weights that PyTorch wrote (tests/weights/make.py), and what is said where they do not fit.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Tensor};
use npair_backbones::*;
use npair_types::Streams;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

const COUNTER: &str = "block1.norm.num_batches_tracked";

fn net(width: usize) -> EmbeddingNet {
    let backbone = BackboneConfig::ConvNet(ConvNetConfig { width, blocks: 1, size: 4, channels: 1 });
    EmbeddingNet::new(EmbeddingNetConfig::new(backbone, 3), Streams::new(2), DType::F32, &Device::Cpu).unwrap()
}

fn made(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/weights").join(name)
}

fn load(net: &EmbeddingNet, weights: &Path) -> Result<LoadReport> {
    net.load_pretrained(&weights.display().to_string().parse()?, &Hub::default())
}

fn values(net: &EmbeddingNet) -> HashMap<String, Vec<f32>> {
    let tensors = net.varmap().tensors().unwrap();
    tensors.into_iter().map(|(name, t)| (name, t.flatten_all().unwrap().to_vec1().unwrap())).collect()
}

/// Sixteenths from `from` on, as make.py writes them.
fn sixteenths(from: f32, len: usize) -> Vec<f32> {
    (0..len).map(|i| from + i as f32 / 16.).collect()
}

/// The message of weights that are refused: one line, and the network is as it was.
fn refused(width: usize, weights: &Path) -> String {
    let net = net(width);
    let before = values(&net);
    let message = load(&net, weights).unwrap_err().to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    assert_eq!(values(&net), before, "{message}");
    message
}

#[test]
fn all_that_torch_writes_is_read() {
    for name in ["zip.pth", "old.pth", "nested.pth"] {
        let net = net(2);
        let head = values(&net)["head.weight"].clone();
        let report = load(&net, &made(name)).unwrap();
        assert!(report.fits() && report.matched.len() == 5, "{name}: {report}");
        let prefix = if name == "nested.pth" { "module." } else { "" };
        let left: Vec<String> = [COUNTER, "fc.bias", "fc.weight"].iter().map(|n| format!("{prefix}{n}")).collect();
        let mut ignored = report.ignored.clone();
        ignored.sort();
        assert_eq!(ignored, left, "{name}");
        let got = values(&net);
        for (key, want) in [
            ("backbone.block1.conv.weight", sixteenths(0., 18)),
            ("backbone.block1.norm.weight", sixteenths(1., 2)),
            ("backbone.block1.norm.bias", sixteenths(-1., 2)),
            ("backbone.block1.norm.running_mean", sixteenths(2., 2)),
            ("backbone.block1.norm.running_var", sixteenths(3., 2)),
            ("head.weight", head),
        ] {
            assert_eq!(got[key], want, "{name}: {key}");
        }
    }
}

#[test]
fn a_report_says_counts_and_names() {
    let report = load(&net(2), &made("zip.pth")).unwrap();
    let want =
        "5 tensors matched, 0 missing, 0 unexpected, 3 ignored (block1.norm.num_batches_tracked, fc.bias, fc.weight)";
    assert_eq!(report.to_string(), want);
    assert!(format!("{report:#}").ends_with("3 ignored\n  block1.norm.num_batches_tracked\n  fc.bias\n  fc.weight"));
}

#[test]
fn shapes_that_differ_are_both_named() {
    let message = refused(2, &made("wider.pth"));
    let want = "block1.conv.weight has shape [3, 1, 3, 3], the network's backbone.block1.conv.weight [2, 1, 3, 3]";
    assert!(message.contains(want), "{message}");
}

#[test]
fn what_is_missing_or_unexpected_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.safetensors");
    let tensors = |rename: &str| -> HashMap<String, Tensor> {
        let own = net(2).varmap().tensors().unwrap();
        own.into_iter().map(|(name, t)| (name.replace("norm.bias", rename), t)).collect()
    };
    candle_core::safetensors::save(&tensors("norm.bios"), &file).unwrap();
    let message = refused(2, &file);
    for want in
        ["1 missing (backbone.block1.norm.bias)", "1 unexpected (backbone.block1.norm.bios)", "2 ignored (head.bias"]
    {
        assert!(message.contains(want), "{message}");
    }
    // The same file with the right name fits, whether or not the names say `backbone.`.
    candle_core::safetensors::save(&tensors("norm.bias"), &file).unwrap();
    assert!(load(&net(2), &file).unwrap().fits());
    let bare: HashMap<String, Tensor> =
        tensors("norm.bias").into_iter().map(|(n, t)| (n.replace("backbone.", "_orig_mod."), t)).collect();
    candle_core::safetensors::save(&bare, &file).unwrap();
    assert!(load(&net(2), &file).unwrap().fits());
    // One parameter under two names is not taken silently.
    let mut twice = bare;
    twice.insert("block1.norm.bias".to_owned(), Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap());
    candle_core::safetensors::save(&twice, &file).unwrap();
    assert!(refused(2, &file).contains("1 unexpected"));
}

#[test]
fn files_that_are_no_weights_are_refused_with_the_cure() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.pth");
    for name in ["zip.pth", "old.pth"] {
        let good = fs::read(made(name)).unwrap();
        for len in (0..good.len()).step_by(13) {
            fs::write(&file, &good[..len]).unwrap();
            refused(2, &file);
        }
        // A byte that lies: whatever comes of it, no panic, and nothing half-loaded.
        for at in (0..good.len()).step_by(3) {
            let mut bad = good.clone();
            bad[at] ^= 0x15;
            fs::write(&file, &bad).unwrap();
            let net = net(2);
            let before = values(&net);
            if load(&net, &file).is_err() {
                assert_eq!(values(&net), before, "{name}, byte {at}");
            }
        }
    }
    assert!(refused(2, &made("module.pth")).contains("torch.save(model.state_dict(), ...)"));
    assert!(refused(2, &dir.path().join("none.safetensors")).contains("give a folder"));
    fs::write(&file, b"text").unwrap();
    assert!(refused(2, &file).contains("neither a zip nor an old file of torch.save"));
}

#[test]
fn folders_carry_how_pictures_became_pixels() {
    let dir = tempfile::tempdir().unwrap();
    let backbone = |channels| BackboneConfig::ConvNet(ConvNetConfig { channels, ..Default::default() });
    let of = |channels| {
        let weights = Weights::Folder(dir.path().to_owned());
        pretrained_preprocess(&weights, &Hub::default(), &backbone(channels)).unwrap()
    };
    // No config.json: torchvision's way for colour, nothing known for grey.
    let Some(PretrainedPreprocess::Described(usual)) = of(3) else { panic!("nothing") };
    assert_eq!((usual.size, usual.resize, usual.mean[0]), (224, 256, 0.485));
    assert_eq!(of(1), None);
    let timm = r#"{"pretrained_cfg": {"input_size": [3, 96, 96], "crop_pct": 1.0, "interpolation": "bilinear"}}"#;
    fs::write(dir.path().join("config.json"), timm).unwrap();
    let Some(PretrainedPreprocess::Described(told)) = of(3) else { panic!("nothing") };
    assert_eq!((told.size, told.resize, told.interpolation), (96, 96, Interpolation::Bilinear));
    // npair's own folder: its own words.
    let mut config = EmbeddingNetConfig::new(backbone(1), 3);
    config.preprocess = serde_json::json!({"size": 28});
    EmbeddingNet::new(config.clone(), Streams::new(1), DType::F32, &Device::Cpu).unwrap().save(dir.path()).unwrap();
    assert_eq!(of(1), Some(PretrainedPreprocess::Own(config.preprocess)));
}

#[cfg(feature = "hub")]
#[test]
fn offline_takes_the_cache_or_says_how_to_fill_it() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub { cache: Some(dir.path().to_owned()), offline: true, ..Hub::default() };
    let weights: Weights = "hub:someone/tiny@main#zip.pth".parse().unwrap();
    let message = net(2).load_pretrained(&weights, &hub).unwrap_err().to_string();
    assert!(message.contains("HF_HUB_OFFLINE") && message.contains("fetch it once while online"), "{message}");
    // As huggingface_hub lays its cache out.
    let snapshot = dir.path().join("models--someone--tiny/snapshots/0123");
    fs::create_dir_all(dir.path().join("models--someone--tiny/refs")).unwrap();
    fs::create_dir_all(&snapshot).unwrap();
    fs::write(dir.path().join("models--someone--tiny/refs/main"), "0123").unwrap();
    fs::copy(made("zip.pth"), snapshot.join("zip.pth")).unwrap();
    assert!(net(2).load_pretrained(&weights, &hub).unwrap().fits());
    assert_eq!(
        pretrained_preprocess(&weights, &hub, &BackboneConfig::ConvNet(ConvNetConfig::default())).unwrap(),
        None
    );
}
