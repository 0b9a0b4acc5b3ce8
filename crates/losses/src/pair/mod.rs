//! Losses of pairs: rows of one class are drawn together, rows of two pushed apart.

mod circle;
mod contrastive;
mod generalized_lifted_structure;
mod lifted_structure;
mod margin_loss;
mod multi_similarity;
mod multi_sup_con;
mod nca_style;
mod nt_xent;
mod pairwise_contrastive;
mod sig_lip;
mod sup_con;

pub use circle::{Circle, CircleSettings};
pub use contrastive::{Contrastive, ContrastiveSettings};
pub use generalized_lifted_structure::{GeneralizedLiftedStructure, GeneralizedLiftedStructureSettings};
pub use lifted_structure::{LiftedStructure, LiftedStructureSettings};
pub use margin_loss::{MarginLoss, MarginLossSettings};
pub use multi_similarity::{MultiSimilarity, MultiSimilaritySettings};
pub use multi_sup_con::{MultiSupCon, MultiSupConSettings};
pub use nca_style::{NcaStyle, NcaStyleSettings};
pub use nt_xent::{NtXent, NtXentSettings};
pub use pairwise_contrastive::{PairwiseContrastive, PairwiseContrastiveSettings};
pub use sig_lip::{SigLip, SigLipSettings};
pub use sup_con::{SupCon, SupConSettings};
