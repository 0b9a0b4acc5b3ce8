use crate::rows::accept;
use crate::setting::at_least;
use crate::{Batch, Error, Loss, LossValue, Result};
use candle_core::Tensor;
use npair_types::{ClassId, Labels};

/// Cross-batch memory: the embeddings of the last batches, without a gradient, as further rows to compare a batch with.
/// Embeddings drift slowly, so those of some steps ago are as good as new ones, and cost nothing but their place.
///
/// A batch is compared with itself and with what is remembered of the batches before it; only then is it remembered, so no
/// row meets its own copy. The oldest rows leave first. Of a batch larger than the memory its last rows are kept.
///
/// # Shapes
/// At most `size` M rows (M, D) with their labels.
///
/// # Gradient
/// To the batch alone, through both of its parts: as queries, and as rows that other queries meet.
///
/// # Numerics
/// Every loss with a memory takes O(B (B + M)) time.
///
/// # Source
/// Wang et al., "Cross-Batch Memory for Embedding Learning", CVPR 2020 (arXiv 1912.06798), algorithm 1.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{CrossBatchMemory, MultiPositiveNPair};
/// # use npair_types::Labels;
/// let mut memory = CrossBatchMemory::new(3, 0)?;
/// let x = Tensor::new(&[[0f64, 0.], [0., 0.]], &Device::Cpu)?;
/// let a_class = |c| Labels::new([c, c]);
/// // A class alone has no negative: there is no loss, and nothing is remembered.
/// assert!(memory.forward(&MultiPositiveNPair, &x, &a_class(1)?).is_err());
/// memory.remember(&x, &a_class(2)?)?;
/// let loss = memory.forward(&MultiPositiveNPair, &x, &a_class(1)?)?;
/// assert!((loss.to_f64()? - 3f64.ln()).abs() < 1e-15); // the positive and two negatives, all alike
/// assert_eq!(memory.labels(), Labels::new([2, 1, 1])?.as_slice());
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct CrossBatchMemory {
    size: usize,
    start: u64,
    batches: u64,
    kept: Option<Kept>,
}

/// Rows and their labels, oldest first.
#[derive(Debug, Clone)]
struct Kept {
    rows: Tensor,
    labels: Labels,
}

npair_types::settings! {
    /// Cross-batch memory (Wang et al., 2020): the embeddings of the last batches as further rows to compare a batch with.
    pub struct CrossBatchMemorySettings {
        /// Most rows M that are remembered; 0 for none.
        size: usize = 0,
        /// Steps during which the memory is idle, while embeddings still move fast.
        start_step: u64 = 0,
    }
}

impl CrossBatchMemorySettings {
    /// The memory of these settings, if there is to be one, for steps of so many batches.
    ///
    /// # Errors
    /// As [`CrossBatchMemory::new`].
    pub fn build(&self, batches_per_step: u64) -> Result<Option<CrossBatchMemory>> {
        match self.size {
            0 => Ok(None),
            size => CrossBatchMemory::new(size, self.start_step.saturating_mul(batches_per_step)).map(Some),
        }
    }
}

impl CrossBatchMemory {
    /// A memory of `size` M >= 1 rows that is idle for the first `start` batches, while embeddings still move fast: they are
    /// neither compared nor remembered.
    ///
    /// # Errors
    /// [`Error::Setting`] for no rows.
    pub fn new(size: usize, start: u64) -> Result<Self> {
        let size = at_least("the size of the memory", size, 1, "a whole number above 0")?;
        Ok(Self { size, start, batches: 0, kept: None })
    }

    /// The loss of a batch against itself and the memory; then the batch is remembered. If there is an error, it is not.
    ///
    /// # Errors
    /// Those of the loss, which has to meet a reference, and of [`batch`](Self::batch).
    pub fn forward(&mut self, loss: &dyn Loss, embeddings: &Tensor, labels: &Labels) -> Result<LossValue> {
        let value = loss.forward(&self.batch(embeddings, labels)?)?;
        self.remember(embeddings, labels)?;
        Ok(value)
    }

    /// A batch, and what is remembered of those before it as its reference.
    ///
    /// # Errors
    /// As of [`Batch::new`], and [`Error::Shape`] if the embeddings are not of the memory's width.
    pub fn batch(&self, embeddings: &Tensor, labels: &Labels) -> Result<Batch> {
        let alone = Batch::new(embeddings, labels)?;
        match &self.kept {
            None => Ok(alone),
            Some(kept) => alone.with_reference(&kept.rows, &kept.labels),
        }
    }

    /// Counts a batch and, once the memory is no longer idle, remembers it: f32 or f64, and on the CPU nothing that is not finite,
    /// which would spoil every later batch.
    ///
    /// # Errors
    /// As [`batch`](Self::batch).
    pub fn remember(&mut self, embeddings: &Tensor, labels: &Labels) -> Result<()> {
        let batch = self.batch(embeddings, labels)?;
        self.batches += 1;
        if self.batches <= self.start {
            return Ok(());
        }
        let of_memory = &batch.all_labels().as_slice()[labels.len()..];
        let labels = [of_memory, labels.as_slice()].concat();
        // A copy: the tensor of a variable changes when the variable does.
        let new = batch.embeddings().detach().copy()?;
        let all = match batch.reference() {
            None => new,
            Some(old) => Tensor::cat(&[old, &new], 0)?,
        };
        self.kept = Some(self.youngest(&all, labels)?);
        Ok(())
    }

    /// The last rows, as many as there is place for.
    fn youngest(&self, rows: &Tensor, labels: Vec<ClassId>) -> Result<Kept> {
        let out = labels.len().saturating_sub(self.size);
        // Copied, so that what leaves is freed.
        let rows = rows.narrow(0, out, labels.len() - out)?.copy()?;
        Ok(Kept { rows, labels: Labels::from_ids(labels[out..].to_vec())? })
    }

    /// The remembered rows (at most M, D), oldest first; nothing at first.
    pub fn rows(&self) -> Option<&Tensor> {
        self.kept.as_ref().map(|kept| &kept.rows)
    }

    /// Classes of what is remembered, oldest first.
    pub fn labels(&self) -> &[ClassId] {
        self.kept.as_ref().map_or(&[], |kept| kept.labels.as_slice())
    }

    /// Batches seen, those of its idle time included.
    pub fn batches(&self) -> u64 {
        self.batches
    }

    /// Goes on from what another memory of these settings had: its [`batches`](Self::batches), and its [`rows`](Self::rows)
    /// and [`labels`](Self::labels) if there were any.
    ///
    /// # Errors
    /// [`Error::Shape`] if rows and labels do not fit each other or are more than there is place for, a similarity error with the
    /// first row that is not finite.
    pub fn restore(&mut self, batches: u64, kept: Option<(Tensor, Labels)>) -> Result<()> {
        let checked = |(rows, labels): (Tensor, Labels)| {
            let rows = accept("memory", &rows)?;
            let (m, d) = rows.dims2()?;
            if m != labels.len() || m > self.size {
                let want = format!("({}, D) with its labels, at most {} rows", labels.len(), self.size);
                return Err(Error::Shape { what: "memory", got: vec![m, d], want });
            }
            Ok(Kept { rows, labels })
        };
        self.kept = kept.map(checked).transpose()?;
        self.batches = batches;
        Ok(())
    }
}
