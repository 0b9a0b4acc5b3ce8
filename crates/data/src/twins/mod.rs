//! Pictures that are there twice: the same pixels, or what was made of the same picture by another program: in another size or
//! encoding, brighter, cut at its edges, mirrored or turned.

mod align;
mod edges;
mod look;
mod orientation;

#[cfg(test)]
mod tests;

use crate::check::survey;
use crate::{Dataset, OfficialSide, Report};
use edges::{EdgeTable, Edges};
use look::Look;
use npair_types::ExampleId;
pub use orientation::Orientation;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// Two examples that are one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Twins {
    /// The first.
    pub one: ExampleId,
    /// The second, which comes later in the data set.
    pub other: ExampleId,
    /// How they are one.
    pub likeness: Likeness,
}

/// How two pictures are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Likeness {
    /// All pixels are the same.
    SamePixels,
    /// They look the same: another size or encoding, a little brighter or darker, a few percent cut off.
    SameLook,
    /// The second looks as the first, mirrored or turned, does. Where that makes another class of it they are two pictures.
    Turned(Orientation),
}

/// Where twins stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stand {
    /// On two sides of a split: what is judged on was learned from.
    TwoSides,
    /// In two classes: one of the labels is wrong, or a split by classes puts them on two sides.
    TwoClasses,
    /// In one class: two pictures that count as one.
    OneClass,
}

impl Twins {
    /// Where they stand in their data set, by its own split.
    pub fn stand(self, dataset: &dyn Dataset) -> Stand {
        let learned = |example| dataset.official(example).map(|side| side == OfficialSide::Train);
        let class = |example: ExampleId| dataset.labels().get(example.0);
        match (learned(self.one), learned(self.other)) {
            (Some(one), Some(other)) if one != other => Stand::TwoSides,
            _ if class(self.one) != class(self.other) => Stand::TwoClasses,
            _ => Stand::OneClass,
        }
    }
}

/// Checks a data set as [`check`](crate::check()) does, and finds its twins in the same pass.
///
/// Two pictures have the same look if a shift and a zoom of at most 8 % and a change of brightness and contrast, fitted by least
/// squares (Lucas and Kanade 1981), leave almost nothing of their difference at 32 x 32 places: neither in the mean nor in any patch
/// of 4 x 4 places, so that drawings which differ in one small thing are two pictures. Who is compared with whom is decided by 128
/// rising and falling edges (a difference hash), of which 16 have to agree, those that noise may turn aside; so a set of n pictures takes
/// far fewer than n² comparisons. Blank pictures are all alike, and no twins. The result does not depend on the number of threads.
pub fn check_twins(dataset: &dyn Dataset) -> (Report, Vec<Twins>) {
    let (report, looks) = survey(dataset, Look::of);
    let looks: Vec<(ExampleId, Look)> =
        looks.into_iter().enumerate().filter_map(|(i, look)| Some((ExampleId(i), look??))).collect();
    (report, twins(&looks))
}

fn twins(looks: &[(ExampleId, Look)]) -> Vec<Twins> {
    let (mut found, mut seen) = (Vec::new(), Vec::new());
    let mut first: HashMap<u64, ExampleId> = HashMap::new();
    for (example, look) in looks {
        let one = *first.entry(look.pixels()).or_insert(*example);
        if one != *example {
            found.push(Twins { one, other: *example, likeness: Likeness::SamePixels });
        } else if !look.is_blank() {
            seen.push((*example, look));
        }
    }
    let edges: Vec<Edges> = seen.par_iter().map(|(_, look)| Edges::of(look.grey())).collect();
    let table = EdgeTable::new(&edges);
    let earlier = |at: usize| earlier_twins(&seen, &table, at);
    found.extend((0..seen.len()).into_par_iter().flat_map_iter(earlier).collect::<Vec<_>>());
    found.sort_unstable();
    found
}

/// The twins of a picture among those before it, in every orientation.
fn earlier_twins(seen: &[(ExampleId, &Look)], table: &EdgeTable, at: usize) -> Vec<Twins> {
    let (other, look) = seen[at];
    let (mut found, mut met) = (Vec::new(), HashSet::new());
    for orientation in Orientation::ALL {
        let turned = look.oriented(orientation);
        for near in table.near(&Edges::of(turned.grey()), at) {
            let (one, earlier) = seen[near];
            if !met.contains(&near) && align::is_one(&turned, earlier) {
                met.insert(near);
                let likeness = match orientation {
                    Orientation::UPRIGHT => Likeness::SameLook,
                    _ => Likeness::Turned(orientation.inverse()),
                };
                found.push(Twins { one, other, likeness });
            }
        }
    }
    found
}
