//! Standard output and standard error. Somebody may stop reading them (`| head`, a closed terminal, a log on a full disk): what is
//! printed then is lost, the work is not.

use std::io::{Error, ErrorKind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Why something that was to be printed could not be.
static LOST: OnceLock<String> = OnceLock::new();

/// Whether another process of the run prints what this one would.
static SILENT: AtomicBool = AtomicBool::new(false);

/// Of several processes that do the same only the first one prints; errors are everybody's own.
pub fn only_from(first: bool) {
    SILENT.store(!first, Ordering::Relaxed);
}

/// Whether this process prints.
pub fn prints() -> bool {
    !SILENT.load(Ordering::Relaxed)
}

/// A line on standard output.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write;
        if $crate::out::prints()
            && let Err(error) = writeln!(std::io::stdout(), $($text)*)
        {
            $crate::out::lost(&error);
        }
    }};
}

/// Remembers that a line was lost; whoever closed a pipe does not want to be told any more.
pub fn lost(error: &Error) {
    if error.kind() != ErrorKind::BrokenPipe {
        let _ = LOST.set(error.to_string());
    }
}

/// An error if a result, which is all that a command makes, could not be printed.
pub fn expect_printed() -> anyhow::Result<()> {
    match LOST.get() {
        None => Ok(()),
        Some(why) => Err(anyhow::anyhow!("standard output: {why}: the result could not be printed whole")),
    }
}

/// A line on standard error.
macro_rules! warn {
    ($($text:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}
