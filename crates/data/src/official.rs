//! Data sets in the layouts that they are published in, and where those put what.

mod cars;
mod cub;
mod in_shop;
mod lfw;
mod listed;
mod listing;
pub(crate) mod mat;
mod oml_csv;
mod one_shot_runs;
mod online_products;
mod web_face;

pub use cars::Cars196;
pub use cub::Cub;
pub use in_shop::InShop;
pub use lfw::Lfw;
pub use oml_csv::{OmlCsv, separator_of};
pub use one_shot_runs::{OfficialRun, OneShotRuns};
pub use online_products::OnlineProducts;
pub use web_face::WebFace;

pub(crate) use listing::MAX_LIST;

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Where a data set's own split puts an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OfficialSide {
    /// To learn from.
    Train,
    /// To be judged on: query and gallery at once, each example searched among all others.
    Test,
    /// To be judged on: searched for in the gallery.
    Query,
    /// To be judged on: searched in.
    Gallery,
}

impl OfficialSide {
    /// Whether it is searched for.
    pub fn is_query(self) -> bool {
        matches!(self, Self::Test | Self::Query)
    }

    /// Whether it is searched in.
    pub fn is_gallery(self) -> bool {
        matches!(self, Self::Test | Self::Gallery)
    }
}

/// The folder at or right below `root` that holds `file`; `root` if none does.
fn home(root: &Path, file: &str, below: &[&str]) -> PathBuf {
    let mut places = std::iter::once(root.to_owned()).chain(below.iter().map(|name| root.join(name)));
    places.find(|place| place.join(file).exists()).unwrap_or_else(|| root.to_owned())
}
