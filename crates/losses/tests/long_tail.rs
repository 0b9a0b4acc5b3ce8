//! Classes of very different sizes: weights of their terms and margins, against plain sums in f64.

#![allow(clippy::unwrap_used)]

mod of_batch;

use candle_core::{DType, Device, Tensor};
use npair_losses::*;
use npair_testkit::inputs;
use npair_types::{ClassId, Labels, Purpose, Streams};
use of_batch::OfBatch;

const CLASSES: [ClassId; 3] = [ClassId(2), ClassId(5), ClassId(9)];
const SIZES: [usize; 3] = [1000, 10, 90];
const LABELS: [u32; 7] = [5, 5, 2, 5, 9, 2, 5];
const WIDTH: usize = 4;

/// Rows of unit length.
fn unit(t: &Tensor) -> Vec<Vec<f64>> {
    let rows = t.to_vec2::<f64>().unwrap();
    let length = |row: &[f64]| row.iter().map(|v| v * v).sum::<f64>().sqrt();
    rows.iter().map(|row| row.iter().map(|v| v / length(row)).collect()).collect()
}

/// The mean over the batch of `w_y log(1 + sum over other classes of exp(s (cos - own(cos_y, y))))`, term by term.
fn by_hand(x: &Tensor, w: &Tensor, scale: f64, weights: &[f64], own: impl Fn(f64, usize) -> f64) -> f64 {
    let (x, w) = (unit(x), unit(w));
    let term = |(row, label): (&Vec<f64>, &u32)| {
        let place = CLASSES.iter().position(|class| class.0 == *label).unwrap();
        let cosines: Vec<f64> = w.iter().map(|c| c.iter().zip(row).map(|(a, b)| a * b).sum()).collect();
        let own = own(cosines[place], place);
        let others = cosines.iter().enumerate().filter(|(at, _)| *at != place);
        weights[place] * others.map(|(_, cosine)| (scale * (cosine - own)).exp()).sum::<f64>().ln_1p()
    };
    x.iter().zip(&LABELS).map(term).sum::<f64>() / LABELS.len() as f64
}

fn data() -> (Tensor, Tensor, Labels) {
    let x = inputs::normal(21, 0.7, (LABELS.len(), WIDTH), DType::F64).unwrap();
    let w = inputs::normal(23, 0.5, (CLASSES.len(), WIDTH), DType::F64).unwrap();
    (x, w, Labels::new(LABELS).unwrap())
}

/// Of a dozen operations in f64 on values of order 1 to 100.
const NEAR: f64 = 1e-12;

#[test]
fn weights_go_by_the_effective_number_of_examples() {
    for beta in [0., 0.5, 0.9, 0.999, 1. - 1e-9] {
        let got = class_weights_by_size(&SIZES, beta).unwrap();
        // The effective number as the sum that it stands for: 1 + beta + .. + beta^(n - 1).
        let effective = SIZES.map(|n| (0..n).map(|i| beta.powi(i as i32)).sum::<f64>());
        let total: f64 = effective.iter().map(|e| 1. / e).sum();
        for (got, effective) in got.iter().zip(effective) {
            let want = 3. / effective / total;
            assert!((got - want).abs() < 1e-9 * want, "beta {beta}: {got} {want}");
        }
        assert!((got.iter().sum::<f64>() - 3.).abs() < NEAR);
    }
    assert_eq!(class_weights_by_size(&SIZES, 0.).unwrap(), [1.; 3]);
    // Towards 1 by the reciprocal of the size.
    let got = class_weights_by_size(&SIZES, 1. - 1e-12).unwrap();
    assert!((got[1] / got[0] - 100.).abs() < 1e-3, "{got:?}");
    let said = |r: npair_losses::Result<Vec<f64>>| r.unwrap_err().to_string();
    assert!(said(class_weights_by_size(&SIZES, 1.)).contains("the class beta is 1, but has to be from 0 and below 1"));
    assert!(said(class_weights_by_size(&SIZES, f64::NAN)).contains("the class beta"));
    assert!(said(class_weights_by_size(&[3, 0], 0.5)).contains("the number of examples of a class is 0"));
    assert!(said(margins_by_size(&[3, 0], 0.5, 0.25)).contains("the number of examples of a class is 0"));
    assert!(said(margins_by_size(&SIZES, 0.5, -1.)).contains("the margin power is -1"));
    assert_eq!(margins_by_size(&SIZES, 0.5, 0.).unwrap(), [0.5; 3]);
}

#[test]
fn ldam_is_cosface_with_margins_by_size() {
    let (x, w, y) = data();
    let margins = margins_by_size(&SIZES, 0.5, 0.25).unwrap();
    assert_eq!(margins[1], 0.5);
    let weights = class_weights_by_size(&SIZES, 0.99).unwrap();
    let loss = CosFace::from_parts(&CLASSES, &w).unwrap().with_scale(30.).unwrap();
    let loss = loss.with_class_margins(&margins).unwrap().with_class_weights(&weights).unwrap();
    let got = loss.of_batch(&x, &y).unwrap().to_f64().unwrap();
    let want = by_hand(&x, &w, 30., &weights, |cosine, place| cosine - margins[place]);
    assert!((got - want).abs() < NEAR * want, "{got} {want}");
    // And is not what one margin for all makes.
    let plain = CosFace::from_parts(&CLASSES, &w).unwrap().with_scale(30.).unwrap().with_margin(0.5).unwrap();
    assert!((plain.of_batch(&x, &y).unwrap().to_f64().unwrap() - want).abs() > 0.1);
}

#[test]
fn angles_by_size_are_those_of_arcface() {
    let (x, w, y) = data();
    // With the last one some rows are beyond 180 degrees.
    for margins in [[28.6f64, 10., 0.], [40., 170., 20.]] {
        let psi = |cosine: f64, place: usize| {
            let (theta, m) = (cosine.acos(), margins[place].to_radians());
            if theta + m <= std::f64::consts::PI { (theta + m).cos() } else { cosine - m * m.sin() }
        };
        let want = by_hand(&x, &w, 5., &[1.; 3], psi);
        let arc = ArcFace::from_parts(&CLASSES, &w).unwrap().with_scale(5.).unwrap();
        let sub = SubCenterArcFace::from_parts(&CLASSES, 1, &w).unwrap().with_scale(5.).unwrap();
        let losses: [Box<dyn Loss>; 2] =
            [Box::new(arc.with_class_margins(&margins).unwrap()), Box::new(sub.with_class_margins(&margins).unwrap())];
        for loss in losses {
            let got = loss.of_batch(&x, &y).unwrap().to_f64().unwrap();
            assert!((got - want).abs() < NEAR * want, "{}: {got} {want}", loss.name());
        }
    }
}

type Weighed = fn(&Tensor, &[f64]) -> npair_losses::Result<Box<dyn Loss>>;

/// The losses whose terms belong to examples, with weights of their classes.
fn weighed() -> Vec<Weighed> {
    vec![
        |w, weights| {
            let bias = w.narrow(1, 0, 1)?.squeeze(1)?;
            Ok(Box::new(SoftmaxClassifier::from_parts(&CLASSES, w, &bias)?.with_class_weights(weights)?))
        },
        |w, weights| Ok(Box::new(NormalizedSoftmax::from_parts(&CLASSES, w)?.with_class_weights(weights)?)),
        |w, weights| Ok(Box::new(CosFace::from_parts(&CLASSES, w)?.with_class_weights(weights)?)),
        |w, weights| Ok(Box::new(ArcFace::from_parts(&CLASSES, w)?.with_class_weights(weights)?)),
        |w, weights| Ok(Box::new(SphereFace::from_parts(&CLASSES, w)?.with_class_weights(weights)?)),
        |w, weights| Ok(Box::new(SubCenterArcFace::from_parts(&CLASSES, 1, w)?.with_class_weights(weights)?)),
        |w, weights| Ok(Box::new(ProxyNca::from_parts(&CLASSES, w)?.with_class_weights(weights)?)),
        |w, weights| Ok(Box::new(SoftTriple::from_parts(&CLASSES, 1, w)?.with_class_weights(weights)?)),
    ]
}

/// A batch's loss is the mean of those of its examples: with weights, each times that of its class.
#[test]
fn every_term_weighs_as_its_class() {
    let (x, w, y) = data();
    let weights = [2., 0.25, 0.75];
    for make in weighed() {
        let plain = make(&w, &[1.; 3]).unwrap();
        let terms = (0..LABELS.len()).map(|i| {
            let label = Labels::new([LABELS[i]]).unwrap();
            let place = CLASSES.iter().position(|class| class.0 == LABELS[i]).unwrap();
            weights[place] * plain.of_batch(&x.narrow(0, i, 1).unwrap(), &label).unwrap().to_f64().unwrap()
        });
        let want = terms.sum::<f64>() / LABELS.len() as f64;
        let got = make(&w, &weights).unwrap().of_batch(&x, &y).unwrap().to_f64().unwrap();
        assert!((got - want).abs() < NEAR * want, "{}: {got} {want}", plain.name());
        let said = |weights: &[f64]| make(&w, weights).err().unwrap().to_string();
        assert!(said(&[1., 1.]).contains("(3), one for every class"), "{}", said(&[1., 1.]));
        assert!(said(&[1., 1., -1.]).contains("the weights of classes is -1"), "{}", said(&[1., 1., -1.]));
    }
}

#[test]
fn settings_go_by_the_sizes_of_the_context() {
    let (x, _, y) = data();
    let x = x.to_dtype(DType::F32).unwrap();
    let value = |sizes: &[usize], settings: &dyn LossSettingsOf| {
        let rng = &mut Streams::new(3).open(Purpose::Initialization, [0, 0]);
        let c = &mut LossContext {
            classes: &CLASSES,
            sizes,
            sets: None,
            width: WIDTH,
            rng,
            dtype: DType::F32,
            device: &Device::Cpu,
        };
        let loss = settings.make(c).map_err(|e| e.to_string())?;
        Ok::<_, String>(loss.of_batch(&x, &y).unwrap().to_f64().unwrap())
    };
    let with = |margin_power: f64, class_beta: f64| CosFaceSettings { margin_power, class_beta, ..Default::default() };
    let plain = value(&SIZES, &with(0., 0.)).unwrap();
    // Equal sizes are all alike.
    let equal = value(&[7, 7, 7], &with(0.25, 0.9)).unwrap();
    assert!((equal - plain).abs() <= 4. * f64::from(f32::EPSILON) * plain, "{equal} {plain}");
    for settings in [with(0.25, 0.), with(0., 0.99)] {
        assert!((value(&SIZES, &settings).unwrap() - plain).abs() > 1e-3 * plain);
        let said = value(&[], &settings).unwrap_err();
        assert!(said.contains("0 where the numbers of examples of the classes are not known"), "{said}");
    }
    assert!(value(&SIZES, &with(0., 1.)).unwrap_err().contains("from 0 and below 1"));
    assert!(value(&SIZES, &with(-0.5, 0.)).unwrap_err().contains("the margin power is -0.5"));
    assert_eq!(value(&[], &with(0., 0.)).unwrap(), plain);
}

/// Settings of any loss.
trait LossSettingsOf {
    fn make(&self, context: &mut LossContext<'_>) -> npair_losses::Result<Box<dyn Loss>>;
}

impl<S: LossSettings> LossSettingsOf for S {
    fn make(&self, context: &mut LossContext<'_>) -> npair_losses::Result<Box<dyn Loss>> {
        self.build(context)
    }
}
