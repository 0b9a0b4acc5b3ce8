//! A trained network as other programs read it.

use crate::args::{Export as Args, Form};
use crate::eval::{Against, judged_run};
use crate::{progress, source};
use anyhow::{Context, Result};
use candle_core::DType;
use npair_backbones::{EmbeddingNet, VectorNet, is_vector_net};
use npair_evaluate::check_free;
use npair_recipe::export::{Beside, Card, Exportable, to_hub, to_onnx, to_torch};
use npair_recipe::report::JudgedRun;
use npair_recipe::{Device, LearnedVerifier, Run};
use std::path::{Path, PathBuf};

pub fn run(args: &Args, device: Device, json: bool) -> Result<()> {
    let form = match args.to {
        Form::Hub => "hub",
        Form::Torch => "torch",
        Form::Onnx => "onnx",
    };
    let out = args.out.clone().unwrap_or_else(|| args.run.join(format!("export-{form}")));
    check_free(std::slice::from_ref(&out), false)?;
    let folder = source::model_folder(&args.run, &args.checkpoint)?;
    let net = open(&folder)?;
    let judged = match (args.to, Run::open(&args.run)) {
        (Form::Hub, Ok(_)) => Some(judged_run(&args.run, &args.checkpoint, None, Against::Baselines, device)?),
        _ => None,
    };
    // Beside, and renamed: whoever is interrupted leaves no half of a folder under the name.
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = tempfile::Builder::new().prefix(".export-").tempdir_in(parent);
    let beside = beside.with_context(|| format!("{}: cannot be written", parent.display()))?;
    let made = beside.path().join("made");
    progress::told(|tell| {
        tell("the network".to_owned());
        write(args.to, &net, judged.as_ref(), &args.run, &made)
    })?;
    std::fs::rename(&made, &out).with_context(|| out.display().to_string())?;
    let files = files_in(&out)?;
    if json {
        say!("{}", serde_json::json!({ "folder": out, "form": form, "files": files }));
        return Ok(());
    }
    say!("{}: {}", out.display(), files.join(", "));
    say!("prove it with: python {}", out.join("load.py").display());
    Ok(())
}

fn write(form: Form, net: &Exportable, judged: Option<&JudgedRun>, run: &Path, folder: &Path) -> Result<()> {
    let kept = LearnedVerifier::read(run)?;
    let verifier = judged.and_then(|judged| judged.verifier.as_ref()).or(kept.as_ref());
    match form {
        Form::Torch => to_torch(net, folder)?,
        Form::Onnx => to_onnx(net, &[("run".to_owned(), run.display().to_string())], folder)?,
        Form::Hub => to_hub(net, &Beside { card: judged.map(|run| Card { run }), verifier }, folder)?,
    }
    Ok(())
}

fn open(folder: &Path) -> Result<Exportable> {
    let cpu = candle_core::Device::Cpu;
    Ok(match is_vector_net(folder)? {
        true => Exportable::Vectors(VectorNet::open(folder, DType::F32, &cpu)?),
        false => Exportable::Pictures(EmbeddingNet::load(folder, DType::F32, &cpu)?),
    })
}

fn files_in(folder: &Path) -> Result<Vec<String>> {
    let entries: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let mut names: Vec<String> = entries.iter().filter_map(name).collect();
    names.sort();
    Ok(names)
}
