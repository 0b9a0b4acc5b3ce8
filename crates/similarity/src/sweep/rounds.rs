//! A set searched in itself: every pair of its blocks meets once, and pairs of one round have no block in common, so that
//! they may run side by side and give both blocks what was found.

/// The rounds of `blocks` players, each of whom meets every other one once: the circle method of tournaments. One player
/// stays, the others move around the table.
pub(super) fn rounds(blocks: usize) -> Vec<Vec<(usize, usize)>> {
    // With an odd number one rests in every round.
    let players = blocks + blocks % 2;
    let ring = players.saturating_sub(1);
    let pairs = |round: usize| {
        let across = (1..players / 2).map(move |i| ((round + i) % ring, (round + ring - i) % ring));
        std::iter::once((round, ring)).chain(across).filter(|&(a, b)| a.max(b) < blocks).collect()
    };
    (0..ring).map(pairs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_meets_everyone_once_and_nobody_twice_in_a_round() {
        for blocks in 0..12 {
            let rounds = rounds(blocks);
            let mut met = vec![0; blocks * blocks];
            for round in &rounds {
                let mut busy = vec![false; blocks];
                for &(a, b) in round {
                    assert!(a != b && !busy[a] && !busy[b], "{blocks}: {round:?}");
                    (busy[a], busy[b]) = (true, true);
                    met[a.min(b) * blocks + a.max(b)] += 1;
                }
            }
            for a in 0..blocks {
                assert!((a + 1..blocks).all(|b| met[a * blocks + b] == 1), "{blocks}");
            }
        }
    }
}
