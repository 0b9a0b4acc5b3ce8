use crate::{Element, Error, Result};

/// Embeddings in a plain slice: `len` rows of `width` entries, one after the other, all finite.
///
/// ```
/// # use npair_similarity::Rows;
/// let rows = Rows::new(&[1f32, 0., 0., 1.], 2)?;
/// assert_eq!((rows.len(), rows.width(), rows.row(1)), (2, 2, &[0., 1.][..]));
/// # Ok::<(), npair_similarity::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a, T> {
    data: &'a [T],
    width: usize,
}

impl<'a, T: Element> Rows<'a, T> {
    /// Rows of `width` entries.
    ///
    /// # Errors
    /// [`Error::Shape`] if `width` is 0 or does not divide the number of entries, [`Error::NotFinite`] with the first
    /// bad row.
    pub fn new(data: &'a [T], width: usize) -> Result<Self> {
        if width == 0 || !data.len().is_multiple_of(width) {
            let (got, want) =
                (format!("{} values in rows of {width}", data.len()), "a whole number of rows".to_owned());
            return Err(Error::Shape { what: "embeddings", got, want });
        }
        match data.iter().position(|v| !v.wide().is_finite()) {
            Some(at) => Err(Error::NotFinite { side: "embeddings", row: at / width }),
            None => Ok(Self { data, width }),
        }
    }

    /// Rows of values that were checked before: no second pass over them.
    ///
    /// # Panics
    /// If `width` is 0 or does not divide the number of values.
    pub fn trusted(data: &'a [T], width: usize) -> Self {
        assert!(width > 0 && data.len().is_multiple_of(width), "{} values are no rows of {width}", data.len());
        Self { data, width }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.data.len() / self.width
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Entries of a row (D).
    pub fn width(&self) -> usize {
        self.width
    }

    /// All entries, one row after the other.
    pub fn as_slice(&self) -> &'a [T] {
        self.data
    }

    /// Row `i`.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len), as for slices.
    pub fn row(&self, i: usize) -> &'a [T] {
        &self.data[i * self.width..(i + 1) * self.width]
    }

    pub(crate) fn range(&self, rows: std::ops::Range<usize>) -> &'a [T] {
        &self.data[rows.start * self.width..rows.end * self.width]
    }

    pub(crate) fn expect_width(&self, gallery: &Self) -> Result<()> {
        if self.width != gallery.width {
            let (got, want) =
                (format!("rows of {}", gallery.width), format!("rows of {} as in the queries", self.width));
            return Err(Error::Shape { what: "gallery", got, want });
        }
        Ok(())
    }
}

/// Both sides in f64; one copy of a set that meets itself.
pub(crate) struct Wide {
    queries: Vec<f64>,
    gallery: Option<Vec<f64>>,
    width: usize,
}

impl Wide {
    pub(crate) fn of<T: Element>(queries: Rows<T>, gallery: Rows<T>) -> Self {
        let wide = |rows: Rows<T>| rows.as_slice().iter().map(|v| v.wide()).collect::<Vec<f64>>();
        let itself = std::ptr::eq(queries.as_slice(), gallery.as_slice());
        Self { queries: wide(queries), gallery: (!itself).then(|| wide(gallery)), width: queries.width() }
    }

    pub(crate) fn queries(&self) -> Rows<'_, f64> {
        Rows::trusted(&self.queries, self.width)
    }

    pub(crate) fn gallery(&self) -> Rows<'_, f64> {
        Rows::trusted(self.gallery.as_deref().unwrap_or(&self.queries), self.width)
    }
}
