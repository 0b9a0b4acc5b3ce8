use npair_recipe::{Error, Kind};
use std::fmt;
use std::process::ExitCode;

/// Pictures that cannot be decoded were found, and listed.
#[derive(Debug)]
pub struct BadPictures(pub usize);

impl fmt::Display for BadPictures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, s) = (self.0, if self.0 == 1 { "" } else { "s" });
        write!(f, "{n} picture{s} cannot be decoded: replace or remove them, or train with --set data.skip_bad=true")
    }
}

impl std::error::Error for BadPictures {}

/// Ctrl-C, after everything was saved.
#[derive(Debug)]
pub struct Stopped(pub String);

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Stopped {}

/// One line on standard error, and the exit code of its kind.
pub fn report(error: &anyhow::Error) -> ExitCode {
    // Causes that only repeat their effect are left out.
    let mut line = String::new();
    for cause in error.chain().map(|c| c.to_string().replace('\n', " ")) {
        if !line.contains(&cause) {
            line = if line.is_empty() { cause } else { format!("{line}: {cause}") };
        }
    }
    // The data set knows no settings.
    line = line.replace("or skip what is bad", "or skip what is bad (--set data.skip_bad=true)");
    if error.is::<Stopped>() {
        if crate::out::prints() {
            warn!("{line}");
        }
        return ExitCode::from(130);
    }
    warn!("error: {line}");
    let kind = if error.is::<BadPictures>() { Kind::Data } else { kind_of(error) };
    ExitCode::from(match kind {
        Kind::Usage => 2,
        Kind::Data => 3,
        Kind::Runtime => 4,
    })
}

/// Whose affair an error is, from whichever crate it came.
fn kind_of(error: &anyhow::Error) -> Kind {
    if let Some(data) = error.downcast_ref::<npair_data::Error>() {
        return Error::kind_of_data(data);
    }
    if let Some(evaluate) = error.downcast_ref::<npair_evaluate::Error>() {
        return Error::kind_of_evaluate(evaluate);
    }
    if let Some(train) = error.downcast_ref::<npair_train::Error>() {
        return Error::kind_of_train(train);
    }
    if let Some(index) = error.downcast_ref::<npair_index::Error>() {
        return of_index(index);
    }
    error.downcast_ref::<Error>().map_or(Kind::Runtime, Error::kind)
}

/// Whose affair an error of an index is.
fn of_index(error: &npair_index::Error) -> Kind {
    use npair_index::Error;
    match error {
        Error::Setting { .. } | Error::Exists { .. } => Kind::Usage,
        Error::File { .. } | Error::Missing { .. } | Error::Types(_) => Kind::Data,
        Error::Write { .. } | Error::Locked { .. } | Error::Metric(_) | Error::Matrix(_) => Kind::Runtime,
    }
}
