//! The store: order, seeds, strict loading.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor};
use npair_nn::{Error, Init, VarMap};
use npair_types::Streams;
use std::collections::HashMap;
use support::values;

fn build(names: &[&str], seed: u64) -> VarMap {
    let varmap = VarMap::new(Streams::new(seed), DType::F32, &Device::Cpu);
    for name in names {
        varmap.root().pp(name).trainable("weight", (2, 3), Init::KaimingNormal).unwrap();
    }
    varmap.root().pp("norm").buffer("running_mean", 4, 0.5).unwrap();
    varmap
}

fn snapshot(varmap: &VarMap) -> Vec<(String, Vec<f64>)> {
    varmap.tensors().unwrap().iter().map(|(name, t)| (name.clone(), values(t))).collect()
}

fn loadable(varmap: &VarMap) -> HashMap<String, Tensor> {
    varmap.tensors().unwrap().into_iter().collect()
}

#[test]
fn values_depend_on_seed_and_name_alone() {
    let (one, two) = (build(&["a", "b"], 1), build(&["b", "a"], 1));
    assert_eq!(snapshot(&one), snapshot(&two));
    assert_ne!(snapshot(&one), snapshot(&build(&["a", "b"], 2)));
    let all = snapshot(&one);
    assert_eq!(
        all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["a.weight", "b.weight", "norm.running_mean"]
    );
    assert_ne!(all[0].1, all[1].1);
    assert_eq!(all[2].1, [0.5; 4]);
    assert_eq!((one.trainable().len(), one.buffers().len(), one.count()), (2, 1, 12));
}

#[test]
fn a_snapshot_does_not_follow_the_variables() {
    let varmap = build(&["a"], 1);
    let before = varmap.tensors().unwrap();
    let (_, var) = &varmap.trainable()[0];
    var.set(&Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap()).unwrap();
    assert_ne!(values(&before["a.weight"]), values(var));
    varmap.load(&before.into_iter().collect()).unwrap();
    assert_eq!(snapshot(&varmap), snapshot(&build(&["a"], 1)));
    // From its own, shared memory too.
    let shared = varmap.trainable().into_iter().chain(varmap.buffers()).map(|(n, v)| (n, v.as_tensor().clone()));
    varmap.load(&shared.collect()).unwrap();
    assert_eq!(snapshot(&varmap), snapshot(&build(&["a"], 1)));
}

#[test]
fn loading_is_strict_and_changes_all_or_nothing() {
    let varmap = build(&["a", "b", "c", "d", "e"], 1);
    let good = loadable(&build(&["a", "b", "c", "d", "e"], 2));
    let before = snapshot(&varmap);
    let refuse = |change: &dyn Fn(&mut HashMap<String, Tensor>)| {
        let mut tensors = good.clone();
        change(&mut tensors);
        let error = varmap.load(&tensors).unwrap_err();
        assert!(matches!(error, Error::Mismatch(_)));
        assert_eq!(snapshot(&varmap), before);
        error.to_string()
    };
    let missing = refuse(&|t| t.retain(|name, _| !name.ends_with("weight")));
    assert!(missing.contains("5 missing (a.weight, b.weight, c.weight, ...)"), "{missing}");
    let odd = || Tensor::zeros((3, 2), DType::F32, &Device::Cpu).unwrap();
    let unexpected = refuse(&|t| drop(t.insert("z.weight".to_owned(), odd())));
    assert!(unexpected.contains("1 unexpected (z.weight)"), "{unexpected}");
    let shape = refuse(&|t| drop(t.insert("e.weight".to_owned(), odd())));
    assert!(shape.contains("1 of another shape (e.weight has [3, 2] instead of [2, 3])"), "{shape}");
    let integers =
        refuse(&|t| drop(t.insert("e.weight".to_owned(), Tensor::zeros((2, 3), DType::U32, &Device::Cpu).unwrap())));
    assert!(integers.contains("1 no floats (e.weight has U32)"), "{integers}");
    varmap.load(&good).unwrap();
    assert_eq!(snapshot(&varmap), snapshot(&build(&["a", "b", "c", "d", "e"], 2)));
}

#[test]
fn a_name_is_taken_once() {
    let root = build(&["a"], 1).root();
    let again = root.pp("a").buffer("weight", 1, 0.).unwrap_err().to_string();
    assert_eq!(again, "parameter a.weight exists already; give every layer a name of its own");
}
