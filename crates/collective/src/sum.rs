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
    shards.check(ranks.ranks())?;
    let layouts: Vec<_> = (0..ranks.ranks()).map(|rank| layout(shards.of_rank(rank, ranks.ranks()))).collect();
    let held: Vec<_> = own.nodes().iter().map(|node| (node.first, node.shards)).collect();
    assert_eq!(held, layouts[ranks.rank()], "a rank adds its own shards");
    let len = own.nodes().first().map_or(0, |node| node.values.len());
    let range = |rank: usize| cut(rank, ranks.ranks(), len);
    let parts = |rank| {
        let nodes = own.nodes().iter();
        nodes.flat_map(|node| bytemuck::cast_slice(&node.values[range(rank)]).iter().copied()).collect::<Vec<u8>>()
    };
    let tag = |what| Tag { what, number: len as u64 };
    let given = ranks.all_to_all(tag("parts of sums"), (0..ranks.ranks()).map(parts).collect())?;
    let mut sum = TreeSum::new();
    let mine = range(ranks.rank()).len();
    for (rank, (bytes, layout)) in given.iter().zip(&layouts).enumerate() {
        let values: Vec<T> = values(rank, bytes)?;
        if values.len() != layout.len() * mine {
            return Err(Error::Length { rank, got: bytes.len(), want: layout.len() * mine * size_of::<T>() });
        }
        for (at, &(first, shards)) in layout.iter().enumerate() {
            sum.push(Node { first, shards, values: values[at * mine..(at + 1) * mine].to_vec() });
        }
    }
    Ok(gather_values(ranks, tag("sums"), &sum.finish())?.concat())
}
