//! Kernels of GPUs as fibers of the CPU: their sources, compiled by the C++ compiler of the machine against the words of
//! `emulation/`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Set where the kernels are to be compiled for the address and undefined-behaviour sanitizers, whose run time has to be there
/// before the program starts: `NPAIR_EMULATED_SANITIZED=1 LD_PRELOAD=$(c++ -print-file-name=libasan.so)` before a test program.
pub const SANITIZED: &str = "NPAIR_EMULATED_SANITIZED";

/// What is compiled.
#[derive(Debug)]
pub struct Source<'a> {
    /// What the library is called by, among others.
    pub name: &'a str,
    /// The C++ file, which includes the kernels; of its folder, and of `kernels` beside it, every file counts.
    pub file: &'a Path,
    /// A text that is written beside the library, and whose path the word `KERNELS` gives.
    pub text: Option<String>,
}

/// The C++ compiler.
fn compiler() -> String {
    std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned())
}

/// Compiles a source into a library of its own beside the test program, unless it was since anything last changed.
///
/// # Errors
/// That there is no compiler, or what the file system says.
///
/// # Panics
/// If the compiler refuses the source.
pub fn compiled(source: &Source) -> Result<PathBuf, String> {
    let sanitized = std::env::var_os(SANITIZED).is_some();
    let words = Path::new(env!("CARGO_MANIFEST_DIR")).join("emulation");
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let folder = program.parent().ok_or("a program without a folder")?;
    let name = format!("npair-emulated-{}-{sanitized}-{:016x}.so", source.name, fingerprint(source, &words));
    let file = folder.join(name);
    if file.is_file() {
        return Ok(file);
    }
    let part = folder.join(format!("npair-emulated-{}-{}.part", std::process::id(), source.name));
    let mut command = Command::new(compiler());
    command.args(["-std=c++17", "-O2", "-g", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror"]);
    command.args(["-Wno-unknown-pragmas", "-Wno-unused-parameter"]);
    if sanitized {
        command.args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]);
    }
    if let Some(text) = &source.text {
        let plain = part.with_extension("h");
        std::fs::write(&plain, text).map_err(|e| e.to_string())?;
        command.arg(format!("-DKERNELS=\"{}\"", plain.display()));
    }
    let made = command.arg("-I").arg(&words).arg(source.file).arg("-o").arg(&part).output();
    let made = made.map_err(|e| format!("no C++ compiler ({}: {e})", compiler()))?;
    assert!(
        made.status.success(),
        "the kernels do not compile for the CPU:\n{}",
        String::from_utf8_lossy(&made.stderr)
    );
    std::fs::rename(&part, &file).map_err(|e| e.to_string())?;
    Ok(file)
}

/// A number of all files that a library is made of.
fn fingerprint(source: &Source, words: &Path) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hash = DefaultHasher::new();
    let own = source.file.parent().unwrap_or(words);
    let kernels = own.with_file_name("kernels");
    source.text.hash(&mut hash);
    for folder in [own, words, &kernels] {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
        files.sort();
        for file in files {
            std::fs::read(file).unwrap_or_default().hash(&mut hash);
        }
    }
    hash.finish()
}
