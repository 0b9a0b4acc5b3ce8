use std::fmt;

/// How many names of a kind a one-line report lists.
const LISTED: usize = 4;

/// How weights fitted a network; names are those of the network for what it misses, else those of the file.
///
/// Displayed in one line with the first names of each kind; `{:#}` gives every name, one a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Parameters of the network that got a value.
    pub matched: Vec<String>,
    /// Parameters of the backbone that got none.
    pub missing: Vec<String>,
    /// Tensors that the network has no place for.
    pub unexpected: Vec<String>,
    /// Tensors that were expected to be left over: classifiers, auxiliary heads, counters of batches.
    pub ignored: Vec<String>,
    /// What stood before the names of the file (`module._orig_mod.`), and was stripped.
    pub prefix: String,
}

impl LoadReport {
    /// Whether every parameter has its tensor and the other way round.
    pub fn fits(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty()
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tensors matched", self.matched.len())?;
        let kinds = [("missing", &self.missing), ("unexpected", &self.unexpected), ("ignored", &self.ignored)];
        for (what, names) in kinds {
            write!(f, ", {} {what}", names.len())?;
            if f.alternate() {
                names.iter().try_for_each(|name| write!(f, "\n  {name}"))?;
            } else if !names.is_empty() {
                let more = if names.len() > LISTED { ", ..." } else { "" };
                write!(f, " ({}{more})", names[..names.len().min(LISTED)].join(", "))?;
            }
        }
        if !matches!(self.prefix.as_str(), "" | "backbone.") {
            write!(f, ", `{}` before the names was stripped", self.prefix)?;
        }
        Ok(())
    }
}
