use crate::{Error, Result};
use std::fmt;

/// What ranks do together, as they tell each other before they do it: the name, and how often it has been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// What is done, such as `gradients`.
    pub what: &'static str,
    /// A number that goes with it, such as the step.
    pub number: u64,
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.what, self.number)
    }
}

/// Ranks that do the same things in the same order.
///
/// Every call is one that all ranks make; it returns when all have given their part. Calls carry a [`Tag`], and ranks whose tags differ get
/// [`Error::OutOfStep`], all of them: nobody goes on with another rank's numbers.
pub trait Collective: Send + Sync + fmt::Debug {
    /// This rank's number, from 0.
    fn rank(&self) -> usize;

    /// How many ranks there are, at least 1.
    fn ranks(&self) -> usize;

    /// Part `r` of what this rank gives goes to rank `r`; what every rank gave this one comes back, in the order of the ranks.
    ///
    /// # Errors
    /// [`Error::OutOfStep`], [`Error::Lost`], [`Error::Transport`]; after an error no further call succeeds.
    ///
    /// # Panics
    /// If there are not as many parts as ranks.
    fn all_to_all(&self, tag: Tag, parts: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>>;

    /// What every rank gave, in the order of the ranks; lengths may differ.
    ///
    /// # Errors
    /// As [`all_to_all`](Self::all_to_all).
    fn all_gather(&self, tag: Tag, own: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.all_to_all(tag, vec![own.to_vec(); self.ranks()])
    }

    /// What rank `root` has; what others gave is not looked at.
    ///
    /// # Errors
    /// As [`all_to_all`](Self::all_to_all); [`Error::Setting`] for a root that there is not.
    fn broadcast(&self, tag: Tag, root: usize, own: Vec<u8>) -> Result<Vec<u8>> {
        self.check_root(root)?;
        let given = if self.rank() == root { own } else { Vec::new() };
        let parts = vec![given; self.ranks()];
        Ok(self.all_to_all(tag, parts)?.swap_remove(root))
    }

    /// An error unless there is a rank `root`.
    ///
    /// # Errors
    /// [`Error::Setting`].
    fn check_root(&self, root: usize) -> Result<()> {
        if root >= self.ranks() {
            let why = format!("ranks are numbered from 0 to {}", self.ranks() - 1);
            return Err(Error::Setting { setting: "root", got: root, why });
        }
        Ok(())
    }

    /// Waits until all ranks are here.
    ///
    /// # Errors
    /// As [`all_to_all`](Self::all_to_all).
    fn barrier(&self, tag: Tag) -> Result<()> {
        self.all_gather(tag, &[]).map(|_| ())
    }
}

/// The values of all ranks, in the order of the ranks.
///
/// # Errors
/// As [`Collective::all_to_all`]; [`Error::Length`] for bytes that are no such values.
///
/// ```
/// # use npair_collective::{Collective, Tag, Threads, gather_values};
/// let all = Threads::run(2, |rank| {
///     let own = vec![rank.rank() as f32; 1 + rank.rank()];
///     gather_values(rank, Tag { what: "rows", number: 1 }, &own)
/// });
/// assert_eq!(all[0], Ok(vec![vec![0.], vec![1., 1.]]));
/// assert_eq!(all[0], all[1]);
/// ```
pub fn gather_values<T: bytemuck::Pod>(ranks: &dyn Collective, tag: Tag, own: &[T]) -> Result<Vec<Vec<T>>> {
    let all = ranks.all_gather(tag, bytemuck::cast_slice(own))?;
    all.iter().enumerate().map(|(rank, bytes)| values(rank, bytes)).collect()
}

/// The values that rank `root` has; what others gave is not looked at.
///
/// # Errors
/// As [`Collective::broadcast`]; [`Error::Length`] for bytes that are no such values.
pub fn broadcast_values<T: bytemuck::Pod>(ranks: &dyn Collective, tag: Tag, root: usize, own: &[T]) -> Result<Vec<T>> {
    values(root, &ranks.broadcast(tag, root, bytemuck::cast_slice(own).to_vec())?)
}

/// Bytes that came from a rank, as values.
pub(crate) fn values<T: bytemuck::Pod>(rank: usize, bytes: &[u8]) -> Result<Vec<T>> {
    let each = size_of::<T>();
    if !bytes.len().is_multiple_of(each) {
        return Err(Error::Length { rank, got: bytes.len(), want: bytes.len() / each * each });
    }
    Ok(bytemuck::pod_collect_to_vec(bytes))
}
