//! `cargo xtask kernels`: compiles the CUDA kernels for named GPUs and looks at what they need.

mod resources;
mod toolkit;

use crate::{machine, shell, tree};
use anyhow::{Context, Result, bail};
use resources::Kernel;
use std::path::Path;
use std::process::Command;
pub use toolkit::Toolkit;

/// GPUs that there has to be code for: the oldest, and the one that most is expected of.
const GPUS: [&str; 2] = ["80", "90a"];

/// Sources in the folder of a crate.
struct Sources {
    krate: &'static str,
    /// Each, and whether it is for the second GPU alone.
    names: &'static [(&'static str, bool)],
}

const OF_THE_MATRIX: Sources =
    Sources { krate: "crates/similarity-cuda", names: &[("soft", false), ("search", false), ("hopper", true)] };

/// Compiled when a device is first used; here to see that it can be, and what of.
const OF_LAYERS: Sources = Sources { krate: "crates/nn", names: &[("layers", false)] };

/// Compiles the CUDA kernels for sm_80 and sm_90a, without a GPU, and prints registers, spills and shared memory of each.
///
/// nvcc is that of CUDA_HOME or the path, or comes as Python wheels into the target folder.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask kernels              compile, and fail where a kernel spills registers
  cargo xtask kernels --record     and write crates/similarity-cuda/RESOURCES.md
  cargo xtask kernels --env        the toolkit's variables, for `cargo build --features cuda`")]
pub struct Args {
    /// Write what was found to crates/similarity-cuda/RESOURCES.md.
    #[arg(long)]
    record: bool,
    /// Only print the variables with which cargo builds the feature `cuda`, for a shell's eval.
    #[arg(long, conflicts_with = "record")]
    env: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let root = tree::root()?;
    let target = tree::Metadata::read(&root)?.target_directory;
    let toolkit = match Toolkit::find(&target)? {
        Ok(toolkit) => toolkit,
        Err(why) => bail!("{why}"),
    };
    if args.env {
        print!("{}", toolkit.variables(&std::env::var("CUDA_COMPUTE_CAP").unwrap_or_else(|_| "80".to_owned())));
        return Ok(());
    }
    let kernels = compile(&root, &toolkit, &target, &OF_THE_MATRIX)?;
    let layers = compile(&root, &toolkit, &target, &OF_LAYERS)?;
    print!("{}{}", resources::table(&kernels), resources::table(&layers));
    if args.record {
        let path = root.join("crates/similarity-cuda/RESOURCES.md");
        let origin = machine::Origin::of(&root, "cargo xtask kernels --record");
        let text = resources::page(&kernels, &toolkit.version()?, &origin.date);
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        println!("Written: {}", path.display());
    }
    refuse_spills(&kernels)?;
    refuse_spills(&layers)
}

/// The same as a step of `cargo xtask test`: skipped, with the reason, where there can be no nvcc; done once for every state
/// of the sources.
pub fn check(root: &Path) -> Result<()> {
    let target = tree::Metadata::read(root)?.target_directory;
    let print = |of: &Sources| fingerprint(&root.join(of.krate).join("kernels"));
    let stamp = target.join(format!("cuda-kernels-{:016x}.ok", print(&OF_THE_MATRIX)? ^ print(&OF_LAYERS)?));
    if stamp.is_file() {
        println!("xtask: the CUDA kernels compiled before as they are");
        return Ok(());
    }
    let toolkit = match Toolkit::find(&target)? {
        Ok(toolkit) => toolkit,
        Err(why) => {
            println!("xtask: not run: compiling the CUDA kernels: {why}");
            return Ok(());
        }
    };
    for of in [OF_THE_MATRIX, OF_LAYERS] {
        let kernels = compile(root, &toolkit, &target, &of)?;
        print!("{}", resources::table(&kernels));
        refuse_spills(&kernels)?;
    }
    std::fs::write(&stamp, "").with_context(|| format!("{} cannot be written", stamp.display()))
}

fn refuse_spills(kernels: &[Kernel]) -> Result<()> {
    let spilling: Vec<_> = kernels.iter().filter(|k| k.spilled > 0).map(|k| k.name.as_str()).collect();
    if spilling.is_empty() {
        return Ok(());
    }
    bail!("{} keep registers in memory; use fewer sums per thread, or bounds on unrolling", spilling.join(", "))
}

/// All kernels of all sources for all GPUs, those of a GPU at a time.
fn compile(root: &Path, toolkit: &Toolkit, target: &Path, of: &Sources) -> Result<Vec<Kernel>> {
    let out = target.join("cuda-kernels");
    std::fs::create_dir_all(&out).with_context(|| format!("{} cannot be made", out.display()))?;
    let mut kernels = Vec::new();
    for gpu in GPUS {
        println!("xtask: nvcc for sm_{gpu}");
        let sources = of.names.iter().filter(|(_, newest)| !newest || gpu == GPUS[1]);
        let running: Vec<_> = sources
            .map(|(name, _)| {
                let mut command = toolkit.nvcc();
                command.current_dir(root.join(of.krate));
                command.args(["-std=c++17", "-O3", "-Xptxas", "-v", "-cubin"]);
                command.args(["-gencode", &format!("arch=compute_{gpu},code=sm_{gpu}")]);
                command.arg(format!("kernels/{name}.cu")).arg("-o").arg(out.join(format!("{name}-{gpu}.cubin")));
                std::thread::spawn(move || said(&mut command))
            })
            .collect();
        for thread in running {
            let Ok(text) = thread.join() else { bail!("a compilation ended early") };
            kernels.extend(resources::parse(&text?, gpu)?);
        }
    }
    Ok(kernels)
}

/// Runs a compiler and gives all that it said.
fn said(command: &mut Command) -> Result<String> {
    let line = shell::line(command);
    let output = command.output().with_context(|| format!("`{line}` cannot be started"))?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if !output.status.success() {
        bail!("`{line}` failed ({}):\n{text}", output.status);
    }
    Ok(text)
}

fn fingerprint(folder: &Path) -> Result<u64> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .with_context(|| format!("{} cannot be read", folder.display()))?
        .map(|f| f.map(|f| f.path()))
        .collect::<std::io::Result<_>>()?;
    files.sort();
    let mut hash = DefaultHasher::new();
    for file in files {
        std::fs::read(&file)?.hash(&mut hash);
    }
    (GPUS, toolkit::VERSION).hash(&mut hash);
    Ok(hash.finish())
}
