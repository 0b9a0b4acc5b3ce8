use crate::tiles::Tiles;
use crate::{Element, Error, Mask, Result, Rows};
use npair_types::Measure;

/// The nearest gallery row that a mask leaves to a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nearest<T> {
    /// Its similarity.
    pub similarity: T,
    /// Its place in the gallery; the first of equally near ones.
    pub index: usize,
}

impl<T: Element> Rows<'_, T> {
    /// The nearest gallery row under `mask` for every query; `None` where the mask leaves none.
    ///
    /// # Shapes
    /// `self` (Q, D), `gallery` (G, D); Q entries.
    ///
    /// # Errors
    /// [`Error::Shape`] if widths or the mask's labels do not fit.
    pub fn row_max(self, gallery: Self, measure: Measure, mask: &Mask) -> Result<Vec<Option<Nearest<T>>>> {
        self.extreme(gallery, measure, mask, |value, best| value > best)
    }

    /// The farthest gallery row under `mask` for every query; `None` where the mask leaves none. Of equally far ones the
    /// first.
    ///
    /// # Shapes
    /// `self` (Q, D), `gallery` (G, D); Q entries.
    ///
    /// # Errors
    /// [`Error::Shape`] if widths or the mask's labels do not fit.
    pub fn row_min(self, gallery: Self, measure: Measure, mask: &Mask) -> Result<Vec<Option<Nearest<T>>>> {
        self.extreme(gallery, measure, mask, |value, best| value < best)
    }

    /// The first entry of every row that is better than all before.
    fn extreme(
        self,
        gallery: Self,
        measure: Measure,
        mask: &Mask,
        better: impl Fn(T, T) -> bool + Sync,
    ) -> Result<Vec<Option<Nearest<T>>>> {
        self.expect_width(&gallery)?;
        check_mask(mask, self.len(), gallery.len())?;
        let blocks = Tiles::new(self, gallery, measure).by_rows(
            |rows| vec![None::<Nearest<T>>; rows.len()],
            |state, tile| {
                for (best, (row, line)) in state.iter_mut().zip(tile.lines()) {
                    for (index, &similarity) in tile.columns.clone().zip(line) {
                        if mask.contains(row, index) && best.is_none_or(|b| better(similarity, b.similarity)) {
                            *best = Some(Nearest { similarity, index });
                        }
                    }
                }
            },
        );
        Ok(blocks.into_iter().flatten().collect())
    }

    /// Rank (from 1) of one gallery row per query among the gallery rows that `mask` leaves: one more than the rows that
    /// are nearer, or equally near and earlier. The `targets` come from [`row_max`](Self::row_max) with the same sides and
    /// measure, so that their similarity is the streamed matrix's to the bit.
    ///
    /// # Errors
    /// [`Error::Shape`] if widths, the mask's labels or the number of targets do not fit.
    pub fn ranks(
        self,
        gallery: Self,
        measure: Measure,
        mask: &Mask,
        targets: &[Option<Nearest<T>>],
    ) -> Result<Vec<Option<usize>>> {
        self.expect_width(&gallery)?;
        check_mask(mask, self.len(), gallery.len())?;
        if targets.len() != self.len() {
            let (got, want) = (format!("{}", targets.len()), format!("{}, one per query", self.len()));
            return Err(Error::Shape { what: "number of targets", got, want });
        }
        let blocks = Tiles::new(self, gallery, measure).by_rows(
            |rows| rows.map(|i| targets[i].map(|_| 1usize)).collect::<Vec<_>>(),
            |state, tile| {
                for (rank, (row, line)) in state.iter_mut().zip(tile.lines()) {
                    let (Some(rank), Some(target)) = (rank, targets[row]) else { continue };
                    *rank += tile
                        .columns
                        .clone()
                        .zip(line)
                        .filter(|&(index, &v)| {
                            (v > target.similarity || v == target.similarity && index < target.index)
                                && mask.contains(row, index)
                        })
                        .count();
                }
            },
        );
        Ok(blocks.into_iter().flatten().collect())
    }
}

pub(crate) fn check_mask(mask: &Mask, rows: usize, columns: usize) -> Result<()> {
    match mask.size() {
        Some(size) if size != (rows, columns) => {
            let (got, want) = (format!("{} x {}", size.0, size.1), format!("{rows} x {columns}"));
            Err(Error::Shape { what: "labels of the mask", got, want })
        }
        _ => Ok(()),
    }
}
