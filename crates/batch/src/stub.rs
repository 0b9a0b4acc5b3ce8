use crate::Result;
use candle_core::Tensor;
use npair_types::*;
pub trait TupleMiner: Send + Sync {
    fn mine(&self, embeddings: &Tensor, labels: &Labels, rng: &mut ChaCha8Rng) -> Result<Mined>;
    fn kind(&self) -> TupleKind;
    fn name(&self) -> &str;
}
pub struct Mined { pub tuples: Option<Tuples>, pub without: usize }
impl<M: TupleMiner + ?Sized> TupleMiner for Box<M> {
    fn mine(&self, e: &Tensor, l: &Labels, rng: &mut ChaCha8Rng) -> Result<Mined> { (**self).mine(e, l, rng) }
    fn kind(&self) -> TupleKind { (**self).kind() }
    fn name(&self) -> &str { (**self).name() }
}
