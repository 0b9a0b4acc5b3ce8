use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// A part of Omniglot, as it is published: one archive each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// 964 characters of 30 alphabets, to learn from.
    Background,
    /// 659 characters of 20 other alphabets, to be judged on.
    Evaluation,
    /// 136 characters of 5 of the background alphabets.
    Small1,
    /// 156 characters of 5 of the background alphabets, two of them (Greek, Latin) also in small1.
    Small2,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 4] = [Self::Background, Self::Evaluation, Self::Small1, Self::Small2];

    /// The name of its folder and, with `.zip`, of its archive.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Background => "images_background",
            Self::Evaluation => "images_evaluation",
            Self::Small1 => "images_background_small1",
            Self::Small2 => "images_background_small2",
        }
    }

    /// The part of a folder's name.
    pub(crate) fn of_folder(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.folder() == name)
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Background => "background",
            Self::Evaluation => "evaluation",
            Self::Small1 => "small1",
            Self::Small2 => "small2",
        })
    }
}

impl std::str::FromStr for Part {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|part| part.to_string() == name);
        known.ok_or_else(|| {
            Error::setting("part of Omniglot", name, "the parts are background, evaluation, small1 and small2")
        })
    }
}
