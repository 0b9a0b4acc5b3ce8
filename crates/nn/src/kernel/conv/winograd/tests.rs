use super::super::{Affine, Geometry, Weights, forward, forward_with_moments, input_gradient, weight_gradient};
use super::*;
use crate::kernel::Unwritten;
use crate::kernel::activation::Activation;

fn geometry(batch: usize, [inputs, outputs]: [usize; 2], image: (usize, usize), pad: usize, groups: usize) -> Geometry {
    Geometry {
        batch,
        inputs,
        outputs,
        image,
        kernel: (3, 3),
        stride: (1, 1),
        padding: (pad, pad),
        dilation: (1, 1),
        groups,
        map: (image.0 + 2 * pad - 2, image.1 + 2 * pad - 2),
    }
}

/// Maps of one tile and of many, whole ones and others; channels that fill registers and panels and others.
fn cases() -> Vec<Geometry> {
    vec![
        geometry(1, [16, 16], (3, 3), 0, 1),
        geometry(2, [16, 40], (7, 7), 1, 1),
        geometry(3, [24, 72], (12, 8), 1, 1),
        geometry(2, [32, 32], (9, 5), 1, 1),
        geometry(2, [64, 64], (28, 28), 1, 1),
        geometry(1, [17, 131], (6, 13), 2, 1),
        geometry(2, [96, 48], (10, 12), 0, 2),
        geometry(1, [400, 16], (5, 6), 1, 1),
    ]
}

fn values<T: Element>(count: usize, seed: u64) -> Vec<T> {
    // Knuth's 64-bit linear congruential generator: upper bits as a number in -1..1.
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f64) / f64::from(1 << 23) - 1.
    };
    // As f32 has them: both sides begin with the same numbers.
    (0..count).map(|_| T::from_f64(f64::from(next() as f32))).collect()
}

struct Factors<T> {
    x: Vec<T>,
    w: Vec<T>,
    dout: Vec<T>,
    bias: Vec<T>,
}

fn factors<T: Element>(g: &Geometry) -> Factors<T> {
    let pixels = g.batch * g.map_pixels() * g.outputs;
    Factors {
        x: values(g.batch * g.pixels() * g.inputs, 1),
        w: values(g.outputs * g.patch(), 2),
        dout: values(pixels, 3),
        bias: values(g.outputs, 4),
    }
}

/// [`forward_with_moments`] in this way, in f64 too.
fn transformed<T: Element>(g: &Geometry, f: &Factors<T>, affine: Affine<T>) -> (Vec<T>, Option<Moments>) {
    let mut out = Unwritten::new(g.batch * g.map_pixels() * g.outputs);
    let (inputs, taps) = (g.group_inputs(), g.kernel.0 * g.kernel.1);
    let mut moments = None;
    for group in 0..g.groups {
        let first = group * g.group_outputs();
        let weights = Weights { values: &f.w, scale: affine.scale, inputs, taps, paired: false };
        let panels = panels(Columns::new(g.group_outputs()), inputs, |column, count, width, values| {
            weights.fill(first + column, count, width, values);
        });
        let (places, values) = (g.places(group), out.shared());
        let output = Output { places: &places, values, moments: g.groups == 1 };
        moments = multiply(&g.windows(group), &f.x, &panels, Finish::of(affine, first), output);
    }
    // SAFETY: all groups have been written.
    (unsafe { out.written() }, moments)
}

fn assert_near<A: Element, B: Element>(values: &[A], want: &[B], within: f64, what: &str) {
    assert_eq!(values.len(), want.len());
    let apart = values.iter().zip(want).map(|(a, b)| (a.to_f64() - b.to_f64()).abs());
    let most = apart.fold(0., |most: f64, d| if d > most || d.is_nan() { d } else { most });
    assert!(most <= within, "{what}: {most:e} apart, {within:e} allowed");
}

/// What rounding to `epsilon` may do to sums of `terms` products of numbers up to 1: independent errors grow with the root of their
/// number, the transforms of a side multiply their root of the mean square by 4.95 (outputs) and 5.12 (gradients of weights; decision
/// 0030), both sides by 27 at most; eight deviations.
fn rounding(terms: usize, epsilon: f64) -> f64 {
    8. * 27. * (terms as f64).sqrt() * epsilon
}

#[test]
fn equals_sums_of_products_in_f64() {
    for g in cases() {
        let f = factors::<f64>(&g);
        let plus = values(g.batch * g.map_pixels() * g.outputs, 5);
        let within = rounding(g.patch(), f64::EPSILON);
        for activation in [Activation::None, Activation::Relu, Activation::HardSwish] {
            let affine =
                Affine { scale: Some(&f.bias), bias: Some(&f.bias), plus: Some(&plus), activation, packed: None };
            let (out, moments) = transformed(&g, &f, affine);
            assert_near(&out, &forward(&g, &f.x, &f.w, affine), within, "outputs");
            let Some(moments) = moments else { continue };
            let want = norm::moments(g.outputs, &out);
            assert_near(&moments.mean, &want.mean, 1e-13, "means");
            assert_near(&moments.variance, &want.variance, 1e-13, "variances");
        }
    }
}

#[test]
fn gradients_equal_sums_of_products_in_f64() {
    for g in cases().into_iter().filter(|g| g.groups == 1) {
        let f = factors::<f64>(&g);
        let windows = g.windows(0);
        let columns = Columns::<f64>::new(g.outputs);
        let maps = Maps::transformed(&f.dout, g.outputs);
        let sums = weight_sums(&windows, &f.x, maps, &columns.panels, 0..strips(&windows));
        let want = weight_gradient(&g, &f.x, &f.dout);
        let mut from = 0;
        for &(first, count, kernel) in &columns.panels {
            for at in 0..g.patch() * count {
                let (entry, n) = (at / count, at % count);
                let (tap, channel) = (entry / g.inputs, entry % g.inputs);
                let value = sums[from + entry * kernel.columns + n];
                let want = want[((first + n) * g.inputs + channel) * 9 + tap];
                let within = rounding(g.batch * g.map_pixels(), f64::EPSILON);
                assert!((value - want).abs() <= within, "{value}, not {want}");
            }
            from += g.patch() * kernel.columns;
        }
    }
}

/// What trains is in f32, and this is how it is done there.
#[test]
fn f32_is_near_f64() {
    for g in cases() {
        let (f, wide) = (factors::<f32>(&g), factors::<f64>(&g));
        let within = |terms| rounding(terms, f64::from(f32::EPSILON));
        let (out, moments) = forward_with_moments(&g, &f.x, &f.w, Affine::NOTHING, true);
        let (want, want_moments) = forward_with_moments(&g, &wide.x, &wide.w, Affine::NOTHING, true);
        assert_near(&out, &want, within(g.patch()), "outputs");
        let (moments, want_moments) = (moments.unwrap(), want_moments.unwrap());
        assert_near(&moments.mean, &want_moments.mean, within(g.patch()), "means");
        assert_near(
            &input_gradient(&g, &f.w, &f.dout),
            &input_gradient(&g, &wide.w, &wide.dout),
            within(9 * g.group_outputs()),
            "dx",
        );
        let terms = g.batch * g.map_pixels();
        assert_near(
            &weight_gradient(&g, &f.x, &f.dout),
            &weight_gradient(&g, &wide.x, &wide.dout),
            within(terms),
            "dw",
        );
    }
}

#[test]
fn it_is_for_maps_that_tiles_fill() {
    let suits = |side: usize, channels: [usize; 2]| {
        let windows = geometry(1, channels, (side, side), 1, 1).windows(0);
        assert!(!super::suits::<f64>(&windows, channels[1]));
        super::suits::<f32>(&windows, channels[1])
    };
    assert_eq!(
        [3, 4, 5, 7, 9, 10, 13, 28].map(|side| suits(side, [64, 64])),
        [false, true, false, true, false, true, true, true]
    );
    assert!(suits(28, [16, 16]) && !suits(28, [3, 64]) && !suits(28, [64, 8]));
    let of = |change: &dyn Fn(&mut Geometry)| {
        let mut g = geometry(1, [64, 64], (28, 28), 1, 1);
        change(&mut g);
        super::suits::<f32>(&g.windows(0), 64)
    };
    assert!(of(&|_| ()) && !of(&|g| g.stride = (2, 2)) && !of(&|g| g.dilation = (2, 2)) && !of(&|g| g.kernel = (3, 5)));
    // The input's gradient is a convolution of the same kind.
    let phases = geometry(1, [64, 64], (28, 28), 1, 1).phases(0);
    assert!(phases.len() == 1 && super::suits::<f32>(&phases[0].windows, 64));
}

/// The phases of a strided convolution's gradient may have 3 x 3 taps, too, but lie apart.
#[test]
fn strides_are_left_to_plain_sums() {
    for (kernel, stride, dilation) in [(5, 2, 1), (3, 2, 2), (7, 2, 1), (7, 3, 1)] {
        let padding = dilation * (kernel - 1) / 2;
        let side = 31 / stride + 1;
        let g = Geometry {
            kernel: (kernel, kernel),
            stride: (stride, stride),
            dilation: (dilation, dilation),
            padding: (padding, padding),
            map: (side, side),
            ..geometry(2, [16, 24], (32, 32), 1, 1)
        };
        let (f, wide) = (factors::<f32>(&g), factors::<f64>(&g));
        let within = rounding(g.group_outputs() * kernel * kernel, f64::from(f32::EPSILON));
        let want = input_gradient(&g, &wide.w, &wide.dout);
        assert_near(&input_gradient(&g, &f.w, &f.dout), &want, within, "dx");
    }
}

/// A picture's maps do not depend on the others of its batch.
#[test]
fn the_batch_changes_no_bit() {
    let g = geometry(5, [32, 48], (11, 7), 1, 1);
    let f = factors::<f32>(&g);
    let all = forward(&g, &f.x, &f.w, Affine::NOTHING);
    let one = Geometry { batch: 1, ..g };
    for (x, out) in f.x.chunks(g.pixels() * g.inputs).zip(all.chunks(g.map_pixels() * g.outputs)) {
        assert_eq!(forward(&one, x, &f.w, Affine::NOTHING), out);
    }
}
