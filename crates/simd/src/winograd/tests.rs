use super::*;

fn levels() -> Vec<Level> {
    match Level::detect() {
        Level::Baseline => vec![Level::Baseline],
        #[cfg(target_arch = "aarch64")]
        Level::Neon => vec![Level::Baseline, Level::Neon],
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => vec![Level::Baseline, Level::Avx2],
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => vec![Level::Baseline, Level::Avx2, Level::Avx512],
    }
}

fn value(at: usize) -> f64 {
    ((at * 7 + 3) % 23) as f64 / 8. - 1.25
}

fn values<T: Element>(count: usize, from: usize) -> Vec<T> {
    (from..from + count).map(|at| T::narrow(value(at))).collect()
}

/// One tile of one input per output: `channels` of them, side by side.
struct Case<T> {
    channels: usize,
    x: Vec<T>,
    w: Vec<T>,
    source: Patch,
    /// Of an image of 4 x 3 outputs: one column of the tile is outside.
    result: Patch,
}

const WIDTH: usize = 7;

fn case<T: Element>(channels: usize) -> Case<T> {
    // The tile begins one row above the image, and ends one column beside it.
    let at = |row: usize| row * channels;
    let source =
        Patch { first: -((at(WIDTH) - at(2)) as isize), row: at(WIDTH), pixel: at(1), rows: 1..6, columns: 0..5 };
    let result = Patch { first: 0, row: at(3), pixel: at(1), rows: 0..4, columns: 0..3 };
    Case { channels, x: values(5 * WIDTH * channels, 0), w: values(WEIGHTS * channels, 5), source, result }
}

impl<T: Element> Case<T> {
    fn pixel(&self, i: usize, j: usize, c: usize) -> f64 {
        match self.source.has(i, j) {
            true => self.x[((i - 1) * WIDTH + j + 2) * self.channels + c].wide(),
            false => 0.,
        }
    }

    fn weight(&self, i: usize, j: usize, c: usize) -> f64 {
        self.w[(i * WEIGHTS_SIDE + j) * self.channels + c].wide()
    }

    fn transformed(&self, code: &Winograd<T>) -> [Vec<T>; 2] {
        let plane = self.channels + 3;
        let (mut pixels, mut weights) = (vec![T::ZERO; PRODUCTS * plane], vec![T::ZERO; PRODUCTS * self.channels]);
        code.pixels((&self.x, &self.source), &vec![T::ZERO; self.channels], (&mut pixels, plane));
        code.weights(&self.w, &mut weights);
        let pixels = pixels.chunks(plane).flat_map(|p| p[..self.channels].to_vec()).collect();
        [pixels, weights]
    }
}

/// Near sums of twelve terms with values up to 1.5: the transforms multiply the root of the mean square of half an epsilon by 27
/// (decision 0030), 27 * 12^0.5 * 1.5^2 / 2 = 105 deviations' worth of it; four of them.
fn near<T: Element>(value: T, want: f64) {
    assert!((value.wide() - want).abs() < 420. * T::EPSILON, "{value:?}, not {want}");
}

fn outputs_are_sums<T: Element>(code: &Winograd<T>, channels: usize) {
    let case = case::<T>(channels);
    let [pixels, weights] = case.transformed(code);
    let sums: Vec<T> = pixels.iter().zip(&weights).map(|(&p, &w)| p * w).collect();
    let (bias, plus) = (values::<T>(channels, 2), values::<T>(12 * channels, 9));
    for (bias, plus, relu) in [(None, None, false), (Some(&bias), None, false), (Some(&bias), Some(&plus), true)] {
        let mut out = vec![T::ONE; 12 * channels];
        let epilogue = Epilogue { bias: bias.map(|b| &b[..]), plus: plus.map(|p| &p[..]), relu, add: false };
        let to = (out.as_mut_ptr(), out.len(), &case.result);
        // SAFETY: a vector of its own.
        unsafe { code.outputs((&sums, channels), to, channels, &epilogue) };
        for (at, &value) in out.iter().enumerate() {
            let (pixel, c) = (at / channels, at % channels);
            let (i, j) = (pixel / 3, pixel % 3);
            let taps = (0..WEIGHTS).map(|tap| (tap / WEIGHTS_SIDE, tap % WEIGHTS_SIDE));
            let sum: f64 = taps.map(|(y, x)| case.pixel(i + y, j + x, c) * case.weight(y, x, c)).sum();
            let more = bias.map_or(0., |b| b[c].wide()) + plus.map_or(0., |p| p[at].wide());
            near(value, if relu { (sum + more).max(0.) } else { sum + more });
        }
    }
}

fn gradients_are_sums<T: Element>(code: &Winograd<T>, channels: usize) {
    let case = case::<T>(channels);
    let [pixels, _] = case.transformed(code);
    let grad = values::<T>(12 * channels, 4);
    let (mut slopes, mut gradient) = (vec![T::ZERO; PRODUCTS * channels], vec![T::ZERO; WEIGHTS * channels]);
    code.slopes((&grad, &case.result), &vec![T::ZERO; channels], (&mut slopes, channels));
    let sums: Vec<T> = pixels.iter().zip(&slopes).map(|(&p, &s)| p * s).collect();
    code.to_weights(&sums, &mut gradient);
    for (at, &value) in gradient.iter().enumerate() {
        let (tap, c) = (at / channels, at % channels);
        let (y, x) = (tap / WEIGHTS_SIDE, tap % WEIGHTS_SIDE);
        let pixel = |k: usize| case.pixel(k / 3 + y, k % 3 + x, c) * grad[k * channels + c].wide();
        near(value, (0..12).map(pixel).sum());
    }
}

/// Every code of this machine; numbers of channels that do not fill a register, too.
#[test]
fn a_tile_is_a_convolution() {
    for level in levels() {
        for channels in [16, 17, 24, 40] {
            let (single, double) = (single(level), double(level));
            outputs_are_sums(&single, channels);
            outputs_are_sums(&double, channels);
            gradients_are_sums(&single, channels);
            gradients_are_sums(&double, channels);
        }
    }
}

#[test]
#[should_panic(expected = "a patch leaves its image")]
fn a_patch_outside_is_refused() {
    let mut case = case::<f32>(16);
    case.source.rows = 0..6;
    case.transformed(&Winograd::new());
}
