//! Bicubic interpolation from square grids, as PyTorch does it with `antialias = True`.

use super::Element;
use super::matrix::{Place, product};

/// From a grid of `from` x `from` places to one of `to` rows and columns: the weights of either axis, (to, from).
#[derive(Debug, Clone)]
pub(crate) struct Resample<T> {
    from: usize,
    to: [usize; 2],
    weights: [Vec<T>; 2],
}

/// The cubic kernel of Keys (1981) with a = -1/2.
fn cubic(x: f64) -> f64 {
    let x = x.abs();
    match x {
        _ if x < 1. => (1.5 * x - 2.5) * x * x + 1.,
        _ if x < 2. => ((-0.5 * x + 2.5) * x - 4.) * x + 2.,
        _ => 0.,
    }
}

/// The weights of one axis, (to, from).
pub(crate) fn axis<T: Element>(from: usize, to: usize) -> Vec<T> {
    let scale = from as f64 / to as f64;
    // Where the grid shrinks the kernel is widened, so that every place counts.
    let stretch = scale.max(1.);
    let mut weights = vec![T::ZERO; to * from];
    for (at, weights) in weights.chunks_exact_mut(from).enumerate() {
        let center = scale * (at as f64 + 0.5);
        let first = (center - 2. * stretch + 0.5).max(0.) as usize;
        let last = ((center + 2. * stretch + 0.5) as usize).min(from);
        let near = |place: usize| cubic((place as f64 - center + 0.5) / stretch);
        let total: f64 = (first..last).map(near).sum();
        (first..last).for_each(|place| weights[place] = T::from_f64(near(place) / total));
    }
    weights
}

impl<T: Element> Resample<T> {
    pub(crate) fn new(from: usize, to: [usize; 2]) -> Self {
        Self { from, to, weights: to.map(|to| axis(from, to)) }
    }

    /// The weights as matrices.
    fn places(&self) -> [Place; 2] {
        self.to.map(|to| Place::rows(to, self.from, self.from))
    }

    /// A grid of `from` x `from` rows of `width` values as one of `to`.
    pub(crate) fn forward(&self, x: &[T], width: usize) -> Vec<T> {
        self.both(x, width, ([self.from; 2], self.to), self.places())
    }

    /// The gradient of [`Self::forward`].
    pub(crate) fn backward(&self, grad: &[T], width: usize) -> Vec<T> {
        self.both(grad, width, (self.to, [self.from; 2]), self.places().map(Place::transposed))
    }

    /// The product with the weights along both axes.
    fn both(&self, x: &[T], width: usize, (from, to): ([usize; 2], [usize; 2]), weights: [Place; 2]) -> Vec<T> {
        let (line, mut lines) = (from[1] * width, vec![T::ZERO; to[0] * from[1] * width]);
        let down = (&mut lines[..], Place::rows(to[0], line, line));
        product(down, (&self.weights[0], weights[0]), (x, Place::rows(from[0], line, line)), false);
        let mut out = vec![T::ZERO; to[0] * to[1] * width];
        for (out, line) in out.chunks_exact_mut(to[1] * width).zip(lines.chunks_exact(line)) {
            let across = (out, Place::rows(to[1], width, width));
            product(across, (&self.weights[1], weights[1]), (line, Place::rows(from[1], width, width)), false);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_stays_and_a_grid_of_its_own_size_too() {
        for (from, to) in [(3, [5, 5]), (7, [2, 9]), (37, [16, 16]), (4, [4, 4])] {
            let out = Resample::<f64>::new(from, to).forward(&vec![2.; from * from], 1);
            assert_eq!(out.len(), to[0] * to[1]);
            assert!(out.iter().all(|v| (v - 2.).abs() < 1e-14), "{from} to {to:?}");
        }
        let x: Vec<f64> = (0..16).map(f64::from).collect();
        assert_eq!(Resample::new(4, [4, 4]).forward(&x, 1), x);
    }

    #[test]
    fn the_values_of_pytorch() {
        // torch.nn.functional.interpolate(torch.arange(9.).view(1, 1, 3, 3) ** 2, (2, 2), mode="bicubic",
        // antialias=True)
        let x: Vec<f64> = (0..9).map(|v| f64::from(v * v)).collect();
        let got = Resample::new(3, [2, 2]).forward(&x, 1);
        for (got, want) in got.iter().zip(PYTORCH) {
            assert!((got - want).abs() < 1e-14 * want, "{got} {want}");
        }
    }

    /// Rows and columns have weights of their own: of what changes along one axis alone, each line is that axis interpolated.
    #[test]
    fn each_axis_has_its_own_weights() {
        let (from, to) = (3, [2, 5]);
        let (down, across): (Vec<f64>, Vec<f64>) = (axis(from, to[0]), axis(from, to[1]));
        let values = [1., -2., 5.];
        let along = |weights: &[f64], at: usize| -> f64 {
            weights[at * from..][..from].iter().zip(values).map(|(w, v)| w * v).sum()
        };
        let of_rows: Vec<f64> = values.iter().flat_map(|&v| [v; 3]).collect();
        let got = Resample::new(from, to).forward(&of_rows, 1);
        assert!((0..10).all(|i| (got[i] - along(&down, i / 5)).abs() < 1e-14), "{got:?}");
        let got = Resample::new(from, to).forward(&values.repeat(3), 1);
        assert!((0..10).all(|i| (got[i] - along(&across, i % 5)).abs() < 1e-14), "{got:?}");
    }

    const PYTORCH: [f64; 4] =
        [2.871_169_121_606_478, 8.197_851_745_167_199, 30.284_529_112_743_446, 47.044_523_856_758_96];
}
