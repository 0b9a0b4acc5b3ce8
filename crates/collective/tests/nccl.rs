//! Ranks with a GPU each: threads of this process, which needs as many GPUs as there are ranks.
#![allow(clippy::unwrap_used)]

use npair_collective::{Alone, Collective, Error, Nccl, Shards, Tag, Threads, TreeSum, sum_over_ranks};
use std::sync::Arc;

const RANKS: usize = 2;

fn tag(number: u64) -> Tag {
    Tag { what: "rows", number }
}

/// Runs `work` on ranks that have a GPU each.
fn on_gpus<T: Send>(work: impl Fn(&Nccl) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let start = |rank: npair_collective::ThreadRank| {
            let work = &work;
            scope.spawn(move || {
                let gpu = rank.rank();
                work(&Nccl::start(Arc::new(rank), gpu).unwrap())
            })
        };
        let started: Vec<_> = Threads::ranks(RANKS).into_iter().map(start).collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn every_rank_gets_what_the_others_gave_it() {
    on_gpus(|own| {
        let (me, ranks) = (own.rank(), own.ranks());
        let length = |from: usize, to: usize, call: usize| (from * 31 + to * 7 + call) % 40 * 1000;
        for call in 0..40 {
            let parts = (0..ranks).map(|to| vec![(me * ranks + to) as u8; length(me, to, call)]).collect();
            for (from, part) in own.all_to_all(tag(call as u64), parts).unwrap().into_iter().enumerate() {
                assert_eq!(part, vec![(from * ranks + me) as u8; length(from, me, call)]);
            }
        }
    });
}

#[test]
fn sums_are_those_of_one_process_to_the_bit() {
    let shards = Shards::new(5).unwrap();
    let own = |ranks: &dyn Collective| {
        let mut own = TreeSum::new();
        for shard in shards.of_rank(ranks.rank(), ranks.ranks()) {
            own.add(shard, (0..1000).map(|i| ((i * 7919 + shard * 31) % 1009) as f32 / 3.).collect());
        }
        own
    };
    let want = sum_over_ranks(&Alone, shards, own(&Alone)).unwrap();
    let found = on_gpus(|ranks| sum_over_ranks(ranks, shards, own(ranks)).unwrap());
    assert!(found.into_iter().all(|sum| sum == want));
}

#[test]
fn ranks_out_of_step_are_told_so() {
    let found = on_gpus(|own| own.barrier(tag(own.rank() as u64)));
    assert!(found.iter().all(|found| matches!(found, Err(Error::OutOfStep { .. }))), "{found:?}");
}
