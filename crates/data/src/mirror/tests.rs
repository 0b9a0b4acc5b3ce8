use super::*;
use crate::draw::{around, below, unit};
use crate::{GlyphConfig, GlyphSet, Picture};
use npair_types::{Labels, Purpose, Streams};

/// Made-up things of `side` x `side` pixels: a random pattern for each class, with noise on it.
struct Things {
    labels: Labels,
    kind: Kind,
    noise: f32,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Half of the pictures show the thing from the other side.
    FromBothSides,
    /// Left and right are alike.
    Symmetric,
    /// Every second class is the mirror image of the one before.
    Pairs,
}

const SIDE: usize = 24;

impl Things {
    fn new(kind: Kind, noise: f32) -> Self {
        Self { labels: Labels::new((0..240).map(|i| i / 6)).unwrap(), kind, noise }
    }

    fn rng(place: [u64; 2]) -> ChaCha8Rng {
        Streams::new(8).open(Purpose::Synthesis, place)
    }
}

impl Dataset for Things {
    fn name(&self) -> &str {
        "things"
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn class_name(&self, class: ClassId) -> String {
        class.0.to_string()
    }

    fn describe(&self, example: ExampleId) -> String {
        example.0.to_string()
    }

    fn load(&self, example: ExampleId) -> Result<Picture> {
        let class = example.0 as u64 / 6;
        let pattern = if self.kind == Kind::Pairs { class / 2 } else { class };
        // Blocks of 4 x 4, so that the small picture shows them.
        let mut shape = Self::rng([pattern, 0]);
        let blocks: Vec<f32> = (0..36).map(|_| unit(&mut shape)).collect();
        let mut noise = Self::rng([1000, example.0 as u64]);
        let turned = match self.kind {
            Kind::FromBothSides => below(&mut noise, 2) == 1,
            Kind::Symmetric => false,
            Kind::Pairs => class % 2 == 1,
        };
        let pixel = |i: usize, noise: &mut ChaCha8Rng| {
            let (x, y) = (i % SIDE, i / SIDE);
            let x = if turned { SIDE - 1 - x } else { x };
            let x = if self.kind == Kind::Symmetric { x.min(SIDE - 1 - x) } else { x };
            let value = blocks[y / 4 * 6 + x / 4] + around(noise, self.noise);
            (value.clamp(0.0, 1.0) * 255.0) as u8
        };
        let pixels: Vec<u8> = (0..SIDE * SIDE).map(|i| pixel(i, &mut noise)).collect();
        Picture::new(SIDE as u32, SIDE as u32, 1, pixels)
    }
}

fn found(dataset: &dyn Dataset, sample: usize) -> MirrorSymmetry {
    mirror_symmetry(dataset, sample, &mut Streams::new(1).open(Purpose::Evaluation, [0, 0])).unwrap()
}

#[test]
fn characters_are_changed_by_a_mirror() {
    let glyphs = GlyphSet::new(GlyphConfig { classes: 100, instances: 10, ..GlyphConfig::default() }).unwrap();
    let found = found(&glyphs, 400);
    assert_eq!((found.pictures, found.keeps_classes()), (400, Some(false)), "{found:?}");
    assert!(found.plain > 0.15 && found.kept().unwrap().0 < 0.4, "{found:?} {:?}", found.kept());
}

#[test]
fn things_seen_from_both_sides_and_symmetric_ones_are_not() {
    for kind in [Kind::FromBothSides, Kind::Symmetric] {
        let found = found(&Things::new(kind, 0.4), 240);
        assert_eq!(found.keeps_classes(), Some(true), "{found:?}");
        assert!((found.chance - 5.0 / 239.0).abs() < 1e-9 && found.plain > 0.9, "{found:?}");
    }
    let pairs = found(&Things::new(Kind::Pairs, 0.4), 240);
    assert_eq!(pairs.keeps_classes(), Some(false));
    assert!(pairs.mirrored < 0.05, "{pairs:?}");
}

#[test]
fn of_what_is_not_recognised_nothing_is_said() {
    let found = found(&Things::new(Kind::Symmetric, 50.0), 240);
    assert_eq!((found.kept(), found.keeps_classes()), (None, None), "{found:?}");
    let close = MirrorSymmetry { pictures: 100, plain: 0.6, mirrored: 0.42, chance: 0.01, different: 0.4 };
    assert!(close.kept().is_some());
    assert_eq!(close.keeps_classes(), None); // 0.69 with an error of 0.11
}

#[test]
fn it_is_the_naive_count_and_depends_on_the_generator_alone() {
    let things = Things::new(Kind::FromBothSides, 1.5);
    let found = found(&things, 240);
    let config = PipelineConfig { channels: Channels::Rgb, size: 16.into(), ..PipelineConfig::default() };
    let ids: Vec<ExampleId> = (0..240).map(ExampleId).collect();
    let batch = load_batch(&things, &Pipeline::new(config).unwrap(), &ids).unwrap();
    let rows: Vec<Vec<f64>> = batch
        .pixels
        .chunks(768)
        .map(|row| {
            let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / 768.0;
            row.iter().map(|&v| f64::from(v) - mean).collect()
        })
        .collect();
    let cosine = |a: &[f64], b: &[f64]| {
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        product(a, b) / (product(a, a) * product(b, b)).sqrt()
    };
    let right = |i: usize, query: &[f64]| {
        let others = (0..240).filter(|&j| j != i);
        let best = others.max_by(|&a, &b| cosine(query, &rows[a]).total_cmp(&cosine(query, &rows[b]))).unwrap();
        best / 6 == i / 6
    };
    let plain = (0..240).filter(|&i| right(i, &rows[i])).count();
    let mirrored = (0..240)
        .filter(|&i| right(i, &(0..768).map(|at| rows[i][at / 16 * 16 + 15 - at % 16]).collect::<Vec<_>>()))
        .count();
    assert_eq!((found.plain * 240.0).round() as usize, plain);
    assert_eq!((found.mirrored * 240.0).round() as usize, mirrored);

    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| super::mirror_symmetry(&things, 100, &mut Things::rng([7, 7])).unwrap())
    };
    assert_eq!(on(1), on(2));
    assert!((90..=100).contains(&on(1).pictures));
}

#[test]
fn too_little_is_refused() {
    let rng = || Things::rng([0, 0]);
    let things = Things::new(Kind::Symmetric, 0.1);
    assert!(mirror_symmetry(&things, 3, &mut rng()).unwrap_err().to_string().starts_with("sample = 3"));
    assert_eq!(mirror_symmetry(&things, 4, &mut rng()).unwrap().pictures, 4);
    let single = GlyphSet::new(GlyphConfig { classes: 5, instances: 1, ..GlyphConfig::default() }).unwrap();
    let why = mirror_symmetry(&single, 10, &mut rng()).unwrap_err().to_string();
    assert!(why.contains("fewer than two classes of two pictures"), "{why}");
}
