//! How fast a device is: its limits first, then what training and searching ask of it.

mod limits;
mod matrix;
mod networks;
mod rounds;

use anyhow::Result;
use candle_core::Device;
use serde::{Deserialize, Serialize};

/// How much work is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scale {
    /// Sizes that say what the device can do: a minute on a CPU, some minutes on a GPU.
    #[default]
    Usual,
    /// Small ones, to see that everything runs; the figures are worth little.
    Quick,
}

/// What a round does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Bytes read and written.
    Bytes(f64),
    /// Multiplications and additions of matrix products, as the mathematics needs them: not those of a split into parts.
    Operations(f64),
    /// Pictures that go through a network.
    Pictures(f64),
}

/// Something that was timed on a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timed {
    /// What, with its sizes and number type.
    pub name: String,
    /// What a round does.
    pub work: Work,
    /// Seconds of every round, in order; none if it was not taken.
    pub seconds: Vec<f64>,
    /// The part of the device's measured limit that the median round reached.
    pub of_limit: Option<f64>,
    /// Why it was not taken.
    pub not_taken: Option<String>,
}

impl Timed {
    /// Seconds of the median round (the mean of the two in the middle); `None` if it was not taken.
    pub fn median(&self) -> Option<f64> {
        let mut sorted = self.seconds.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() % 2 {
            _ if sorted.is_empty() => None,
            1 => Some(sorted[middle]),
            _ => Some(0.5 * (sorted[middle - 1] + sorted[middle])),
        }
    }

    /// Work a second of the median round, and its unit.
    pub fn rate(&self) -> Option<(f64, &'static str)> {
        let rate = self.per_second()?;
        Some(match self.work {
            Work::Bytes(_) => (rate / 1e9, "GB/s"),
            Work::Operations(_) if rate < 1e12 => (rate / 1e9, "GFLOP/s"),
            Work::Operations(_) => (rate / 1e12, "TFLOP/s"),
            Work::Pictures(_) => (rate, "pictures/s"),
        })
    }

    fn per_second(&self) -> Option<f64> {
        let (Work::Bytes(n) | Work::Operations(n) | Work::Pictures(n)) = self.work;
        Some(n / self.median()?)
    }
}

/// Times `device`: a copy in its memory and matrix products, which are its limits; N-pair-mc forward and backward; exact top-k;
/// training steps and embedding of networks; of all that, the cases whose name has `only`. `each` hears of every case as soon as it is
/// done. A case that the device cannot do, for
/// want of memory or of a number type, is given with the reason.
///
/// Wall time of a round, from an idle device to an idle device; the first rounds do not count.
///
/// # Errors
/// Those of the device when it is asked to finish.
pub fn bench_device(device: &Device, scale: Scale, only: &str, each: impl FnMut(&Timed)) -> Result<Vec<Timed>> {
    let mut bench = Bench { device, scale, only, each, all: Vec::new() };
    limits::run(&mut bench)?;
    matrix::run(&mut bench)?;
    networks::run(&mut bench)?;
    Ok(bench.all)
}

struct Bench<'a, E> {
    device: &'a Device,
    scale: Scale,
    /// What a case's name has to have.
    only: &'a str,
    each: E,
    all: Vec<Timed>,
}

impl<E: FnMut(&Timed)> Bench<'_, E> {
    /// One of two sizes.
    fn size<T>(&self, quick: T, cpu: T, gpu: T) -> T {
        match (self.scale, self.device.is_cpu()) {
            (Scale::Quick, _) => quick,
            (Scale::Usual, true) => cpu,
            (Scale::Usual, false) => gpu,
        }
    }

    /// Makes a piece of work, and times it. What it is compared with has been timed before, under the name `limit`.
    fn time<W: FnMut() -> Result<()>>(
        &mut self,
        name: String,
        work: Work,
        limit: Option<&str>,
        make: impl FnOnce(&Device) -> Result<W>,
    ) -> Result<()> {
        if !name.contains(self.only) {
            return Ok(());
        }
        let taken = make(self.device).and_then(|mut round| rounds::time(self.device, &mut round));
        // What failed may have left work behind.
        self.device.synchronize()?;
        let (seconds, not_taken) = match taken {
            Ok(seconds) => (seconds, None),
            Err(error) => (Vec::new(), Some(error.to_string().lines().next().unwrap_or_default().to_owned())),
        };
        let mut timed = Timed { name, work, seconds, of_limit: None, not_taken };
        let limit = limit.and_then(|name| self.all.iter().find(|t| t.name.starts_with(name)));
        timed.of_limit = timed.per_second().zip(limit.and_then(Timed::per_second)).map(|(rate, most)| rate / most);
        (self.each)(&timed);
        self.all.push(timed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_bench_of_the_cpu_times_everything_that_it_can() {
        let mut heard = 0;
        let all = bench_device(&Device::Cpu, Scale::Quick, "", |_| heard += 1).unwrap();
        assert_eq!(heard, all.len());
        for timed in &all {
            assert!(timed.not_taken.is_none(), "{timed:?}");
            assert!(timed.rate().is_some_and(|(rate, _)| rate > 0.), "{timed:?}");
        }
        assert!(all.iter().any(|t| t.name.starts_with("N-pair-mc") && t.of_limit.is_some_and(|s| s > 0.)));
    }

    #[test]
    fn what_fails_is_named_and_the_rest_goes_on() {
        let mut bench =
            Bench { device: &Device::Cpu, scale: Scale::Quick, only: "", each: |_: &Timed| {}, all: Vec::new() };
        let fail = |_: &Device| -> Result<fn() -> Result<()>> { Err(candle_core::Error::Msg("no room".into()).into()) };
        bench.time("a".into(), Work::Bytes(1.), None, fail).unwrap();
        bench.time("b".into(), Work::Bytes(1.), Some("a"), |_| Ok(|| Ok(()))).unwrap();
        assert!(
            bench.all[0].not_taken.as_ref().is_some_and(|why| why.contains("no room")) && bench.all[0].rate().is_none()
        );
        assert!(bench.all[1].not_taken.is_none() && bench.all[1].of_limit.is_none());
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        let timed = |seconds: &[f64]| Timed {
            name: String::new(),
            work: Work::Operations(4e12),
            seconds: seconds.to_vec(),
            of_limit: None,
            not_taken: None,
        };
        assert_eq!(timed(&[3., 1., 2., 10.]).median(), Some(2.5));
        assert_eq!(timed(&[3., 1., 2.]).rate(), Some((2., "TFLOP/s")));
        assert_eq!(timed(&[8.]).rate(), Some((500., "GFLOP/s")));
        assert_eq!(timed(&[]).rate(), None);
    }
}
