//! Everything that is near enough.

use super::pieces::nearest;
use super::{Exclude, Neighbors, Task, finite};
use crate::pairwise::PairwiseSimilarity;
use crate::{Error, Result, Rows};
use npair_types::Measure;

impl Rows<'_, f32> {
    /// All rows of `gallery` whose similarity is `least` or more, for every row of `self`, nearest first; of more than `most` the
    /// nearest `most`. A list of `most` may have been cut.
    ///
    /// # Shapes
    /// `self` (Q, D), `gallery` (G, D); Q lists of at most `most`. Memory is that of [`top_k`](Self::top_k) with `k = most`, however few
    /// are found.
    ///
    /// # Numerics
    /// Similarity in f64 is compared with `least`, which for squared distances is one below zero, as for
    /// [`top_k_in_pieces`](Self::top_k_in_pieces). Rows that tie come in the order of the gallery.
    /// The same for any number of threads.
    ///
    /// # Errors
    /// As for [`top_k`](Self::top_k), and [`Error::Shape`] if `least` is no number.
    ///
    /// # Examples
    /// ```
    /// # use npair_similarity::{Exclude, Rows};
    /// # use npair_types::Measure;
    /// let points = Rows::new(&[0f32, 1., 5., 5.5], 1)?;
    /// let near = points.within(points, Measure::SquaredEuclidean, -1., 10, Exclude::SameRow)?;
    /// assert_eq!((near.indices(0), near.indices(2)), (&[1][..], &[3][..]));
    /// # Ok::<(), npair_similarity::Error>(())
    /// ```
    pub fn within(
        self,
        gallery: Self,
        measure: Measure,
        least: f64,
        most: usize,
        exclude: Exclude,
    ) -> Result<Neighbors<f32>> {
        self.expect_width(&gallery)?;
        exclude.check(self.len(), gallery.len())?;
        if most == 0 || least.is_nan() || u32::try_from(gallery.len()).is_err() {
            let got = format!("at most {most} of {} rows from {least} on", gallery.len());
            return Err(Error::Shape {
                what: "a search within",
                got,
                want: "most >= 1 of at most 4294967295 rows, from a number on".to_owned(),
            });
        }
        let known = vec![least; self.len()];
        let task = Task { queries: self, gallery, measure, exclude: exclude.into(), known: Some(&known) };
        let pairs = PairwiseSimilarity::new(self, gallery, measure);
        let (starts, indices, similarity) = nearest(task, &pairs, most.min(gallery.len().max(1)))?;
        let mut near = (vec![0], Vec::new(), Vec::new());
        for query in 0..self.len() {
            let all = &indices[starts[query]..starts[query + 1]];
            // Nearest first.
            let count = all.partition_point(|&row| pairs.similarity(query, row as usize) >= least);
            near.1.extend_from_slice(&all[..count]);
            near.2.extend_from_slice(&similarity[starts[query]..][..count]);
            near.0.push(near.1.len());
        }
        let (starts, indices, similarity) = finite(near)?;
        Ok(Neighbors { starts, indices, similarity })
    }
}
