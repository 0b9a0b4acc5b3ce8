//! `cargo xtask gpu-pack`: npair for NVIDIA GPUs, built on a machine that has none, packed for one that has nothing else.

mod quick;
mod stubs;

use crate::kernels::Toolkit;
use crate::{machine, shell, tree};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The most that the pack may be, in MiB.
const MOST: f64 = 60.;

/// What goes into the pack beside the binary: programs of other libraries that measure the same.
const PEERS: [&str; 3] = ["gpu.py", "gpu_kernels.py", "architectures.py"];

/// Builds npair with CUDA, without a GPU or a driver, and packs it with a script that checks and measures a GPU.
///
/// nvcc is that of CUDA_HOME, or comes as Python wheels into the target folder; libraries to link against are made up where there
/// are none. The pack needs on the other machine: a driver, and CUDA 13's libraries, as `pip install torch nvidia-curand` has them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask gpu-pack                       for H100 and H200 (compute capability 9.0)
  cargo xtask gpu-pack --compute-cap 80      for A100, and all that is newer
  cargo xtask gpu-pack --without-cudnn       where the other machine has no cuDNN

There: tar xzf npair-gpu-*.tar.gz && sh npair-gpu/run.sh results/")]
pub struct Args {
    /// Compute capability that candle's kernels and ours are compiled for.
    #[arg(long, value_name = "NN", default_value_t = 90)]
    compute_cap: u32,
    /// Compile candle's kernels anew, whatever an earlier call kept of them.
    #[arg(long)]
    anew: bool,
    /// Leave cuDNN out; npair's own layers do not need it.
    #[arg(long)]
    without_cudnn: bool,
    /// Where the archive goes [default: the target folder].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("a pack is built on Linux, for Linux");
    }
    let root = tree::root()?;
    let target = tree::Metadata::read(&root)?.target_directory;
    let toolkit = match Toolkit::find(&target)? {
        Ok(toolkit) => toolkit,
        Err(why) => bail!("{why}"),
    };
    // Of its own, as the variables below would have everything else built anew.
    let place = target.join("gpu");
    let features = if args.without_cudnn { "cuda" } else { "cuda,cudnn" };
    let stubs = stubs::make(&root, &place, &toolkit)?;
    let mut build = shell::cargo(&root, &["build", "--release", "-p", "npair", "--features", features, "--target-dir"]);
    build.arg(&place);
    let quick = quick::make(&place, &toolkit, args.anew)?;
    quick.equip(&mut build, args.compute_cap);
    quick.keep(&mut build, &toolkit);
    build.env("LIBRARY_PATH", joined(&stubs, "LIBRARY_PATH"));
    shell::step(&mut build, "mend what is named above; without nvcc there is no CUDA build")?;
    let binary = place.join("release/npair");
    println!("xtask: without a driver, that binary says:");
    without_a_driver(&binary, &stubs, &toolkit)?;
    let pack = place.join("npair-gpu");
    fill(&root, &pack, &binary)?;
    let name = format!("npair-gpu-{}-sm{}.tar.gz", env!("CARGO_PKG_VERSION"), args.compute_cap);
    let out = args.out.clone().unwrap_or(target);
    fs::create_dir_all(&out).with_context(|| format!("{} cannot be made", out.display()))?;
    let archive = out.join(&name);
    let part = out.join(format!("{name}.part"));
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(&place).arg("-czf").arg(&part).arg("npair-gpu");
    shell::output(&mut tar)?;
    fs::rename(&part, &archive).with_context(|| format!("{} cannot be written", archive.display()))?;
    let [unpacked, packed] = [mib(&pack.join("npair"))?, mib(&archive)?];
    println!("Written: {} ({packed:.1} MiB; the binary in it {unpacked:.1} MiB)", archive.display());
    if unpacked.max(packed) > MOST {
        bail!(
            "that is more than {MOST} MiB: build for one compute capability, with NVCC_APPEND_FLAGS=--compress-mode=size"
        );
    }
    Ok(())
}

fn mib(path: &Path) -> Result<f64> {
    let size = fs::metadata(path).with_context(|| format!("{} cannot be read", path.display()))?.len();
    Ok(size as f64 / f64::from(1 << 20))
}

/// A folder before what a variable of the environment lists.
fn joined(first: &Path, variable: &str) -> std::ffi::OsString {
    let mut all = first.as_os_str().to_owned();
    if let Some(rest) = std::env::var_os(variable).filter(|v| !v.is_empty()) {
        all.push(":");
        all.push(rest);
    }
    all
}

/// The CPU works, and CUDA is refused with one line and code 4.
fn without_a_driver(binary: &Path, stubs: &Path, toolkit: &Toolkit) -> Result<()> {
    let npair = |words: &[&str]| {
        let mut command = Command::new(binary);
        // The made-up driver fails in every call.
        command.args(words).env("LD_LIBRARY_PATH", format!("{}:{}", stubs.display(), toolkit.libraries().display()));
        command
    };
    let checked = shell::text(&mut npair(&["gpu-check", "--device", "cpu"]))?;
    println!("  {}", checked.lines().last().unwrap_or_default());
    let refused = npair(&["gpu-check", "--device", "cuda"]).output().context("the binary cannot be started")?;
    let said = String::from_utf8_lossy(&refused.stderr);
    println!("  {}", said.trim());
    if refused.status.code() != Some(4) || said.lines().count() != 1 || !said.starts_with("error: cuda: ") {
        bail!("a missing device should be one line and exit code 4, not {}", refused.status);
    }
    Ok(())
}

/// Puts binary, peers and script into a folder.
fn fill(root: &Path, pack: &Path, binary: &Path) -> Result<()> {
    // What an earlier call may have left; that there is nothing is fine.
    let _ = fs::remove_dir_all(pack);
    let peers = pack.join("peers");
    fs::create_dir_all(&peers).with_context(|| format!("{} cannot be made", peers.display()))?;
    let copy = |from: &Path, to: &Path| {
        fs::copy(from, to).with_context(|| format!("{} cannot be copied to {}", from.display(), to.display()))
    };
    copy(binary, &pack.join("npair"))?;
    shell::output(Command::new("strip").arg(pack.join("npair")))?;
    for name in PEERS {
        copy(&root.join("benches/peers").join(name), &peers.join(name))?;
    }
    let origin = machine::Origin::of(root, "cargo xtask gpu-pack");
    let built = format!("commit {}, {}, {}\n", origin.commit, origin.rustc, origin.date);
    for (name, text) in [("run.sh", include_str!("run.sh")), ("BUILT", &built)] {
        fs::write(pack.join(name), text).with_context(|| format!("{name} cannot be written"))?;
    }
    Ok(())
}
