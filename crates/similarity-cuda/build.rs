//! Compiles the kernels with nvcc when the feature `build` is on: for each source one image that holds PTX for the oldest
//! GPU, which newer ones compile for themselves, and code for the GPUs that are named.
//!
//! `NVCC`, or `bin/nvcc` of `CUDA_HOME` or `CUDA_PATH`, or the one on the path; `CUDA_COMPUTE_CAP=80,90` names GPUs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const SOURCES: [&str; 2] = ["soft", "search"];

/// The source for compute capability 9.0 alone, whose instructions have no PTX that other GPUs could compile.
const HOPPER: &str = "hopper";

/// The oldest GPUs with what the kernels need: asynchronous copies and products of bf16.
const OLDEST: u32 = 80;

#[allow(clippy::print_stderr)] // what cargo shows of a failed build script
fn main() {
    println!("cargo:rerun-if-changed=kernels");
    for name in ["NVCC", "CUDA_HOME", "CUDA_PATH", "CUDA_COMPUTE_CAP"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    if env::var_os("CARGO_FEATURE_BUILD").is_none() {
        return;
    }
    if let Err(why) = build() {
        eprintln!("npair-similarity-cuda: {why}");
        std::process::exit(1);
    }
}

fn build() -> Result<(), String> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let nvcc = nvcc();
    let gpus = gpus()?;
    let mut targets = vec![format!("arch=compute_{OLDEST},code=compute_{OLDEST}")];
    targets.extend(gpus.iter().map(|gpu| format!("arch=compute_{gpu},code=sm_{gpu}")));
    let all = SOURCES.iter().map(|name| (*name, targets.clone()));
    let hopper = (HOPPER, vec!["arch=compute_90a,code=sm_90a".to_owned()]);
    // At the same time: each takes minutes on one core.
    let running: Vec<_> = all
        .chain([hopper])
        .map(|(name, targets)| {
            let (nvcc, out) = (nvcc.clone(), out.clone());
            std::thread::spawn(move || compile(&nvcc, name, &targets, &out))
        })
        .collect();
    for thread in running {
        thread.join().map_err(|_| "a compilation ended early".to_owned())??;
    }
    let image = |name: &str| format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.fatbin\"))");
    let images: String = SOURCES.iter().map(|name| format!("    {},\n", image(name))).collect();
    let text = format!(
        "/// The compiled kernels, as the driver loads them.\npub const IMAGES: &[&[u8]] = &[\n{images}];\n\
         /// Those for compute capability 9.0, which other GPUs refuse to load.\npub const HOPPER: &[u8] = {};\n",
        image(HOPPER)
    );
    fs::write(out.join("images.rs"), text).map_err(|e| e.to_string())
}

fn nvcc() -> PathBuf {
    if let Some(path) = env::var_os("NVCC") {
        return path.into();
    }
    let homes = ["CUDA_HOME", "CUDA_PATH"].iter().filter_map(env::var_os);
    homes.map(|home| Path::new(&home).join("bin/nvcc")).find(|p| p.is_file()).unwrap_or_else(|| "nvcc".into())
}

/// Compute capabilities without their point, that there is to be code for beside the PTX.
fn gpus() -> Result<Vec<u32>, String> {
    let Ok(named) = env::var("CUDA_COMPUTE_CAP") else { return Ok(Vec::new()) };
    let number = |part: &str| {
        let digits = part.trim().trim_end_matches(['a', 'f']).replace('.', "");
        match digits.parse::<u32>() {
            Ok(cap) if cap >= OLDEST => Ok(cap),
            _ => Err(format!("CUDA_COMPUTE_CAP={named}: numbers from {OLDEST} on, as in 80,90, are needed")),
        }
    };
    named.split(',').map(number).collect()
}

fn compile(nvcc: &Path, name: &str, targets: &[String], out: &Path) -> Result<(), String> {
    let mut command = Command::new(nvcc);
    command.args(["-std=c++17", "-O3", "-fatbin"]);
    for target in targets {
        command.args(["-gencode", target]);
    }
    command.arg(format!("kernels/{name}.cu")).arg("-o").arg(out.join(format!("{name}.fatbin")));
    let made = command.output().map_err(|e| {
        format!("{} cannot be started ({e}): install CUDA 12 or 13, or point CUDA_HOME at it; build without the feature `cuda` to do without", nvcc.display())
    })?;
    if made.status.success() {
        return Ok(());
    }
    let text = [made.stdout, made.stderr].concat();
    Err(format!("nvcc on kernels/{name}.cu:\n{}", String::from_utf8_lossy(&text)))
}
