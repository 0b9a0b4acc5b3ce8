//! Lists in text files: lines with their numbers, and paths that stay in their folder.

use crate::{Error, Result, read_regular};
use std::path::{Path, PathBuf};

/// The largest list, in bytes: 256 MiB; the largest official one has less than 6 MiB.
pub(crate) const MAX_LIST: u64 = 256 << 20;

/// A list that was read whole.
pub(crate) struct Listing {
    file: String,
    text: String,
    cure: &'static str,
}

impl Listing {
    /// Reads a list; `cure` says what to do about a missing or wrong one.
    pub(crate) fn read(path: &Path, cure: &'static str) -> Result<Self> {
        let file = path.display().to_string();
        let fault = |why: String| Error::Read { file: file.clone(), why, cure };
        let bytes = read_regular(path, MAX_LIST).map_err(|e| match e {
            Error::Read { why, .. } | Error::TooLarge { why, .. } => fault(why),
            other => other,
        })?;
        let text = String::from_utf8(bytes).map_err(|e| {
            let line = 1 + e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|&&b| b == b'\n').count();
            fault(format!("line {line} is no UTF-8 text"))
        })?;
        Ok(Self::of(file, text, cure))
    }

    /// A list whose text is at hand.
    pub(crate) fn of(file: String, text: String, cure: &'static str) -> Self {
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        Self { file, text, cure }
    }

    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// Lines that are not empty, without spaces at their ends, numbered from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())).filter(|(_, line)| !line.is_empty())
    }

    /// An error that names the line.
    pub(crate) fn wrong(&self, line: usize, why: impl Into<String>) -> Error {
        Error::dataset(format!("{}, line {line},", self.file), why, self.cure)
    }

    /// An error about the whole list.
    pub(crate) fn faulty(&self, why: impl Into<String>) -> Error {
        Error::dataset(&self.file, why, self.cure)
    }

    /// A whole number of a line.
    pub(crate) fn number<T: std::str::FromStr>(&self, line: usize, what: &str, text: &str) -> Result<T> {
        text.parse().map_err(|_| self.wrong(line, format!("has `{text}` for {what}, which is no number that fits")))
    }

    /// A listed path, below `root`.
    pub(crate) fn path(&self, line: usize, root: &Path, listed: &str) -> Result<PathBuf> {
        inside(listed)
            .map(|inner| root.join(inner))
            .ok_or_else(|| self.wrong(line, format!("names the path `{listed}`, which leads out of its folder")))
    }
}

/// A path that cannot lead out of the folder that it is joined to; none if it could.
pub(crate) fn inside(listed: &str) -> Option<PathBuf> {
    let drive = listed.as_bytes().get(1) == Some(&b':');
    let odd = listed.is_empty() || listed.starts_with(['/', '\\']) || listed.contains('\0') || drive;
    if odd || listed.split('\\').any(|name| name == "..") {
        return None;
    }
    if !listed.split('/').any(|name| name == "..") {
        return Some(PathBuf::from(listed));
    }
    // Up and down again stays inside as long as it never goes above where it began.
    let mut path = PathBuf::new();
    for name in listed.split('/').filter(|name| !matches!(*name, "" | ".")) {
        match name {
            ".." => path.pop().then_some(())?,
            name => path.push(name),
        }
    }
    (path != PathBuf::new()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_their_folder() {
        for good in ["a.jpg", "a/b.jpg", "./a", "..a/b..", "a b/c", "a..b"] {
            assert_eq!(inside(good), Some(PathBuf::from(good)), "{good}");
        }
        for bad in ["", "/etc/passwd", "../a", "a/../../b", "a\\..\\b", "\\\\host\\a", "C:\\a", "C:a", "a\0b", ".."] {
            assert_eq!(inside(bad), None, "{bad}");
        }
        for (winding, path) in [("a/../b.jpg", "b.jpg"), ("a/./b/../../c/d", "c/d")] {
            assert_eq!(inside(winding), Some(PathBuf::from(path)), "{winding}");
        }
        assert_eq!(inside("a/.."), None);
    }

    #[test]
    fn lines_keep_their_numbers() {
        let list = Listing::of("l.txt".into(), "\u{feff}a b\r\n\n  c \n".into(), "fetch it");
        assert_eq!(list.lines().collect::<Vec<_>>(), [(1, "a b"), (3, "c")]);
        assert_eq!(list.wrong(3, "is odd").to_string(), "l.txt, line 3, is odd; fetch it");
        assert!(list.number::<u32>(3, "the class", "-1").unwrap_err().to_string().contains("`-1` for the class"));
    }
}
