//! Ranks that are processes: this program starts itself under `mpirun`.
#![allow(clippy::unwrap_used)]

use npair_collective::{Alone, Collective, Error, Mpi, Shards, Tag, TreeSum, sum_over_ranks, sum_to_rank};
use npair_testkit::mpirun::{self, all_well, ends_soon};
use std::path::Path;
use std::time::Duration;

fn main() {
    mpirun::cases(
        rank,
        &[
            ("every_rank_gets_what_the_others_gave_it", messages),
            ("ranks_out_of_step_are_told_so", out_of_step),
            ("an_error_on_one_rank_ends_all", one_fails),
        ],
    );
}

/// A process of `mpirun`.
fn rank(work: &str, folder: &Path) {
    let mpi = Mpi::start().unwrap();
    match work {
        "messages" => exchange(&mpi),
        "out of step" => {
            let number = if mpi.rank() == 1 { 7 } else { 2 };
            let said = mpi.barrier(tag(number)).unwrap_err();
            assert!(matches!(said, Error::OutOfStep { .. }), "{said}");
            assert_eq!(mpi.barrier(tag(9)), Err(said.clone()));
            std::fs::write(folder.join(format!("said-{}", mpi.rank())), said.to_string()).unwrap();
            // All have written before the first one ends the others.
            std::thread::sleep(Duration::from_secs(1));
            std::process::exit(3);
        }
        _ if mpi.rank() == 1 => panic!("planted"),
        _ => drop(mpi.barrier(tag(1))),
    }
    mpi.finish().unwrap();
}

fn tag(number: u64) -> Tag {
    Tag { what: "rows", number }
}

fn exchange(mpi: &Mpi) {
    let (me, ranks) = (mpi.rank(), mpi.ranks());
    assert_eq!((mpi.ranks_here(), mpi.rank_here(), mpi.machines()), (ranks, me, 1));
    for call in 0..50 {
        let length = |from: usize, to: usize| (from * 31 + to * 7 + call) % 40 * 1000;
        let parts = (0..ranks).map(|to| vec![(me * ranks + to) as u8; length(me, to)]).collect();
        for (from, part) in mpi.all_to_all(tag(call as u64), parts).unwrap().into_iter().enumerate() {
            assert_eq!(part, vec![(from * ranks + me) as u8; length(from, me)]);
        }
    }
    let all = mpi.all_gather(tag(50), &vec![me as u8; me * 3]).unwrap();
    assert!(all.iter().enumerate().all(|(rank, part)| *part == vec![rank as u8; rank * 3]));
    let said = mpi.broadcast(tag(51), ranks - 1, vec![me as u8; 5 + me]).unwrap();
    assert_eq!(said, vec![ranks as u8 - 1; 4 + ranks]);
    assert!(matches!(mpi.broadcast(tag(52), ranks, Vec::new()), Err(Error::Setting { setting: "root", .. })));
    assert!(matches!(Mpi::start(), Err(Error::Transport(_))));
    // Sums of numbers of many sizes are those of one process, to the bit.
    let shards = Shards::new(7).unwrap();
    let own = |ranks: &dyn Collective| {
        let mut own = TreeSum::new();
        for shard in shards.of_rank(ranks.rank(), ranks.ranks()) {
            let value = |i: usize| ((i * 7919 + shard * 31) % 1009) as f32 * 10f32.powi((i % 9) as i32 - 4);
            own.add(shard, (0..100).map(value).collect());
        }
        own
    };
    let bits = |sum: Vec<f32>| sum.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let want = bits(sum_over_ranks(&Alone, shards, own(&Alone)).unwrap());
    assert_eq!(bits(sum_over_ranks(mpi, shards, own(mpi)).unwrap()), want);
    let root = ranks - 1;
    let sum = sum_to_rank(mpi, shards, root, own(mpi)).unwrap();
    assert_eq!(sum.map(bits), (me == root).then_some(want));
}

fn messages() {
    let dir = tempfile::tempdir().unwrap();
    (1..=4).for_each(|ranks| all_well(ranks, "messages", dir.path()));
}

fn out_of_step() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!ends_soon(&mut mpirun::start(3, "out of step", dir.path())).success());
    let said = |rank: usize| std::fs::read_to_string(dir.path().join(format!("said-{rank}"))).unwrap();
    assert!(said(0).contains("rank 1 is at rows 7 where rank 0 is at rows 2"), "{}", said(0));
    assert!(said(1).contains("rank 0 is at rows 2 where rank 1 is at rows 7"), "{}", said(1));
}

fn one_fails() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!ends_soon(&mut mpirun::start(3, "one fails", dir.path())).success());
}
