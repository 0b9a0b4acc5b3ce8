use crate::tiles::Tiles;
use crate::{Element, Error, Result, Rows};
use npair_types::{ExampleId, Measure};
use std::cmp::Ordering;

/// What a search leaves out.
#[derive(Debug, Clone, Copy, Default)]
pub enum Exclude<'a> {
    /// Nothing.
    #[default]
    Nothing,
    /// Gallery row i for query row i: a set searched in itself.
    SameRow,
    /// Gallery rows with the query's example id.
    SameId {
        /// Ids of the queries.
        queries: &'a [ExampleId],
        /// Ids of the gallery.
        gallery: &'a [ExampleId],
    },
}

impl Exclude<'_> {
    fn check(&self, queries: usize, gallery: usize) -> Result<()> {
        if let Self::SameId { queries: q, gallery: g } = self
            && (q.len(), g.len()) != (queries, gallery)
        {
            let (got, want) = (format!("{} and {}", q.len(), g.len()), format!("{queries} and {gallery}"));
            return Err(Error::Shape { what: "ids of queries and gallery", got, want });
        }
        Ok(())
    }

    #[inline]
    fn hits(&self, query: usize, gallery: usize) -> bool {
        match self {
            Self::Nothing => false,
            Self::SameRow => query == gallery,
            Self::SameId { queries, gallery: g } => queries[query] == g[gallery],
        }
    }
}

/// The nearest gallery rows of every query, nearest first; equally near ones in the order of the gallery.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours<T> {
    /// Where each query's list starts; one more entry than queries.
    starts: Vec<usize>,
    indices: Vec<u32>,
    closeness: Vec<T>,
}

impl<T: Element> Neighbours<T> {
    /// Number of queries.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there was no query.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gallery rows near query `i`: k of them, or all that are left after exclusion if those are fewer.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len), as for slices.
    pub fn indices(&self, i: usize) -> &[u32] {
        &self.indices[self.starts[i]..self.starts[i + 1]]
    }

    /// Their closeness.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len), as for slices.
    pub fn closeness(&self, i: usize) -> &[T] {
        &self.closeness[self.starts[i]..self.starts[i + 1]]
    }
}

fn nearer<T: Element>(a: &(T, u32), b: &(T, u32)) -> Ordering {
    // Entries are finite: Rows checks the embeddings, `top_k` the products.
    b.0.partial_cmp(&a.0).unwrap_or(Ordering::Equal).then(a.1.cmp(&b.1))
}

/// The best k of a stream: candidates are gathered and pruned to k whenever they have doubled.
struct Best<T> {
    k: usize,
    kept: Vec<(T, u32)>,
    /// Closeness of the k-th best so far: what is no nearer cannot come in, since columns ascend.
    bar: Option<T>,
    bad: bool,
}

impl<T: Element> Best<T> {
    fn offer(&mut self, value: T, index: u32) {
        if self.bar.is_some_and(|bar| value <= bar) {
            return;
        }
        self.bad |= !value.wide().is_finite();
        self.kept.push((value, index));
        if self.kept.len() >= 2 * self.k + 32 {
            self.prune();
        }
    }

    fn prune(&mut self) {
        if self.kept.len() > self.k {
            self.kept.select_nth_unstable_by(self.k - 1, nearer);
            self.kept.truncate(self.k);
            self.bar = Some(self.kept[self.k - 1].0);
        }
    }

    fn finish(mut self) -> Vec<(T, u32)> {
        self.prune();
        self.kept.sort_unstable_by(nearer);
        self.kept
    }
}

impl<T: Element> Rows<'_, T> {
    /// The `k` nearest rows of `gallery` for every row of `self`, exactly: the matrix is streamed in tiles, memory beyond
    /// the result is a few tiles.
    ///
    /// # Shapes
    /// `self` (Q, D), `gallery` (G, D); the result has Q lists of at most `k`.
    ///
    /// # Numerics
    /// Products are summed in `T`; rows that tie to the last bit come in the order of the gallery.
    ///
    /// # Errors
    /// [`Error::Shape`] if the widths differ, `k` is 0, the gallery has more than `u32::MAX` rows or the ids of `exclude`
    /// do not fit; [`Error::Overflow`] if products of finite rows are not finite.
    ///
    /// # Examples
    /// ```
    /// # use npair_similarity::{Exclude, Rows};
    /// # use npair_types::Measure;
    /// let points = Rows::new(&[0f64, 1., 5., 5.5], 1)?;
    /// let near = points.top_k(points, Measure::SquaredEuclidean, 2, Exclude::SameRow)?;
    /// assert_eq!(near.indices(0), [1, 2]);
    /// assert_eq!(near.closeness(2), [-0.25, -16.]);
    /// # Ok::<(), npair_similarity::Error>(())
    /// ```
    pub fn top_k(self, gallery: Self, measure: Measure, k: usize, exclude: Exclude) -> Result<Neighbours<T>> {
        self.expect_width(&gallery)?;
        exclude.check(self.len(), gallery.len())?;
        if k == 0 || u32::try_from(gallery.len()).is_err() {
            let got = format!("k = {k} of {} rows", gallery.len());
            return Err(Error::Shape { what: "top-k", got, want: "k >= 1 of at most 4294967295 rows".to_owned() });
        }
        let k = k.min(gallery.len().max(1));
        let blocks = Tiles::new(self, gallery, measure).by_rows(
            |rows| rows.map(|_| Best { k, kept: Vec::new(), bar: None, bad: false }).collect::<Vec<_>>(),
            |state, tile| {
                for (best, (row, line)) in state.iter_mut().zip(tile.lines()) {
                    for (column, &value) in tile.columns.clone().zip(line) {
                        if !exclude.hits(row, column) {
                            best.offer(value, column as u32);
                        }
                    }
                }
            },
        );
        let mut out = Neighbours { starts: vec![0], indices: Vec::new(), closeness: Vec::new() };
        for (row, best) in blocks.into_iter().flatten().enumerate() {
            if best.bad {
                return Err(Error::Overflow { row, dtype: T::NAME });
            }
            let (closeness, indices): (Vec<T>, Vec<u32>) = best.finish().into_iter().unzip();
            out.closeness.extend(closeness);
            out.indices.extend(indices);
            out.starts.push(out.indices.len());
        }
        Ok(out)
    }
}
