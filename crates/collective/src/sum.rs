use crate::collective::values;
use crate::shards::cut;
use crate::tree_sum::{Node, layout};
use crate::{Collective, Error, Result, Shards, Tag, TreeSum, gather_values};
use std::ops::AddAssign;

/// The sum over all shards, where every rank has added its own: the same on every rank, with the same bits for any number of ranks.
///
/// Every rank adds a range of the values, and sends it to all: `(nodes + 1) n / ranks` values in and out of each for n of them, where a rank
/// whose shards begin and end at multiples of a power of two has one node.
///
/// # Errors
/// As [`Collective::all_to_all`]; [`Error::Setting`] for more ranks than shards; [`Error::Length`] if ranks have other numbers of values.
///
/// # Panics
/// If what was added are not this rank's shards.
pub fn sum_over_ranks<T>(ranks: &dyn Collective, shards: Shards, own: TreeSum<T>) -> Result<Vec<T>>
where
    T: bytemuck::Pod + AddAssign,
{
    let (layouts, len) = check(ranks, shards, &own)?;
    let range = |rank: usize| cut(rank, ranks.ranks(), len);
    let parts = |rank| {
        let nodes = own.nodes().iter();
        nodes.flat_map(|node| bytemuck::cast_slice(&node.values[range(rank)]).iter().copied()).collect::<Vec<u8>>()
    };
    let tag = |what| Tag { what, number: len as u64 };
    let given = ranks.all_to_all(tag("parts of sums"), (0..ranks.ranks()).map(parts).collect())?;
    let sum: Vec<T> = join(&given, &layouts, range(ranks.rank()).len())?;
    Ok(gather_values(ranks, tag("sums"), &sum)?.concat())
}

/// The sum over all shards on rank `root` alone; none on the others. The bits are those of [`sum_over_ranks`].
///
/// # Errors
/// As [`sum_over_ranks`]; [`Error::Setting`] for a root that there is not.
///
/// # Panics
/// If what was added are not this rank's shards.
pub fn sum_to_rank<T>(ranks: &dyn Collective, shards: Shards, root: usize, own: TreeSum<T>) -> Result<Option<Vec<T>>>
where
    T: bytemuck::Pod + AddAssign,
{
    ranks.check_root(root)?;
    let (layouts, len) = check(ranks, shards, &own)?;
    let mut parts = vec![Vec::new(); ranks.ranks()];
    parts[root] = own.nodes().iter().flat_map(|node| bytemuck::cast_slice(&node.values).iter().copied()).collect();
    let tag = Tag { what: "sums for one rank", number: len as u64 };
    let given = ranks.all_to_all(tag, parts)?;
    if ranks.rank() != root {
        return Ok(None);
    }
    join(&given, &layouts, len).map(Some)
}

/// First and number of shards of the nodes of every rank.
type Layouts = Vec<Vec<(usize, usize)>>;

/// The nodes that every rank has, and the number of values of each.
fn check<T: Copy + AddAssign>(ranks: &dyn Collective, shards: Shards, own: &TreeSum<T>) -> Result<(Layouts, usize)> {
    shards.check(ranks.ranks())?;
    let layouts: Layouts = (0..ranks.ranks()).map(|rank| layout(shards.of_rank(rank, ranks.ranks()))).collect();
    let held: Vec<_> = own.nodes().iter().map(|node| (node.first, node.shards)).collect();
    assert_eq!(held, layouts[ranks.rank()], "a rank adds its own shards");
    Ok((layouts, own.nodes().first().map_or(0, |node| node.values.len())))
}

/// The tree of what all ranks gave of `len` values.
fn join<T: bytemuck::Pod + AddAssign>(given: &[Vec<u8>], layouts: &Layouts, len: usize) -> Result<Vec<T>> {
    let mut sum = TreeSum::new();
    for (rank, (bytes, layout)) in given.iter().zip(layouts).enumerate() {
        let values: Vec<T> = values(rank, bytes)?;
        if values.len() != layout.len() * len {
            return Err(Error::Length { rank, got: bytes.len(), want: layout.len() * len * size_of::<T>() });
        }
        for (at, &(first, shards)) in layout.iter().enumerate() {
            sum.push(Node { first, shards, values: values[at * len..(at + 1) * len].to_vec() });
        }
    }
    Ok(sum.finish())
}
