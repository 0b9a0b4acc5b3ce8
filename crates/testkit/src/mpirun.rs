//! Tests of processes that `mpirun` starts: a test program starts itself, several times over.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What a rank is to do, and where: set for the processes that `mpirun` starts.
const WORK: &str = "NPAIR_MPI_TEST_WORK";
const FOLDER: &str = "NPAIR_MPI_TEST_FOLDER";

const LONG: Duration = Duration::from_secs(240);
/// Within which all have ended after one has: seconds, on cores that are shared with other work.
const SOON: Duration = Duration::from_secs(20);

/// A case by its name.
pub type Case<'a> = (&'a str, fn());

/// The main function of such a test program: in a process of `mpirun` it does its work in its folder, else it runs the cases whose
/// names hold a word of the command line, or all.
pub fn cases(rank: fn(&str, &Path), cases: &[Case<'_>]) {
    if let (Ok(work), Some(folder)) = (std::env::var(WORK), std::env::var_os(FOLDER)) {
        return rank(&work, Path::new(&folder));
    }
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    for (name, case) in cases {
        if wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str())) {
            case();
            let _ = writeln!(std::io::stdout(), "test {name} ... ok");
        }
    }
}

/// So many ranks that do something in a folder.
///
/// # Panics
/// If there is no `mpirun`.
pub fn start(ranks: usize, work: &str, folder: &Path) -> Child {
    let mut run = Command::new("mpirun");
    let program = std::env::current_exe().unwrap_or_else(|e| panic!("this program has no path: {e}"));
    // Here there may be fewer cores than ranks, and everything may be root's.
    run.args(["--oversubscribe", "--bind-to", "none", "-n", &ranks.to_string()]).arg(program);
    for name in ["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] {
        run.env(name, "1");
    }
    run.env(WORK, work).env(FOLDER, folder).env("RAYON_NUM_THREADS", "1").stderr(Stdio::null()).stdout(Stdio::null());
    run.spawn().unwrap_or_else(|e| panic!("mpirun: {e}; apt-get install openmpi-bin, brew install open-mpi"))
}

fn wait(child: &mut Child, within: Duration) -> ExitStatus {
    let begun = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status,
            Ok(None) if begun.elapsed() < within => std::thread::sleep(Duration::from_millis(5)),
            other => {
                let _ = child.kill();
                panic!("the ranks have not ended after {within:?}: {other:?}");
            }
        }
    }
}

/// How they end, which they have to do within seconds.
///
/// # Panics
/// If they do not.
pub fn ends_soon(child: &mut Child) -> ExitStatus {
    wait(child, SOON)
}

/// Runs ranks to their end.
///
/// # Panics
/// If one of them fails.
pub fn all_well(ranks: usize, work: &str, folder: &Path) {
    let status = wait(&mut start(ranks, work, folder), LONG);
    assert!(status.success(), "{work} on {ranks} ranks: {status}");
}

/// A new folder in another one.
///
/// # Panics
/// If it cannot be made.
pub fn folder(dir: &Path, name: &str) -> PathBuf {
    let folder = dir.join(name);
    std::fs::create_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    folder
}

/// Tells the test which process a rank is.
///
/// # Panics
/// If the file cannot be written.
pub fn tell_process(folder: &Path, rank: usize) {
    let (path, new) = (folder.join(format!("pid-{rank}")), folder.join(format!("pid-{rank}.new")));
    let written = std::fs::write(&new, std::process::id().to_string()).and_then(|()| std::fs::rename(&new, &path));
    written.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// The process of a rank, as soon as it has told.
///
/// # Panics
/// If the ranks end before.
pub fn process_of(folder: &Path, rank: usize, ranks: &mut Child) -> String {
    let path = folder.join(format!("pid-{rank}"));
    loop {
        match std::fs::read_to_string(&path) {
            Ok(text) => return text,
            Err(_) => assert!(matches!(ranks.try_wait(), Ok(None)), "the ranks ended before {}", path.display()),
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
