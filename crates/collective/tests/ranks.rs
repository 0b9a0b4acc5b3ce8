//! Ranks that are threads: what they give each other, sums in one order, and what happens when one of them goes astray.
#![allow(clippy::unwrap_used)]

use npair_collective::{Alone, Collective, Error, Shards, Tag, Threads, TreeSum, gather_values, sum_over_ranks};
use proptest::prelude::*;

fn tag(number: u64) -> Tag {
    Tag { what: "rows", number }
}

#[test]
fn every_rank_gets_what_the_others_gave_it_call_after_call() {
    for ranks in 1..=5 {
        let found = Threads::run(ranks, |own| {
            let me = own.rank() as u8;
            for call in 0..200 {
                let parts = (0..ranks as u8).map(|to| vec![me, to, call as u8]).collect();
                let given = own.all_to_all(tag(call), parts)?;
                assert!(given.iter().zip(0..).all(|(part, from)| *part == [from, me, call as u8]));
            }
            own.barrier(tag(200))?;
            let said = own.broadcast(tag(201), ranks - 1, vec![me])?;
            Ok::<_, Error>((said, own.all_gather(tag(202), &vec![me; own.rank()])?))
        });
        let all: Vec<Vec<u8>> = (0..ranks).map(|rank| vec![rank as u8; rank]).collect();
        assert!(found.iter().all(|found| *found == Ok((vec![ranks as u8 - 1], all.clone()))), "{found:?}");
    }
}

#[test]
fn ranks_out_of_step_are_all_told_so() {
    let found = Threads::run(3, |own| {
        own.barrier(tag(1)).unwrap();
        let first = own.barrier(tag(if own.rank() == 1 { 7 } else { 2 }));
        // Nothing goes on.
        assert_eq!(own.barrier(tag(9)), first);
        first.unwrap_err()
    });
    let said = |number| tag(number).to_string();
    let of = |own_rank, own, rank, theirs| Error::OutOfStep { own_rank, own: said(own), rank, theirs: said(theirs) };
    assert_eq!(found, [of(0, 2, 1, 7), of(1, 7, 0, 2), of(2, 2, 1, 7)]);
    assert!(found[0].to_string().contains("rank 1 is at rows 7 where rank 0 is at rows 2"));
}

#[test]
fn a_rank_that_ends_is_waited_for_by_nobody() {
    let found = Threads::run(4, |own| {
        own.barrier(tag(1))?;
        if own.rank() == 2 {
            return Ok(());
        }
        own.barrier(tag(2))
    });
    let lost = Err(Error::Lost { rank: 2 });
    assert_eq!(found, [lost.clone(), lost.clone(), Ok(()), lost]);
}

#[test]
fn a_rank_that_panics_ends_the_others_too() {
    let ended = std::panic::catch_unwind(|| {
        Threads::run(3, |own| {
            assert!(own.rank() != 0, "planted");
            assert_eq!(own.barrier(tag(1)), Err(Error::Lost { rank: 0 }));
        })
    });
    assert_eq!(*ended.unwrap_err().downcast::<&str>().unwrap(), "planted");
}

#[test]
fn what_cannot_be_is_said() {
    assert!(matches!(Shards::new(0), Err(Error::Setting { setting: "shards", got: 0, .. })));
    let shards = Shards::new(2).unwrap();
    let found = Threads::run(3, |own| sum_over_ranks::<f32>(own, shards, TreeSum::new()));
    assert!(found.iter().all(|found| matches!(found, Err(Error::Setting { setting: "ranks", got: 3, .. }))));
    assert!(matches!(Alone.broadcast(tag(1), 1, Vec::new()), Err(Error::Setting { setting: "root", got: 1, .. })));
    // Bytes that are no values; numbers of values that differ.
    let odd = Threads::run(2, |own| match own.rank() {
        0 => own.all_gather(tag(1), &[1, 2, 3]).map(|_| Vec::new()),
        _ => gather_values::<f32>(own, tag(1), &[1.]),
    });
    assert_eq!(odd[1], Err(Error::Length { rank: 0, got: 3, want: 0 }));
    let short = Threads::run(2, |own| {
        let mut sum = TreeSum::new();
        sum.add(own.rank(), vec![1f32; 4 + own.rank()]);
        sum_over_ranks(own, shards, sum)
    });
    assert!(short.iter().all(|found| matches!(found, Err(Error::OutOfStep { .. }))), "{short:?}");
}

/// The order of the sum, written down once more: neighbours in pairs as often as they begin at a multiple, then from the first on.
fn plain(parts: &[Vec<f32>]) -> Vec<f32> {
    let add = |a: Vec<f32>, b: &Vec<f32>| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<f32>>();
    fn whole(parts: &[Vec<f32>]) -> Vec<f32> {
        let (a, b) = parts.split_at(parts.len() / 2);
        if a.is_empty() { b[0].clone() } else { whole(a).iter().zip(whole(b)).map(|(a, b)| a + b).collect() }
    }
    let (mut at, mut blocks) = (0, Vec::new());
    while at < parts.len() {
        let size = 1 << (parts.len() - at).ilog2();
        blocks.push(whole(&parts[at..at + size]));
        at += size;
    }
    let mut blocks = blocks.into_iter();
    let first = blocks.next().unwrap();
    blocks.fold(first, |sum, block| add(sum, &block))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_sum_has_the_same_bits_for_any_number_of_ranks(shards in 1usize..20, len in 0usize..40, seed in 0u64..1000) {
        // Numbers of many sizes, so that another order would be seen.
        let number = |i: usize| {
            let x = (i as u64 * 7919 + seed * 104_729) % 10_007;
            (x as f32 - 5000.) * 10f32.powi((x % 13) as i32 - 6)
        };
        let parts: Vec<Vec<f32>> = (0..shards).map(|s| (0..len).map(|i| number(s * len + i)).collect()).collect();
        let want = plain(&parts);
        let cut = Shards::new(shards).unwrap();
        for ranks in 1..=shards.min(6) {
            let sums = Threads::run(ranks, |own| {
                let mut sum = TreeSum::new();
                for shard in cut.of_rank(own.rank(), ranks) {
                    sum.add(shard, parts[shard].clone());
                }
                sum_over_ranks(own, cut, sum)
            });
            for sum in sums {
                let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                prop_assert_eq!(bits(&sum.unwrap()), bits(&want), "{} ranks", ranks);
            }
        }
    }

    #[test]
    fn shards_and_rows_are_all_of_them_once(shards in 1usize..30, ranks in 1usize..8, batch in 0usize..200) {
        let cut = Shards::new(shards).unwrap();
        let parts: Vec<usize> = (0..ranks).flat_map(|rank| cut.of_rank(rank, ranks)).collect();
        prop_assert_eq!(parts, (0..shards).collect::<Vec<_>>());
        let rows: Vec<usize> = (0..shards).flat_map(|shard| cut.rows(shard, batch)).collect();
        prop_assert_eq!(rows, (0..batch).collect::<Vec<_>>());
        let rows: Vec<usize> = (0..ranks).flat_map(|rank| cut.rows_of_rank(rank, ranks, batch)).collect();
        prop_assert_eq!(rows, (0..batch).collect::<Vec<_>>());
    }
}
