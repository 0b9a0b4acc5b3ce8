//! Rounds of one piece of work.

use anyhow::Result;
use candle_core::Device;
use std::time::Instant;

const WARM_UP: usize = 2;
const LEAST: usize = 7;
const MOST: usize = 50;
/// Seconds of rounds after which the least number of them will do.
const ENOUGH: f64 = 1.;
/// Seconds of rounds after which three will do.
const TOO_LONG: f64 = 30.;

/// Seconds of each round.
pub fn time(device: &Device, round: &mut impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    for _ in 0..WARM_UP {
        round()?;
    }
    device.synchronize()?;
    let mut seconds = Vec::new();
    let mut sum = 0.;
    while !is_enough(seconds.len(), sum) {
        let start = Instant::now();
        round()?;
        device.synchronize()?;
        let taken = start.elapsed().as_secs_f64();
        seconds.push(taken);
        sum += taken;
    }
    Ok(seconds)
}

fn is_enough(rounds: usize, seconds: f64) -> bool {
    rounds >= MOST || (rounds >= LEAST && seconds >= ENOUGH) || (rounds >= 3 && seconds >= TOO_LONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_work_has_many_rounds_and_long_work_few() {
        let cases =
            [(6, 10., false), (7, 0.9, false), (7, 1., true), (50, 0.01, true), (2, 100., false), (3, 31., true)];
        for (rounds, seconds, enough) in cases {
            assert_eq!(is_enough(rounds, seconds), enough, "{rounds} {seconds}");
        }
        let mut calls = 0;
        let mut round = || {
            calls += 1;
            Ok(())
        };
        assert_eq!(time(&Device::Cpu, &mut round).unwrap().len(), MOST);
        assert_eq!(calls, MOST + WARM_UP);
    }
}
