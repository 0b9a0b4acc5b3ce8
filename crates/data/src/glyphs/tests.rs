use super::*;
use std::collections::BTreeSet;

fn set(classes: u32, instances: u32) -> GlyphSet {
    GlyphSet::new(GlyphConfig { classes, instances, seed: 7, ..GlyphConfig::default() }).unwrap()
}

/// Recall@1 by the cosine of inked pixels; every picture is a query against all others.
fn raw_recall(set: &GlyphSet) -> f64 {
    let rows: Vec<Vec<f32>> = (0..set.len())
        .map(|i| {
            let picture = set.load(ExampleId(i)).unwrap();
            let ink: Vec<f32> = picture.pixels().iter().map(|&v| 255.0 - f32::from(v)).collect();
            let norm = ink.iter().map(|v| v * v).sum::<f32>().sqrt();
            assert!(norm > 0.0, "example {i} is blank");
            ink.iter().map(|v| v / norm).collect()
        })
        .collect();
    let near = |i: usize| {
        let dot = |j: usize| rows[i].iter().zip(&rows[j]).map(|(a, b)| a * b).sum::<f32>();
        (0..rows.len()).filter(|&j| j != i).max_by(|&a, &b| dot(a).total_cmp(&dot(b))).unwrap()
    };
    let hits = (0..rows.len()).filter(|&i| set.labels().same(i, near(i))).count();
    hits as f64 / rows.len() as f64
}

#[test]
fn raw_pixels_fail_but_not_entirely() {
    let recall = raw_recall(&set(100, 10));
    // Chance is 9 / 999.
    assert!((0.10..=0.45).contains(&recall), "recall@1 of raw pixels is {recall}");
}

#[test]
fn a_larger_set_holds_the_smaller_one() {
    let (small, large) = (set(5, 3), set(9, 8));
    for class in 0..5 {
        for instance in 0..3 {
            let (a, b) = (ExampleId(class * 3 + instance), ExampleId(class * 8 + instance));
            assert_eq!(small.describe(a), large.describe(b));
            assert_eq!(small.load(a).unwrap(), large.load(b).unwrap());
        }
    }
    let offset = GlyphSet::new(GlyphConfig { classes: 2, first_class: 4, ..set(2, 3).config() }).unwrap();
    assert_eq!(offset.labels().classes(), [ClassId(4), ClassId(5)]);
    assert_eq!(offset.load(ExampleId(1)).unwrap(), small.load(ExampleId(4 * 3 + 1)).unwrap());
}

#[test]
fn every_instance_and_class_differs() {
    let set = set(20, 5);
    let pictures: BTreeSet<Vec<u8>> =
        (0..set.len()).map(|i| set.load(ExampleId(i)).unwrap().pixels().to_vec()).collect();
    assert_eq!(pictures.len(), 100);
    let other = GlyphSet::new(GlyphConfig { seed: 8, ..set.config() }).unwrap();
    assert_ne!(set.load(ExampleId(0)).unwrap(), other.load(ExampleId(0)).unwrap());
}

/// The pictures themselves are part of what a seed promises: a change here changes every published result.
#[test]
fn the_bits_are_pinned() {
    let set = set(50, 4);
    let hash = (0..set.len())
        .flat_map(|i| set.load(ExampleId(i)).unwrap().pixels().to_vec())
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    assert_eq!(hash, 0xff99_5d38_f080_c26d, "FNV-1a of 200 pictures: {hash:#018x}");
}

#[test]
fn impossible_settings_are_named() {
    let why = |config| GlyphSet::new(config).unwrap_err().to_string();
    let usual = GlyphConfig::default();
    assert!(why(GlyphConfig { classes: 1, ..usual }).starts_with("classes = 1"));
    assert!(why(GlyphConfig { instances: 0, ..usual }).starts_with("instances = 0"));
    assert!(why(GlyphConfig { size: 4, ..usual }).starts_with("size = 4"));
    assert!(why(GlyphConfig { first_class: u32::MAX, ..usual }).starts_with("first_class"));
    assert!(why(GlyphConfig { classes: u32::MAX, ..usual }).starts_with("classes"));
}
