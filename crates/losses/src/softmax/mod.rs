//! Losses of a softmax over the classes of training, most of them on cosines, with a margin.

mod arc_face;
pub(crate) mod class_weights;
mod cos_face;
pub(crate) mod long_tail;
mod normalized_softmax;
mod softmax_classifier;
mod sphere_face;
mod sub_center_arc_face;

pub use arc_face::{ArcFace, ArcFaceSettings};
pub(crate) use class_weights::check_classes;
pub use cos_face::{CosFace, CosFaceSettings};
pub use long_tail::{class_weights_by_size, margins_by_size};
pub use normalized_softmax::{NormalizedSoftmax, NormalizedSoftmaxSettings};
pub use softmax_classifier::{SoftmaxClassifier, SoftmaxClassifierSettings};
pub use sphere_face::{SphereFace, SphereFaceSettings};
pub use sub_center_arc_face::{SubCenterArcFace, SubCenterArcFaceSettings};
