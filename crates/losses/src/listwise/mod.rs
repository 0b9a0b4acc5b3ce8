//! Losses of rankings: of all rows by their nearness to one.

mod fast_ap;
mod histogram;
mod ranked_list;
mod smooth_ap;

pub use fast_ap::{FastAp, FastApSettings};
pub use histogram::{Histogram, HistogramSettings};
pub use ranked_list::{RankedList, RankedListSettings};
pub use smooth_ap::{SmoothAp, SmoothApSettings};
