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
    let backbone = BackboneConfig::ConvNet(ConvNetConfig { width, blocks: 1, size: 4.into(), channels: 1 });
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

/// The tensors that fill a network of width 2, under any names.
fn tensors(rename: impl Fn(&str) -> String) -> HashMap<String, Tensor> {
    let own = net(2).varmap().tensors().unwrap();
    let backbone = own.into_iter().filter_map(|(n, t)| Some((rename(n.strip_prefix("backbone.")?), t)));
    backbone.collect()
}

#[test]
fn checkpoints_of_other_trainers_are_read_wherever_they_keep_the_weights() {
    for (name, prefix, ignored) in [
        ("trainer.ckpt", "_orig_mod.module.", "_orig_mod.module.projector.0.weight"),
        ("moco.pth.tar", "module.encoder_q.", "module.encoder_k.block1.conv.weight"),
    ] {
        let net = net(2);
        let report = load(&net, &made(name)).unwrap();
        assert!(report.fits() && report.matched.len() == 5, "{name}: {report}");
        assert_eq!(report.prefix, prefix);
        assert!(report.to_string().contains(&format!("`{prefix}` before the names was stripped")), "{report}");
        assert!(report.ignored.iter().any(|own| own == ignored), "{report:#}");
        assert_eq!(values(&net)["backbone.block1.conv.weight"], sixteenths(0., 18), "{name}");
    }
    let message = refused(2, &made("nothing.pth"));
    assert!(message.contains("its keys are epoch, args, history"), "{message}");
}

#[test]
fn prefixes_are_stripped_in_any_order_and_foreign_keys_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.safetensors");
    for prefix in
        ["_orig_mod.module.", "module.module.", "model.", "encoder.", "module.encoder_q.", "net.backbone.body."]
    {
        candle_core::safetensors::save(&tensors(|name| format!("{prefix}{name}")), &file).unwrap();
        let report = load(&net(2), &file).unwrap();
        assert_eq!((report.matched.len(), report.prefix.as_str()), (5, prefix));
    }
    candle_core::safetensors::save(&tensors(|name| name.replace('.', "/")), &file).unwrap();
    let message = refused(2, &file);
    for want in ["0 tensors matched", "the file has block1/conv/weight", "the network block1.conv.weight"] {
        assert!(message.contains(want), "{message}");
    }
}

#[test]
fn what_is_none_of_the_network_can_be_left_out_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.safetensors");
    let mut all = tensors(|name| format!("model.{name}"));
    all.insert("model.extra.weight".to_owned(), Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap());
    candle_core::safetensors::save(&all, &file).unwrap();
    assert!(refused(2, &file).contains("model.ignore"));
    let weights: Weights = file.display().to_string().parse().unwrap();
    for ignore in ["extra.", "model.extra"] {
        let report = net(2).load_pretrained_but(&weights, &Hub::default(), &[ignore.to_owned()]).unwrap();
        assert_eq!(report.ignored, ["model.extra.weight"]);
    }
}

#[test]
fn shards_folders_and_runs_are_opened() {
    let dir = tempfile::tempdir().unwrap();
    let all: Vec<(String, Tensor)> = tensors(str::to_owned).into_iter().collect();
    let save = |part: &[(String, Tensor)], file: &Path| {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        candle_core::safetensors::save(&part.iter().cloned().collect::<HashMap<_, _>>(), file).unwrap();
    };
    let sharded = dir.path().join("sharded");
    let (one, two) = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors");
    save(&all[..2], &sharded.join(one));
    save(&all[2..], &sharded.join(two));
    let map: HashMap<&str, &str> =
        all.iter().enumerate().map(|(i, (name, _))| (name.as_str(), if i < 2 { one } else { two })).collect();
    let index = sharded.join("model.safetensors.index.json");
    fs::write(&index, serde_json::json!({"metadata": {}, "weight_map": map}).to_string()).unwrap();
    save(&all, &dir.path().join("run/checkpoints/best/model.safetensors"));
    fs::create_dir_all(dir.path().join("old")).unwrap();
    fs::copy(made("zip.pth"), dir.path().join("old/pytorch_model.bin")).unwrap();
    fs::create_dir_all(dir.path().join("only")).unwrap();
    fs::copy(made("zip.pth"), dir.path().join("only/epoch=3.ckpt")).unwrap();
    fs::copy(made("zip.pth"), dir.path().join("without-ending")).unwrap();
    for weights in [&sharded, &index, &dir.path().join("run"), &dir.path().join("old"), &dir.path().join("only")] {
        assert!(load(&net(2), weights).unwrap().fits(), "{}", weights.display());
    }
    assert!(load(&net(2), &dir.path().join("without-ending")).unwrap().fits());
    // What an index names does not lead elsewhere.
    fs::write(&index, r#"{"weight_map": {"a": "../../etc/passwd"}}"#).unwrap();
    assert!(refused(2, &index).contains("no plain name of a file"));
    fs::remove_file(sharded.join(one)).unwrap();
    fs::write(&index, format!(r#"{{"weight_map": {{"a": "{one}"}}}}"#)).unwrap();
    assert!(refused(2, &index).contains("all shards that the index names"));
}

#[test]
fn where_no_weights_are_the_cure_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let message = refused(2, Path::new("timm/resnet50.a1_in1k"));
    assert!(message.contains("for the repository on the Hub write hub:timm/resnet50.a1_in1k"), "{message}");
    fs::write(dir.path().join("notes.txt"), "x").unwrap();
    assert!(refused(2, dir.path()).contains("the folder holds no weights; it has notes.txt"));
    for name in ["a.pth", "b.ckpt"] {
        fs::copy(made("zip.pth"), dir.path().join(name)).unwrap();
    }
    assert!(refused(2, dir.path()).contains("several files of weights, a.pth and b.ckpt"));
    fs::write(dir.path().join("a.pth"), "version https://git-lfs.github.com/spec/v1\noid sha256:0\n").unwrap();
    assert!(refused(2, &dir.path().join("a.pth")).contains("git lfs pull"));
}

#[cfg(unix)]
#[test]
fn a_named_pipe_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["x.pth", "config.json"] {
        assert!(std::process::Command::new("mkfifo").arg(dir.path().join(name)).status().unwrap().success());
    }
    assert!(refused(2, &dir.path().join("x.pth")).contains("no regular file"));
    assert!(load_config(dir.path()).unwrap_err().to_string().contains("no regular file"));
}
