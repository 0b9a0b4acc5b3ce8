//! Made-up libraries to link against, where CUDA's own are not at hand.
//!
//! candle binds cudarc's symbols at link time, so the linker wants libraries that have them. A stub has the real one's name for the
//! loader and every function that cudarc declares; each only returns an error. Where the binary then runs, the real ones are found.

use crate::kernels::Toolkit;
use crate::{shell, tree};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Library {
    /// cudarc's module.
    module: &'static str,
    name: &'static str,
    /// The version that the loader asks for, of CUDA 13.
    version: u32,
    /// What its functions' names begin with.
    prefix: &'static str,
    /// What it says where it cannot work: "this is a stub", "not initialised".
    error: u32,
}

const LIBRARIES: [Library; 6] = [
    Library { module: "driver", name: "cuda", version: 1, prefix: "cu", error: 34 },
    Library { module: "cublas", name: "cublas", version: 13, prefix: "cublas", error: 1 },
    Library { module: "cublaslt", name: "cublasLt", version: 13, prefix: "cublas", error: 1 },
    Library { module: "curand", name: "curand", version: 10, prefix: "curand", error: 101 },
    Library { module: "nvrtc", name: "nvrtc", version: 13, prefix: "nvrtc", error: 11 },
    Library { module: "cudnn", name: "cudnn", version: 9, prefix: "cudnn", error: 1001 },
];

/// The folder of the stubs, made in `place`; in it also the toolkit's runtime library under the linker's name.
pub fn make(root: &Path, place: &Path, toolkit: &Toolkit) -> Result<PathBuf> {
    let folder = place.join("stubs");
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let bindings = bindings(root)?;
    for library in LIBRARIES {
        let path = bindings.join(library.module).join("sys/mod.rs");
        let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let functions = functions(&text, library.prefix);
        if functions.is_empty() {
            bail!("{} declares nothing that begins with {}", path.display(), library.prefix);
        }
        let mut code = String::new();
        for name in functions {
            // Writing to a string cannot fail.
            let _ = writeln!(code, "int {name}(void) {{ return {}; }}", library.error);
        }
        let source = folder.join(format!("{}.c", library.name));
        fs::write(&source, code).with_context(|| format!("{} cannot be written", source.display()))?;
        let real = format!("lib{}.so.{}", library.name, library.version);
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-nostdlib", "-fno-builtin", "-w", "-O1", &format!("-Wl,-soname,{real}"), "-o"]);
        shell::output(cc.arg(folder.join(&real)).arg(&source))?;
        link(Path::new(&real), &folder.join(format!("lib{}.so", library.name)))?;
    }
    let runtime = toolkit.libraries();
    let found = fs::read_dir(&runtime)
        .with_context(|| format!("{} cannot be read", runtime.display()))?
        .filter_map(|f| Some(f.ok()?.path()))
        .find(|f| f.file_name().is_some_and(|n| n.to_string_lossy().starts_with("libcudart.so")))
        .with_context(|| format!("{} has no libcudart.so", runtime.display()))?;
    link(&found, &folder.join("libcudart.so"))?;
    Ok(folder)
}

#[cfg(unix)]
pub fn link(to: &Path, at: &Path) -> Result<()> {
    // What an earlier call may have left; that there is nothing is fine.
    let _ = fs::remove_file(at);
    std::os::unix::fs::symlink(to, at).with_context(|| format!("{} cannot be made", at.display()))
}

#[cfg(not(unix))]
pub fn link(to: &Path, at: &Path) -> Result<()> {
    fs::copy(to, at).map(drop).with_context(|| format!("{} cannot be made", at.display()))
}

/// The sources of the cudarc that the feature `cuda` is built with.
fn bindings(root: &Path) -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Found {
        packages: Vec<tree::Package>,
    }
    let words = ["metadata", "--format-version", "1", "--features", "npair/cuda,npair/cudnn"];
    let found: Found = serde_json::from_slice(&shell::output(&mut shell::cargo(root, &words))?.stdout)
        .context("the answer of `cargo metadata` is not understood")?;
    let package = found.packages.into_iter().find(|p| p.name == "cudarc").context("nothing depends on cudarc")?;
    Ok(package.manifest_path.with_file_name("src"))
}

/// Functions that are declared in `text`, each once.
fn functions<'a>(text: &'a str, prefix: &str) -> Vec<&'a str> {
    let mut names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("fn "))
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default())
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    #[test]
    fn declared_functions_are_found_once() {
        let text = "pub unsafe fn cuInit(x: u32) {\n  extern \"C\" {\n    fn cuInit(x: u32) -> CUresult;\n    fn cuA_v2();\n  }\n  fn default() -> Self {}\n    fn cuA_v2();\n";
        assert_eq!(super::functions(text, "cu"), ["cuA_v2", "cuInit"]);
    }
}
