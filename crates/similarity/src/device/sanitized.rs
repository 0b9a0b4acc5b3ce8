//! The kernels once more, compiled for the address and undefined-behaviour sanitizers, in a process of their own: the run time
//! has to be there before a program starts. A part of the cases; `SANITIZED` set by hand before the test program runs all.

#![allow(clippy::unwrap_used)]

use super::Precision;
use super::emulated::{SANITIZED, Which, current, emulating};
use super::soft::{Reference, Soft, Upstream};
use crate::Mask;
use crate::pass::{Kind, Wanted};
use candle_core::op::BackpropOp;
use candle_core::{CpuStorage, Storage, Tensor};
use npair_testkit::require::{Need, not_run};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What runs under the sanitizers: reductions with both gradients and searches, threads first to last and last to first.
const WATCHED: &str = "device::tests::the_order_of_threads_does_not_matter";
const WRONG: &str = "device::sanitized::a_side_that_is_shorter_than_said";

/// The run time of the C++ compiler's address sanitizer.
fn run_time() -> Option<PathBuf> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let said = Command::new(compiler).arg("-print-file-name=libasan.so").output().ok()?;
    // A compiler that has none repeats the name.
    let path = PathBuf::from(String::from_utf8(said.stdout).ok()?.trim());
    path.is_absolute().then_some(path)
}

fn under_sanitizers(run_time: &Path, test: &str) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--include-ignored", "--nocapture", "--test-threads", "1"]);
    // Fibers are other stacks; what the process leaves at its end is no matter.
    command.env("ASAN_OPTIONS", "detect_leaks=0:detect_stack_use_after_return=0");
    command.env(SANITIZED, "1").env("LD_PRELOAD", run_time).output().unwrap()
}

#[test]
fn kernels_read_and_write_what_is_theirs_and_the_sanitizers_would_tell() {
    // The whole program runs under them: everything is watched already.
    if std::env::var_os(SANITIZED).is_some() {
        return;
    }
    let Some(run_time) = run_time() else {
        return not_run(Need::Tool, "the C++ compiler has no address sanitizer");
    };
    let watched = under_sanitizers(&run_time, WATCHED);
    let said = String::from_utf8_lossy(&[watched.stdout, watched.stderr].concat()).into_owned();
    if said.contains("not run:") {
        return not_run(Need::Tool, &said);
    }
    assert!(watched.status.success() && said.contains("1 passed"), "{said}");
    let wrong = under_sanitizers(&run_time, WRONG);
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert!(!wrong.status.success() && said.contains("AddressSanitizer: heap-buffer-overflow"), "{said}");
}

/// Rows whose storage ends before they do: what the sanitizers have to find.
#[test]
#[ignore = "fails on purpose, as the child of the test above"]
fn a_side_that_is_shorter_than_said() {
    emulating(Which::Cuda, false, || {
        let chip = current().unwrap();
        let storage = Storage::Cpu(CpuStorage::F32(vec![1.; 32 * 20]));
        let short = Tensor::from_storage(storage, (40, 20), BackpropOp::none(), false);
        let soft = Soft {
            kind: Kind::Log1pSumExp,
            mask: &Mask::OffDiagonal,
            queries: &short,
            gallery: &short,
            reference: Reference::Diagonal,
            precision: Precision::Split,
        };
        soft.run(&*chip, Wanted { queries: false, gallery: false }, Upstream::Each(1.)).unwrap();
    });
}
