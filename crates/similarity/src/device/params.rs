/// What every kernel is told beside its buffers: the same fields in the same order as `struct Params` of the kernels.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Params {
    /// Queries of this launch.
    pub(crate) rows: u32,
    /// Gallery rows; of a search, the end of this launch's.
    pub(crate) columns: u32,
    /// D of a side, or of what is written.
    pub(crate) width: u32,
    /// Values from row to row of a padded side.
    pub(crate) stride: u32,
    /// The first query of this launch among all.
    pub(crate) first_row: u32,
    /// The first gallery row of this launch.
    pub(crate) first_column: u32,
    /// Entries from row to row of the matrix kept meanwhile.
    pub(crate) line: u32,
    /// Tiles of columns.
    pub(crate) tiles: u32,
    /// A mask's number.
    pub(crate) mask: u32,
    /// A reduction's number.
    pub(crate) kind: u32,
    /// Sums that are added up.
    pub(crate) parts: u32,
    /// Of the kernel.
    pub(crate) flags: u32,
    /// Neighbors.
    pub(crate) k: u32,
    /// Candidates of a row.
    pub(crate) capacity: u32,
    /// Bit i: buffer i is not there. Set by [`Launch::absent`](super::Launch::absent).
    pub(crate) absent: u32,
    /// Of a product.
    pub(crate) scale: f32,
    /// Of a row.
    pub(crate) share: f32,
}
