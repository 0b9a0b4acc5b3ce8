//! Exact nearest neighbours of many rows, streamed: the matrix of all pairs is never in memory.
//!
//! ```text
//! cargo run --release -p npair-similarity --example streamed_top_k
//! ```
#![allow(clippy::print_stdout)] // an example prints

use npair_similarity::{Exclude, Rows};
use npair_types::Measure;

const ROWS: usize = 4000;
const WIDTH: usize = 64;

/// Numbers that look random, the same on every machine.
fn noise(state: &mut u64) -> f32 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 40) as f32 / (1u32 << 24) as f32 - 0.5
}

fn main() -> Result<(), npair_similarity::Error> {
    // Pairs of rows: every second one is the row before it, a little changed.
    let (mut values, mut state) = (Vec::with_capacity(ROWS * WIDTH), 1);
    for row in 0..ROWS {
        for column in 0..WIDTH {
            let value = match row % 2 {
                0 => noise(&mut state),
                _ => values[(row - 1) * WIDTH + column] + 0.1 * noise(&mut state),
            };
            values.push(value);
        }
    }
    let rows = Rows::new(&values, WIDTH)?;
    let near = rows.top_k(rows, Measure::Cosine, 3, Exclude::SameRow)?;
    for query in [0, 1, ROWS - 1] {
        println!("row {query}: nearest {:?}", near.indices(query));
    }
    let found = (0..ROWS).filter(|&i| near.indices(i)[0] as usize == i ^ 1).count();
    println!("{found} of {ROWS} rows find their partner first");
    assert_eq!(found, ROWS);
    Ok(())
}

#[test]
fn it_runs() {
    main().unwrap();
}
