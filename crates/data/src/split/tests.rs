use super::*;
use crate::{GlyphConfig, GlyphSet};
use proptest::prelude::*;

fn glyphs(classes: u32, instances: u32) -> Arc<dyn Dataset> {
    Arc::new(GlyphSet::new(GlyphConfig { classes, instances, ..GlyphConfig::default() }).unwrap())
}

fn sides(parts: &Parts) -> Vec<&Subset> {
    [Some(&parts.train), parts.val.as_ref(), parts.test.as_ref()].into_iter().flatten().collect()
}

/// All examples of the parts, sorted: equal to 0..n exactly if the parts are disjoint and cover everything.
fn all_examples(parts: &[&Subset]) -> Vec<usize> {
    let mut all: Vec<usize> = parts.iter().flat_map(|p| p.examples()).map(|e| e.0).collect();
    all.sort_unstable();
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn class_splits_are_disjoint_and_cover(classes in 6u32..40, val in 2usize..4, test in 0.34f64..0.4, seed: u64) {
        let set = glyphs(classes, 3);
        let how = SplitConfig::Classes { val: Amount::Count(val.min(2)), test: Amount::Fraction(test) };
        let Ok(parts) = split(set.clone(), &how, Streams::new(seed)) else {
            // 6 classes: 2 + 2 (0.34 * 6 rounds to 2) leave 2, so it always works.
            panic!("{:?}", split(set, &how, Streams::new(seed)));
        };
        prop_assert_eq!(all_examples(&sides(&parts)), (0..set.len()).collect::<Vec<_>>());
        let mut all: Vec<ClassId> = sides(&parts).iter().flat_map(|p| p.labels().classes()).collect();
        all.sort_unstable();
        prop_assert_eq!(all, set.labels().classes());
        prop_assert_eq!(parts.test.as_ref().unwrap().labels().classes().len(), (f64::from(classes) * test).round() as usize);
        // Validation does not move the test side.
        let alone = split(set, &SplitConfig::Classes { val: Amount::Count(0), test: Amount::Fraction(test) }, Streams::new(seed)).unwrap();
        let (alone, both) = (alone.test.unwrap(), parts.test.unwrap());
        prop_assert_eq!(alone.examples(), both.examples());
    }

    #[test]
    fn instance_splits_give_every_class_to_every_side(instances in 4u32..12, seed: u64) {
        let set = glyphs(5, instances);
        let how = SplitConfig::Instances { val: Amount::Count(1), test: Amount::Fraction(0.25) };
        let parts = split(set.clone(), &how, Streams::new(seed)).unwrap();
        prop_assert_eq!(all_examples(&sides(&parts)), (0..set.len()).collect::<Vec<_>>());
        for side in sides(&parts) {
            prop_assert_eq!(side.labels().classes(), set.labels().classes());
        }
        prop_assert_eq!(parts.val.unwrap().len(), 5);
        prop_assert_eq!(parts.test.unwrap().len(), 5 * ((f64::from(instances) * 0.25).round() as usize));
    }

    #[test]
    fn folds_hold_every_class_out_once(classes in 6u32..30, k in 2usize..4, seed: u64) {
        let set = glyphs(classes, 2);
        let folds = folds(set.clone(), k, Streams::new(seed)).unwrap();
        let held: Vec<&Subset> = folds.iter().map(|f| &f.held_out).collect();
        prop_assert_eq!(all_examples(&held), (0..set.len()).collect::<Vec<_>>());
        for fold in &folds {
            prop_assert_eq!(all_examples(&[&fold.train, &fold.held_out]), (0..set.len()).collect::<Vec<_>>());
            let held = fold.held_out.labels().classes();
            prop_assert!(fold.train.labels().classes().iter().all(|c| !held.contains(c)));
        }
    }
}

#[test]
fn seeds_differ_and_repeat() {
    let how = SplitConfig::Classes { val: Amount::Count(0), test: Amount::Count(10) };
    let test = |seed| split(glyphs(30, 2), &how, Streams::new(seed)).unwrap().test.unwrap().examples().to_vec();
    assert_eq!(test(1), test(1));
    assert_ne!(test(1), test(2));
}

#[test]
fn lists_of_names_work_and_unknown_names_are_told() {
    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let by = |val: &[&str], test: &[&str]| {
        split(glyphs(6, 2), &SplitConfig::ClassNames { val: names(val), test: names(test) }, Streams::new(0))
            .map_err(|e| e.to_string())
    };
    let parts = by(&["glyph 1", "glyph 4"], &["glyph 0", "glyph 2"]).unwrap();
    assert_eq!(parts.train.labels().classes(), [ClassId(3), ClassId(5)]);
    assert_eq!(parts.val.unwrap().labels().classes(), [ClassId(1), ClassId(4)]);
    assert!(by(&["glyph 9"], &[]).unwrap_err().contains("no class glyph 9"));
    assert!(by(&["glyph 1", "glyph 2"], &["glyph 2"]).unwrap_err().contains("glyph 2 is on two sides"));
    assert!(by(&["glyph 1"], &[]).unwrap_err().contains("1 classes are left for val"));
    assert!(by(&[], &["glyph 0", "glyph 1", "glyph 2", "glyph 3", "glyph 4"]).unwrap_err().contains("for train"));
    let groups = SplitConfig::Groups { val: vec![], test: names(&["Greek"]) };
    assert!(split(glyphs(6, 2), &groups, Streams::new(0)).unwrap_err().to_string().contains("it has no groups"));
}

#[test]
fn impossible_amounts_are_told() {
    let classes =
        |val, test| split(glyphs(6, 2), &SplitConfig::Classes { val, test }, Streams::new(0)).unwrap_err().to_string();
    use Amount::{Count, Fraction};
    assert!(classes(Count(4), Count(4)).contains("4 + 4 classes are asked for, it has 6"));
    assert!(classes(Count(7), Count(0)).contains("7 is more than the 6"));
    assert!(classes(Fraction(1.0), Count(0)).contains("fraction 1"));
    assert!(classes(Fraction(f64::NAN), Count(0)).contains("fraction NaN"));
    assert!(classes(Fraction(0.01), Count(0)).contains("0.01 of 6 is none"));
    let instances = |val, test| split(glyphs(6, 2), &SplitConfig::Instances { val, test }, Streams::new(0));
    assert!(instances(Count(1), Count(1)).unwrap_err().to_string().contains("leave none for training"));
    assert!(instances(Fraction(0.4), Fraction(0.4)).unwrap_err().to_string().contains("too small"));
    assert!(folds(glyphs(6, 2), 1, Streams::new(0)).is_err() && folds(glyphs(6, 2), 4, Streams::new(0)).is_err());
}
