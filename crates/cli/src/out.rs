//! Standard output and standard error. Somebody may stop reading them (`| head`, a closed terminal, a log on a full disk): what is
//! printed then is lost, the work is not.

/// A line on standard output.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write;
        // Whoever does not read any more does not want to be told.
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

/// A line on standard error.
macro_rules! warn {
    ($($text:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}
