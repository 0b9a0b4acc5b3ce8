//! Losses of triplets: an anchor nearer to its positive than to its negative.

mod angular;
mod batch_all_triplet;
mod batch_hard_triplet;
mod margin_free_triplet;
mod smooth_triplet;
mod triplet_margin;

pub use angular::{Angular, AngularSettings};
pub use batch_all_triplet::{BatchAllTriplet, BatchAllTripletSettings};
pub use batch_hard_triplet::{BatchHardTriplet, BatchHardTripletSettings, BatchHardTripletSoftSettings};
pub use margin_free_triplet::{MarginFreeTriplet, MarginFreeTripletSettings};
pub use smooth_triplet::{SmoothTriplet, SmoothTripletSettings};
pub use triplet_margin::{TripletMargin, TripletMarginSettings};
