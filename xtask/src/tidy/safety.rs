//! Where unsafe code may stand, and what has to stand above it; where a device may be told from another when building.

use super::source::has;
use super::{Finding, Tree};

/// Folders with unsafe code: CPU and device kernels.
const KERNELS: &[&str] =
    &["crates/simd", "crates/similarity", "crates/similarity-cuda", "crates/similarity-metal", "crates/nn"];

const DEVICE_WORDS: &[&str] = &["cudarc", "CudaStorage", "CudaDevice", "CudaSlice", "MetalStorage", "MetalDevice"];

/// Where bytes go from GPU to GPU: device words, but no unsafe code.
const TRANSPORT: &str = "crates/collective/src/nccl.rs";

/// Cargo features that are passed on to candle.
const DEVICE_FEATURES: &[&str] = &["\"cuda\"", "\"cudnn\"", "\"metal\""];

const WHERE: &str = "unsafe code and device words stand only in npair-simd, npair-similarity, its device crates and npair-nn (device words in npair-collective's nccl too)";

pub fn unsafe_code(tree: &Tree) -> Vec<Finding> {
    let is_kernel = |file: &str| KERNELS.iter().any(|k| file.starts_with(&format!("{k}/")));
    let mut findings = Vec::new();
    for source in tree.sources.iter().filter(|s| !is_kernel(&s.file)) {
        for (i, line) in source.code_and_tests.iter().enumerate() {
            let device = DEVICE_WORDS.iter().filter(|_| source.file != TRANSPORT);
            let words = std::iter::once(&"unsafe").chain(device);
            for word in words.filter(|w| has(line, w)) {
                findings.push(Finding {
                    file: source.file.clone(),
                    line: i + 1,
                    what: format!("`{word}`"),
                    why: WHERE,
                    cure: "do without, or move it there",
                });
            }
        }
    }
    findings.extend(conditions(tree, is_kernel));
    for source in tree.sources.iter().filter(|s| is_kernel(&s.file)) {
        for (i, line) in source.code_and_tests.iter().enumerate() {
            if is_block(line) && !is_justified(&source.lines, i) {
                findings.push(Finding {
                    file: source.file.clone(),
                    line: i + 1,
                    what: "an unsafe block without a `// SAFETY:` line".to_owned(),
                    why: "who reads it has to see why it is sound",
                    cure: "say above it what makes it sound",
                });
            }
        }
    }
    findings.extend(roots(tree).filter_map(|root| {
        let source = tree.sources.iter().find(|s| s.file == root)?;
        let forbids = source.code.iter().any(|l| l.trim() == "#![forbid(unsafe_code)]");
        (!forbids && !is_kernel(&root)).then(|| Finding {
            file: root.clone(),
            line: 1,
            what: "no `#![forbid(unsafe_code)]`".to_owned(),
            why: WHERE,
            cure: "put it at the head of the file",
        })
    }));
    findings
}

/// Code that is there or not depending on a device's feature.
fn conditions(tree: &Tree, may: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources.iter().filter(|s| !may(&s.file)) {
        for (i, (bare, line)) in source.code_and_tests.iter().zip(&source.lines).enumerate() {
            let named = DEVICE_FEATURES
                .iter()
                .find(|f| line.contains(&format!("feature = {f}")))
                .filter(|_| has(bare, "feature"));
            findings.extend(named.map(|feature| Finding {
                file: source.file.clone(),
                line: i + 1,
                what: format!("`feature = {feature}`"),
                why: "above npair-similarity and npair-nn all builds are one program: a device is a value",
                cure: "ask the device, or put the condition below",
            }));
        }
    }
    findings
}

/// The root files of libraries and programs.
fn roots(tree: &Tree) -> impl Iterator<Item = String> + '_ {
    let targets = tree.packages.iter().flat_map(|p| &p.targets);
    let built = targets.filter(|t| t.kind.iter().any(|k| matches!(k.as_str(), "lib" | "bin" | "proc-macro")));
    built.map(|t| t.src_path.strip_prefix(&tree.root).unwrap_or(&t.src_path).to_string_lossy().replace('\\', "/"))
}

/// Whether a line opens an unsafe block or implementation (a declaration alone promises nothing).
fn is_block(line: &str) -> bool {
    line.match_indices("unsafe").any(|(at, word)| {
        let rest = line[at + word.len()..].trim_start();
        has(line, word) && (rest.starts_with('{') || rest.starts_with("impl"))
    })
}

/// Whether `SAFETY:` stands on the line, or in the comment above the statement that it belongs to.
fn is_justified(lines: &[String], at: usize) -> bool {
    let says = |line: &String| line.contains("SAFETY:");
    if says(&lines[at]) {
        return true;
    }
    for line in lines[..at].iter().rev() {
        let text = line.trim();
        if text.starts_with("//") {
            if says(line) {
                return true;
            }
        } else if text.is_empty() || text.ends_with([';', '{', '}']) {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_to_be_near() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let near = lines("// SAFETY: in bounds.\n#[cfg(x)]\nlet y =\n    unsafe { z };");
        assert!(is_block(&near[3]) && is_justified(&near, 3));
        let far = lines("// SAFETY: in bounds.\nlet y = unsafe { z };\nlet w = unsafe { z };");
        assert!(is_justified(&far, 1) && !is_justified(&far, 2));
        assert!(!is_block("unsafe fn load(from: *const f32) -> Self;"));
        assert!(is_block("unsafe impl Vector for Avx2 {"));
    }
}
