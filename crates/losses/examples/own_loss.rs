//! A loss of your own over the rows of the similarity matrix: ten lines, and it has f64, all threads, a memory and any miner.
//!
//! ```text
//! cargo run --release -p npair-losses --example own_loss
//! ```
#![allow(clippy::print_stdout)] // an example prints

use candle_core::{Device, Var};
use npair_losses::{Batch, CrossBatchMemory, Entry, Loss, Needs, Row, RowLoss, RowTerms};
use npair_similarity::Element;
use npair_types::Labels;

/// Every row at most as near to rows of other classes as `bar`, in cosines: the mean of the squares of what is above it.
struct NoNearerThan {
    bar: f64,
}

impl RowLoss for NoNearerThan {
    const NAME: &'static str = "no nearer than";
    const ENTRY: Entry = Entry::Cosine;
    /// A row without a positive has its term too.
    const NEEDS: Needs = Needs::Either;

    fn row<T: Element>(&self, row: Row<'_, T>, gradient: &mut [T]) -> RowTerms {
        let mut sum = 0.;
        for n in row.negatives() {
            let above = (row.entries()[n].wide() - self.bar).max(0.);
            sum += above * above;
            gradient[n] = T::narrow(2. * above);
        }
        RowTerms::one(sum)
    }
}

fn main() -> Result<(), npair_losses::Error> {
    let loss = NoNearerThan { bar: 0.5 };
    let (x, labels) = (Var::new(&[[1f64, 0.], [0.6, 0.8], [0., 1.]], &Device::Cpu)?, Labels::new([1, 2, 3])?);
    let value = loss.forward(&Batch::new(&x, &labels)?)?;
    // Cosines 0.6 and 0.8, each met from both of its rows: 2 (0.1^2 + 0.3^2) over three rows.
    println!("loss {:.6} over {} rows", value.to_f64()?, value.terms);
    assert!((value.to_f64()? - 2. * (0.01 + 0.09) / 3.).abs() < 1e-12);
    assert!(value.value.backward()?.get(&x).is_some());

    // The same loss against the embeddings of earlier batches as well.
    let mut memory = CrossBatchMemory::new(100, 0)?;
    memory.remember(&x, &labels)?;
    let more = memory.forward(&loss, &x, &Labels::new([4, 5, 6])?)?;
    println!("with a memory of {} rows: loss {:.6}", memory.labels().len(), more.to_f64()?);
    assert!(more.to_f64()? > value.to_f64()?);
    Ok(())
}

#[test]
fn it_runs() {
    main().unwrap();
}
