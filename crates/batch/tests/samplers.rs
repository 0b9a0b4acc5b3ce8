//! What samplers promise, at the edges too.
#![allow(clippy::unwrap_used)]

use npair_batch::*;
use npair_types::{ChaCha8Rng, ClassId, ClassIndex, ExampleId, Labels, Purpose, Streams, Tuples};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn rng(seed: u64) -> ChaCha8Rng {
    Streams::new(seed).open(Purpose::Sampling, [0, 0])
}

/// An index with classes 5, 12, 19, ... of the given sizes, and the class of every example.
fn index(sizes: &[usize]) -> (ClassIndex, Vec<ClassId>) {
    let classes: Vec<ClassId> =
        sizes.iter().enumerate().flat_map(|(c, &size)| vec![ClassId(5 + 7 * c as u32); size]).collect();
    // Examples of a class are spread over the data set.
    let mut order: Vec<usize> = (0..classes.len()).collect();
    order.sort_by_key(|i| i * 7919 % 1009);
    let classes: Vec<ClassId> = order.into_iter().map(|i| classes[i]).collect();
    let index = ClassIndex::from_examples(classes.iter().enumerate().map(|(i, &c)| (ExampleId(i), c)));
    (index, classes)
}

/// A prototype per class, made from its number: what a model would do.
fn embed(ask: &Candidates) -> Prototypes {
    let e = ask.ids.len() / ask.classes.len();
    let rows: Vec<f32> =
        ask.classes.iter().flat_map(|c| [(c.0 % 13) as f32 - 6., (c.0 % 5) as f32 - 2.].repeat(e)).collect();
    let t = candle_core::Tensor::from_vec(rows, (ask.ids.len(), 2), &candle_core::Device::Cpu).unwrap();
    Prototypes::new(&ask.classes, &t, ask.measure).unwrap()
}

fn greedy() -> Box<dyn ClassMiner> {
    Box::new(GreedyMiner::default())
}

fn next(sampler: &mut dyn BatchSampler) -> BatchPlan {
    let wants = sampler.wants_prototypes();
    let asked = sampler.candidates();
    assert_eq!(asked.is_some(), wants);
    if let Some(ask) = asked {
        sampler.supply(embed(&ask)).unwrap();
    }
    sampler.next_batch().unwrap()
}

fn check_labels(plan: &BatchPlan, classes: &[ClassId]) {
    assert_eq!(plan.ids.len(), plan.labels.len());
    for (id, &label) in plan.ids.iter().zip(plan.labels.as_slice()) {
        assert_eq!(classes[id.0], label);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn n_pairs_visit_every_class_and_every_example(sizes in proptest::collection::vec(1usize..7, 3..25), n in 2usize..9, seed: u64, mine: bool) {
        let (index, classes) = index(&sizes);
        let usable: BTreeSet<ClassId> = index.with_at_least(2).iter().map(|&p| index.classes()[p]).collect();
        let sets = CandidateSets { candidates: 9, examples: 2, refresh: 2, ..CandidateSets::default() };
        let made = if mine { NPairSampler::mined(index.clone(), n, sets, greedy(), rng(seed)) } else { NPairSampler::new(index.clone(), n, rng(seed)) };
        if usable.len() < n {
            let text = made.err().unwrap().to_string();
            prop_assert!(text.contains(&format!("needs {n} classes")), "{}", text);
            return Ok(());
        }
        let mut sampler = made.unwrap();
        prop_assert_eq!(sampler.left_out(), index.len() - usable.len());
        let mut seen = BTreeSet::new();
        let mut visits = BTreeMap::<ExampleId, usize>::new();
        // Enough rounds for the largest class to show all examples, two at a time.
        for round in 0..4 {
            let mut of_epoch = BTreeSet::new();
            for _ in 0..sampler.batches_per_epoch() {
                let plan = next(&mut sampler);
                check_labels(&plan, &classes);
                prop_assert_eq!(plan.labels.classes().len(), n);
                let Tuples::Pairs(pairs) = &plan.tuples else { panic!("no pairs") };
                prop_assert_eq!((pairs.len(), pairs.anchors()[0], pairs.positives()[0]), (n, 0, n));
                of_epoch.extend(plan.labels.classes());
                for id in &plan.ids {
                    *visits.entry(*id).or_default() += 1;
                }
            }
            seen.extend(of_epoch.iter().copied());
            if !mine {
                // A batch that ran over the end of the last epoch took some of this one's classes early.
                prop_assert!(round > 0 || of_epoch == usable);
            }
        }
        if !mine {
            prop_assert_eq!(&seen, &usable);
            for place in index.with_at_least(2) {
                let counts: Vec<usize> = index.examples(place).iter().map(|e| visits.get(e).copied().unwrap_or(0)).collect();
                let (low, high) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
                prop_assert!(high - low <= 1, "examples of a class: {:?}", counts);
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_batches_and_a_stop_changes_none(seed: u64, steps in 1usize..12, kind in 0usize..9) {
        let (index, _) = index(&[4, 2, 6, 3, 5, 2, 4, 2, 3]);
        let sets = CandidateSets { candidates: 7, examples: 2, refresh: 3, ..CandidateSets::default() };
        let make = || -> Box<dyn BatchSampler> {
            let (index, rng) = (index.clone(), rng(seed));
            match kind {
                0 => Box::new(NPairSampler::new(index, 4, rng).unwrap()),
                1 => Box::new(NPairSampler::mined(index, 4, sets, greedy(), rng).unwrap()),
                2 => Box::new(TripletSampler::new(index, 4, rng).unwrap()),
                3 => Box::new(TripletSampler::mined(index, 3, sets, greedy(), rng).unwrap()),
                4 => Box::new(TupletSampler::new(index, 4, rng).unwrap()),
                5 => Box::new(NPairSampler::new(index, 4, rng).unwrap().tempered(0.5).unwrap()),
                6 => Box::new(TripletSampler::new(index, 4, rng).unwrap().tempered(1.).unwrap()),
                7 => Box::new(BalancedSampler::new(index, 2, 3, rng).unwrap().tempered(1.).unwrap()),
                _ => Box::new(BalancedSampler::new(index, 2, 3, rng).unwrap()),
            }
        };
        let (mut whole, mut first) = (make(), make());
        for _ in 0..steps {
            prop_assert_eq!(next(&mut *whole), next(&mut *first));
        }
        let text = first.save().unwrap().to_string();
        let mut resumed = make();
        resumed.restore(&serde_json::from_str(&text).unwrap()).unwrap();
        for _ in 0..8 {
            prop_assert_eq!(next(&mut *whole), next(&mut *resumed));
        }
    }

    #[test]
    fn tuplets_cost_what_they_cost(n in 2usize..7, seed: u64) {
        let (index, classes) = index(&[3, 1, 2, 4, 1, 2, 2, 5, 2]);
        let mut sampler = TupletSampler::new(index, n.min(6), rng(seed)).unwrap();
        let n = n.min(6);
        let plan = next(&mut sampler);
        check_labels(&plan, &classes);
        prop_assert_eq!((plan.ids.len(), sampler.batch_size()), ((n + 1) * n, (n + 1) * n));
        let Tuples::Tuplets(t) = plan.tuples else { panic!("no tuplets") };
        prop_assert_eq!((t.len(), t.per_anchor()), (n, n - 1));
    }
}

/// How often each class is the first of a batch.
fn firsts(sampler: &mut dyn BatchSampler, batches: usize) -> BTreeMap<ClassId, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..batches {
        *counts.entry(sampler.next_batch().unwrap().labels.get(0)).or_default() += 1;
    }
    counts
}

/// Classes with too few examples are left out of tempered draws too, and the examples of a class still come up in turn.
#[test]
fn tempered_batches_follow_the_sizes_of_classes() {
    const BATCHES: usize = 20_000;
    let sizes = [3, 1, 9, 27, 81];
    let (index, classes) = index(&sizes);
    let usable = [0, 2, 3, 4];
    for t in [0.5, 1.] {
        let weight = |c: usize| (sizes[c] as f64).powf(t);
        let total: f64 = usable.iter().map(|&c| weight(c)).sum();
        let samplers: [Box<dyn BatchSampler>; 3] = [
            Box::new(NPairSampler::new(index.clone(), 2, rng(3)).unwrap().tempered(t).unwrap()),
            Box::new(TripletSampler::new(index.clone(), 2, rng(4)).unwrap().tempered(t).unwrap()),
            Box::new(BalancedSampler::new(index.clone(), 2, 2, rng(5)).unwrap().tempered(t).unwrap()),
        ];
        for mut sampler in samplers {
            assert_eq!((sampler.batches_per_epoch(), sampler.left_out()), (0, 1));
            check_labels(&sampler.next_batch().unwrap(), &classes);
            let counts = firsts(&mut *sampler, BATCHES);
            assert_eq!(counts.len(), usable.len());
            for c in usable {
                // Five standard deviations of a count.
                let p = weight(c) / total;
                let bound = 5. * (BATCHES as f64 * p * (1. - p)).sqrt();
                let got = counts[&ClassId(5 + 7 * c as u32)] as f64;
                assert!(
                    (got - BATCHES as f64 * p).abs() <= bound,
                    "{}, t = {t}: class {c} {got} times",
                    sampler.name()
                );
            }
        }
    }
    let mut sampler = NPairSampler::new(index.clone(), 2, rng(3)).unwrap().tempered(1.).unwrap();
    let mut visits = BTreeMap::<ExampleId, usize>::new();
    for _ in 0..500 {
        for id in sampler.next_batch().unwrap().ids {
            *visits.entry(id).or_default() += 1;
        }
    }
    for place in index.with_at_least(2) {
        let counts = index.examples(place).iter().map(|id| visits.get(id).copied().unwrap_or(0));
        assert!(counts.clone().max().unwrap() - counts.min().unwrap() <= 1);
    }
}

#[test]
fn a_temper_of_zero_changes_nothing_and_states_do_not_mix() {
    let (index, _) = index(&[4, 2, 6, 3]);
    let plain = || NPairSampler::new(index.clone(), 3, rng(8)).unwrap();
    let (mut a, mut b) = (plain(), plain().tempered(0.).unwrap());
    (0..5).for_each(|_| assert_eq!(next(&mut a), next(&mut b)));
    let said = plain().tempered(0.5).unwrap().restore(&a.save().unwrap()).unwrap_err().to_string();
    assert!(said.contains("by their number of examples"), "{said}");
    let balanced = || BalancedSampler::new(index.clone(), 3, 2, rng(8)).unwrap();
    let tempered = balanced().tempered(0.5).unwrap();
    assert!(balanced().restore(&tempered.save().unwrap()).unwrap_err().to_string().contains("by their number of"));
    assert!(plain().tempered(2.).err().unwrap().to_string().contains("the temper of class draws is 2"));
}

#[test]
fn triplets_are_the_papers() {
    let (index, classes) = index(&[2, 2, 2, 2, 2]);
    let mut sampler = TripletSampler::new(index, 4, rng(1)).unwrap();
    let plan = next(&mut sampler);
    check_labels(&plan, &classes);
    let Tuples::Triplets(t) = plan.tuples else { panic!("no triplets") };
    let rows: Vec<[usize; 3]> = (0..t.len()).map(|i| t.rows(i)).collect();
    assert_eq!(rows, [[0, 4, 1], [1, 5, 0], [2, 6, 3], [3, 7, 2]]);
}

#[test]
fn edges_are_said() {
    let (index, _) = index(&[2, 2, 1, 3]);
    let said = |r: Result<NPairSampler>| r.err().unwrap().to_string();
    assert!(said(NPairSampler::new(index.clone(), 1, rng(0))).contains("at least 2"));
    assert!(said(NPairSampler::new(index.clone(), 4, rng(0))).contains("the data has 3"));
    let few = CandidateSets { candidates: 2, ..CandidateSets::default() };
    assert!(said(NPairSampler::mined(index.clone(), 3, few, greedy(), rng(0))).contains("mining.candidates"));
    assert!(BalancedSampler::new(index.clone(), 2, 3, rng(0)).unwrap_err().to_string().contains("the data has 1"));
    assert!(BalancedSampler::new(index.clone(), 0, 3, rng(0)).is_err());
    assert!(TupletSampler::new(index.clone(), 4, rng(0)).is_err());
    let mut mined = NPairSampler::mined(index.clone(), 2, CandidateSets::default(), greedy(), rng(0)).unwrap();
    assert!(mined.next_batch().unwrap_err().to_string().contains("no prototypes"));
    // More candidates asked for than there are classes: all of them.
    assert_eq!(mined.candidates().unwrap().classes.len(), 3);
    let mut plain = NPairSampler::new(index, 2, rng(0)).unwrap();
    assert!(plain.restore(&mined.save().unwrap()).unwrap_err().to_string().contains("class mining"));
    let other = ClassIndex::from_labels(&Labels::new([1, 1, 2, 2]).unwrap());
    let mut other = NPairSampler::new(other, 2, rng(0)).unwrap();
    next(&mut plain);
    assert!(other.restore(&plain.save().unwrap()).is_err());
    assert!(plain.restore(&serde_json::json!({"rng": 3})).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn grouped_batches_are_of_few_groups(sizes in proptest::collection::vec(1usize..9, 1..8), n in 2usize..12, per_batch in 1usize..4, seed: u64) {
        // Group g has sizes[g] classes of three examples.
        let groups: Vec<usize> = sizes.iter().enumerate().flat_map(|(g, &size)| vec![g; size]).collect();
        let (index, classes) = index(&vec![3; groups.len()]);
        let wanted = Groups::new(&index, &groups, per_batch).unwrap();
        let made = NPairSampler::grouped(index.clone(), n, &wanted, rng(seed));
        if groups.len() < n {
            prop_assert!(made.is_err());
            return Ok(());
        }
        let mut sampler = made.unwrap();
        let mut twin = NPairSampler::grouped(index.clone(), n, &wanted, rng(seed)).unwrap();
        for step in 0..8 {
            let plan = sampler.next_batch().unwrap();
            check_labels(&plan, &classes);
            let chosen: BTreeSet<ClassId> = plan.labels.classes().into_iter().collect();
            prop_assert_eq!((chosen.len(), plan.ids.len()), (n, 2 * n));
            let mut of_group = BTreeMap::<usize, usize>::new();
            for class in chosen {
                *of_group.entry(groups[index.classes().iter().position(|&c| c == class).unwrap()]).or_default() += 1;
            }
            // No more groups than asked for, unless all but the last one drawn had too few classes together.
            let total: usize = of_group.keys().map(|&g| sizes[g]).sum();
            let largest = of_group.keys().map(|&g| sizes[g]).max().unwrap();
            prop_assert!(of_group.len() <= per_batch || total - largest < n, "{:?} of {:?}", of_group, sizes);
            // Equal shares: a group that gave less than another by two or more gave all it had (or was the last, cut short).
            let most = *of_group.values().max().unwrap();
            let short = of_group.iter().filter(|&(&g, &count)| count + 1 < most && count < sizes[g]).count();
            prop_assert!(short <= 1, "{:?} of {:?}", of_group, sizes);
            prop_assert_eq!(&plan.ids, &twin.next_batch().unwrap().ids);
            if step == 3 {
                let state = twin.save().unwrap();
                let mut fresh = NPairSampler::grouped(index.clone(), n, &wanted, rng(seed ^ 1)).unwrap();
                fresh.restore(&state).unwrap();
                twin = fresh;
            }
        }
    }
}

#[test]
fn a_group_that_is_large_enough_is_enough() {
    let (index, _) = index(&[2; 12]);
    let groups = Groups::new(&index, &["a", "a", "a", "a", "b", "b", "b", "b", "c", "c", "c", "c"], 1).unwrap();
    let mut sampler = NPairSampler::grouped(index.clone(), 4, &groups, rng(3)).unwrap();
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        let classes: Vec<usize> = sampler
            .next_batch()
            .unwrap()
            .labels
            .classes()
            .iter()
            .map(|c| index.classes().iter().position(|d| d == c).unwrap())
            .collect();
        assert!(classes.iter().all(|c| c / 4 == classes[0] / 4), "{classes:?}");
        seen.insert(classes[0] / 4);
    }
    assert_eq!(seen.len(), 3); // every group once per round
    assert!(Groups::new(&index, &["a"; 3], 1).unwrap_err().to_string().contains("3 groups were given for 12 classes"));
    assert!(Groups::new(&index, &["a"; 12], 0).is_err());
    // A state of other groups is not taken.
    let other = Groups::new(&index, &["a"; 12], 1).unwrap();
    let mut other = NPairSampler::grouped(index, 4, &other, rng(3)).unwrap();
    assert!(other.restore(&sampler.save().unwrap()).unwrap_err().to_string().contains("groups differ"));
}

/// Chooses the first classes, later by one with every batch.
struct Marching(usize);

impl ClassMiner for Marching {
    fn name(&self) -> &str {
        "marching"
    }

    fn choose(&mut self, prototypes: &Prototypes, n: usize, _: &mut ChaCha8Rng) -> Result<ChosenClasses> {
        self.0 += 1;
        let indices = (0..n).map(|i| (self.0 + i) % prototypes.len()).collect();
        Ok(ChosenClasses { indices, violations: Vec::new() })
    }

    fn save(&self) -> Result<serde_json::Value> {
        Ok(self.0.into())
    }

    fn restore(&mut self, state: &serde_json::Value) -> Result<()> {
        self.0 = state.as_u64().ok_or_else(|| Error::State(format!("{state} is no number")))? as usize;
        Ok(())
    }
}

/// Chooses one class again and again.
struct Stuck;

impl ClassMiner for Stuck {
    fn name(&self) -> &str {
        "stuck miner"
    }

    fn choose(&mut self, _: &Prototypes, n: usize, _: &mut ChaCha8Rng) -> Result<ChosenClasses> {
        Ok(ChosenClasses { indices: vec![0; n], violations: Vec::new() })
    }
}

#[test]
fn an_outside_class_miner_enters_and_is_resumed() {
    let (index, _) = index(&[2; 7]);
    let make = |miner: Box<dyn ClassMiner>| {
        let sets = CandidateSets { candidates: 5, refresh: 3, ..CandidateSets::default() };
        NPairSampler::mined(index.clone(), 3, sets, miner, rng(4)).unwrap()
    };
    let (mut whole, mut first) = (make(Box::new(Marching(0))), make(Box::new(Marching(0))));
    for _ in 0..4 {
        assert_eq!(next(&mut whole), next(&mut first));
    }
    assert_eq!(first.last_choice().unwrap().indices, [4, 0, 1]);
    let state = first.save().unwrap();
    let mut resumed = make(Box::new(Marching(100)));
    resumed.restore(&state).unwrap();
    for _ in 0..5 {
        assert_eq!(next(&mut whole), next(&mut resumed));
    }
    let other = make(greedy()).restore(&state).unwrap_err().to_string();
    assert!(other.contains("of the marching, not of the greedy class miner"), "{other}");
    let mut stuck = make(Box::new(Stuck));
    let ask = stuck.candidates().unwrap();
    stuck.supply(embed(&ask)).unwrap();
    let said = stuck.next_batch().unwrap_err().to_string();
    assert!(said.contains("stuck miner chose [0, 0, 0], but 3 different ones of 5"), "{said}");
}

/// All values inside a JSON value, by their paths.
fn paths(value: &serde_json::Value, at: String, out: &mut Vec<String>) {
    out.push(at.clone());
    match value {
        serde_json::Value::Array(all) => {
            all.iter().enumerate().for_each(|(i, v)| paths(v, format!("{at}/{i}"), out));
        }
        serde_json::Value::Object(all) => all.iter().for_each(|(key, v)| paths(v, format!("{at}/{key}"), out)),
        _ => {}
    }
}

#[test]
fn a_damaged_state_is_an_error_and_never_a_panic() {
    let (index, _) = index(&[4, 2, 3, 2, 5]);
    let groups = Groups::new(&index, &[0, 0, 1, 1, 1], 1).unwrap();
    let sets = CandidateSets { candidates: 4, examples: 2, refresh: 2, ..CandidateSets::default() };
    let all: Vec<Box<dyn Fn() -> Box<dyn BatchSampler>>> = vec![
        Box::new(|| Box::new(NPairSampler::new(index.clone(), 2, rng(1)).unwrap())),
        Box::new(|| Box::new(NPairSampler::grouped(index.clone(), 2, &groups, rng(1)).unwrap())),
        Box::new(|| Box::new(NPairSampler::mined(index.clone(), 2, sets, greedy(), rng(1)).unwrap())),
        Box::new(|| Box::new(TripletSampler::mined(index.clone(), 2, sets, greedy(), rng(1)).unwrap())),
        Box::new(|| Box::new(TupletSampler::new(index.clone(), 2, rng(1)).unwrap())),
        Box::new(|| Box::new(BalancedSampler::new(index.clone(), 2, 2, rng(1)).unwrap())),
        Box::new(|| Box::new(BalancedSampler::new(index.clone(), 2, 2, rng(1)).unwrap().tempered(1.).unwrap())),
        Box::new(|| Box::new(NPairSampler::new(index.clone(), 2, rng(1)).unwrap().tempered(0.5).unwrap())),
    ];
    let damages = [
        serde_json::json!(null),
        serde_json::json!(0),
        serde_json::json!(3),
        serde_json::json!(1_000_000_000_000_000u64),
        serde_json::json!(-1),
        serde_json::json!("x"),
        serde_json::json!([]),
        serde_json::json!([0, 0, 0]),
        serde_json::json!({}),
    ];
    let mut refused = 0;
    for make in &all {
        let mut sampler = make();
        for _ in 0..3 {
            next(&mut *sampler);
        }
        let whole = sampler.save().unwrap();
        let mut places = Vec::new();
        paths(&whole, String::new(), &mut places);
        for place in &places {
            for damage in &damages {
                let mut state = whole.clone();
                *state.pointer_mut(place).unwrap() = damage.clone();
                let mut fresh = make();
                // What is taken is a state that could have been: it goes on.
                match fresh.restore(&state) {
                    Ok(()) => (0..6).for_each(|_| _ = fresh_batch(&mut *fresh)),
                    Err(why) => {
                        assert!(why.to_string().contains("does not fit"), "{place}: {why}");
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(refused > 2000, "{refused}");
}

/// A batch, or an error: of prototypes that were changed all products may be infinite.
fn fresh_batch(sampler: &mut dyn BatchSampler) -> Result<BatchPlan> {
    if let Some(ask) = sampler.candidates() {
        sampler.supply(embed(&ask)).unwrap();
    }
    sampler.next_batch()
}

#[test]
fn samplers_are_built_of_their_settings() {
    fn check<S: SamplerSettings + serde::de::DeserializeOwned>(given: serde_json::Value, name: &str) {
        let (index, _) = index(&[3; 6]);
        let settings: S = serde_json::from_value(given).unwrap();
        let mut sampler = settings.build(index, rng(1)).unwrap();
        assert_eq!(sampler.name(), name);
        let plan = next(&mut *sampler);
        assert_eq!((plan.tuples.kind(), plan.ids.len()), (sampler.kind(), sampler.batch_size()));
        assert!(serde_json::from_value::<S>(serde_json::json!({"nothing": 1})).is_err());
    }
    let mining = serde_json::json!({"candidates": 5, "violation": "mean", "measure": "cosine"});
    check::<NPairSamplerSettings>(serde_json::json!({"classes": 3}), "N-pair sampler");
    check::<NPairSamplerSettings>(serde_json::json!({"classes": 3, "mining": mining}), "N-pair sampler");
    check::<TripletSamplerSettings>(serde_json::json!({"classes": 4, "mining": mining}), "triplet sampler");
    check::<TupletSamplerSettings>(serde_json::json!({"classes": 3}), "tuplet sampler");
    check::<BalancedSamplerSettings>(serde_json::json!({"classes": 2, "per_class": 3}), "balanced sampler");
}

/// Every value of a saved state by something else, one at a time.
fn damaged(state: &serde_json::Value) -> Vec<serde_json::Value> {
    use serde_json::{Value, json};
    fn places(value: &Value, at: &str, all: &mut Vec<String>) {
        all.push(at.to_owned());
        match value {
            Value::Array(items) => {
                // The first ones and the last: they are all of a kind.
                let some = (0..items.len()).filter(|&i| i < 3 || i + 1 == items.len());
                some.for_each(|i| places(&items[i], &format!("{at}/{i}"), all));
            }
            Value::Object(items) => items.iter().for_each(|(key, item)| places(item, &format!("{at}/{key}"), all)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    places(state, "", &mut all);
    let others = [
        Value::Null,
        json!(0),
        json!(1),
        json!(-1),
        json!(7),
        json!(u64::MAX),
        json!(1u64 << 40),
        json!(1e300),
        json!(""),
        json!("x"),
        json!([]),
        json!([0]),
        json!([1, 1]),
        json!([u64::MAX]),
        json!({}),
    ];
    let mut made = Vec::new();
    for place in all {
        for other in &others {
            let mut copy = state.clone();
            *copy.pointer_mut(&place).unwrap() = other.clone();
            made.push(copy);
        }
        // A list that lost its last item, or has it twice.
        let mut copy = state.clone();
        if let Some(Value::Array(items)) = copy.pointer_mut(&place) {
            let last = items.pop();
            made.push(copy.clone());
            if let (Some(Value::Array(items)), Some(last)) = (copy.pointer_mut(&place), last) {
                items.extend([last.clone(), last]);
                made.push(copy);
            }
        }
    }
    made
}

#[test]
fn a_damaged_state_is_an_error_or_a_state_and_never_a_panic() {
    use candle_core::{Device, Tensor};
    let index = || ClassIndex::from_labels(&Labels::new((0..24).map(|i| i / 3)).unwrap());
    let rng = || Streams::new(3).open(Purpose::Sampling, [0, 0]);
    let sets = CandidateSets { candidates: 6, examples: 2, refresh: 3, ..CandidateSets::default() };
    let makers: [&dyn Fn() -> Box<dyn BatchSampler>; 6] = [
        &|| Box::new(NPairSampler::new(index(), 3, rng()).unwrap()),
        &|| Box::new(NPairSampler::mined(index(), 3, sets, Box::new(GreedyMiner::default()), rng()).unwrap()),
        &|| Box::new(TripletSampler::mined(index(), 3, sets, Box::new(GreedyMiner::default()), rng()).unwrap()),
        &|| {
            let groups = Groups::new(&index(), &[0, 0, 0, 1, 1, 1, 2, 2], 2).unwrap();
            Box::new(NPairSampler::grouped(index(), 3, &groups, rng()).unwrap())
        },
        &|| Box::new(TupletSampler::new(index(), 3, rng()).unwrap()),
        &|| Box::new(BalancedSampler::new(index(), 3, 2, rng()).unwrap()),
    ];
    let step = |sampler: &mut dyn BatchSampler| -> npair_batch::Result<()> {
        if let Some(ask) = sampler.candidates() {
            let rows: Vec<f32> = (0..2 * ask.ids.len()).map(|i| (i as f32).sin()).collect();
            let rows = Tensor::from_vec(rows, (ask.ids.len(), 2), &Device::Cpu)?;
            sampler.supply(Prototypes::new(&ask.classes, &rows, ask.measure)?)?;
        }
        let plan = sampler.next_batch()?;
        assert_eq!((plan.ids.len(), plan.labels.len()), (sampler.batch_size(), sampler.batch_size()));
        Ok(())
    };
    for make in makers {
        let mut sampler = make();
        step(&mut *sampler).unwrap();
        let state = sampler.save().unwrap();
        let (mut refused, all) = (0, damaged(&state));
        for state in &all {
            let mut other = make();
            match other.restore(state) {
                Ok(()) => (0..5).for_each(|_| step(&mut *other).unwrap()),
                Err(error) => {
                    assert!(error.to_string().contains("the saved sampler state does not fit"), "{error}");
                    refused += 1;
                    // Nothing was taken over.
                    step(&mut *other).unwrap();
                }
            }
        }
        assert!(refused * 2 > all.len(), "{refused} of {}", all.len());
    }
}

#[test]
fn prototypes_of_whole_numbers_are_refused_and_those_of_sixteen_bits_widened() {
    use candle_core::{DType, Device, Tensor};
    use npair_types::{ClassId, Measure};
    let rows = Tensor::new(&[[1f32, 2.], [3., 4.]], &Device::Cpu).unwrap();
    let of = |dtype| Prototypes::new(&[ClassId(1), ClassId(2)], &rows.to_dtype(dtype).unwrap(), Measure::Dot);
    assert_eq!(of(DType::BF16).unwrap(), of(DType::F32).unwrap());
    assert!(of(DType::I64).unwrap_err().to_string().contains("of type I64"));
}
