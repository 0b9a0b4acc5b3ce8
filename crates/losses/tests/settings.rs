//! The settings of losses and penalties: usual values, names, what is legal, and what they build.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device};
use npair_losses::*;
use npair_types::{ClassId, Purpose, Streams};
use serde_json::{Value, json};

/// Builds a loss of JSON settings, and its variables' first values.
fn build<S: LossSettings + serde::de::DeserializeOwned>(settings: Value) -> std::result::Result<Box<dyn Loss>, String> {
    let settings: S = serde_json::from_value(settings).map_err(|e| e.to_string())?;
    let rng = &mut Streams::new(3).open(Purpose::Initialization, [0, 0]);
    let classes = [ClassId(1), ClassId(2)];
    let context = &mut LossContext {
        classes: &classes,
        sizes: &[],
        sets: None,
        width: 4,
        rng,
        dtype: DType::F32,
        device: &Device::Cpu,
    };
    settings.build(context).map_err(|e| e.to_string())
}

/// The usual settings build the loss; an unknown key does not, and the fields are those that serde knows.
fn check<S>(given: Value, name: &str)
where
    S: LossSettings + Default + serde::Serialize + serde::de::DeserializeOwned,
{
    assert!(!S::ABOUT.is_empty(), "{name}");
    assert_eq!(build::<S>(given).unwrap().name(), name);
    assert!(build::<S>(json!({"nothing": 1})).err().unwrap().contains("unknown field"), "{name}");
    let Value::Object(keys) = serde_json::to_value(S::default()).unwrap() else { panic!("{name}") };
    assert_eq!(keys.len(), S::FIELDS.len(), "{name}");
    assert!(S::FIELDS.iter().all(|f| keys.contains_key(f.name) && f.about.len() > 3), "{name}");
}

#[test]
fn every_loss_is_built_of_its_settings() {
    check::<NPairMcSettings>(json!({}), "N-pair-mc");
    check::<SymmetricNPairMcSettings>(json!({}), "symmetric N-pair-mc");
    check::<NPairOvoSettings>(json!({}), "N-pair-ovo");
    check::<MultiPositiveNPairSettings>(json!({}), "multi-positive N-pair loss");
    check::<SmoothTripletSettings>(json!({}), "smooth triplet loss");
    check::<TripletMarginSettings>(json!({"margin": 0.2}), "triplet margin loss");
    check::<MarginFreeTripletSettings>(json!({}), "margin-free triplet loss");
    check::<BatchAllTripletSettings>(json!({"reducer": "mean-per-class"}), "batch-all triplet loss");
    check::<BatchHardTripletSettings>(json!({}), "batch-hard triplet loss");
    check::<BatchHardTripletSoftSettings>(json!({}), "batch-hard triplet loss");
    check::<AngularSettings>(json!({}), "angular loss");
    check::<NTupletSettings>(json!({}), "tuplet loss");
    check::<TupletMarginSettings>(json!({}), "tuplet margin loss");
    check::<ContrastiveSettings>(json!({"margin": 1}), "contrastive loss");
    check::<PairwiseContrastiveSettings>(
        json!({"reducer": {"mean-within": {"low": 0.1, "high": 2}}}),
        "pairwise contrastive loss",
    );
    check::<NcaStyleSettings>(json!({}), "NCA-style loss");
    check::<LiftedStructureSettings>(json!({}), "lifted structure loss");
    check::<GeneralizedLiftedStructureSettings>(json!({}), "generalized lifted structure loss");
    check::<HistogramSettings>(json!({}), "histogram loss");
    check::<FastApSettings>(json!({}), "FastAP");
    check::<SmoothApSettings>(json!({}), "Smooth-AP");
    check::<RankedListSettings>(json!({}), "ranked list loss");
    check::<MultiSimilaritySettings>(json!({}), "multi-similarity loss");
    check::<CircleSettings>(json!({}), "circle loss");
    check::<NtXentSettings>(json!({}), "NT-Xent");
    check::<SupConSettings>(json!({}), "supervised contrastive loss");
    check::<MultiSupConSettings>(json!({}), "multi-label supervised contrastive loss");
    check::<SoftmaxClassifierSettings>(json!({}), "softmax classifier");
    check::<NormalizedSoftmaxSettings>(json!({}), "normalized softmax");
    check::<SphereFaceSettings>(json!({}), "SphereFace");
    check::<CosFaceSettings>(json!({}), "CosFace");
    check::<ArcFaceSettings>(json!({}), "ArcFace");
    check::<SubCenterArcFaceSettings>(json!({"centres": 2}), "sub-center ArcFace");
    check::<ProxyNcaSettings>(json!({}), "Proxy-NCA");
    check::<ProxyAnchorSettings>(json!({}), "proxy-anchor loss");
    check::<SoftTripleSettings>(json!({"centers": 2}), "SoftTriple loss");
    check::<MarginLossSettings>(json!({}), "margin loss");
    check::<SigLipSettings>(json!({}), "SigLIP loss");
}

#[test]
fn what_has_to_be_set_and_what_is_out_of_range_is_said() {
    let unset = build::<TripletMarginSettings>(json!({})).err().unwrap();
    assert!(unset.contains("the margin is NaN") && unset.contains("no usual value"), "{unset}");
    assert!(build::<ContrastiveSettings>(json!({})).err().unwrap().contains("no usual value"));
    assert!(build::<CircleSettings>(json!({"margin": 1.5})).err().unwrap().contains("from 0 to 1"));
    assert!(build::<SphereFaceSettings>(json!({"margin": 0})).err().unwrap().contains("above 0"));
    assert!(build::<SoftTripleSettings>(json!({"centers": 0})).err().unwrap().contains("centers per class"));
    let band = json!({"reducer": {"mean-within": {"low": 2, "high": 1}}});
    assert!(build::<BatchAllTripletSettings>(band).err().unwrap().contains("above the lower one"));
    let set = build::<CosFaceSettings>(json!({"margin": -1})).err().unwrap();
    assert_eq!(set, "the margin is -1, but has to be a finite number from 0");
}

#[test]
fn penalties_are_built_of_their_settings_too() {
    fn check<S: RegularizerSettings + serde::de::DeserializeOwned>(given: Value, name: &str) {
        let settings: S = serde_json::from_value(given).unwrap();
        assert_eq!(settings.build().unwrap().name(), name);
        assert!(serde_json::from_value::<S>(json!({"nothing": 1})).is_err() && !S::ABOUT.is_empty(), "{name}");
    }
    check::<NormPenaltySettings>(json!({"form": "sum-per-pair"}), "norm penalty");
    check::<LpNormSettings>(json!({"p": 1.5}), "Lp norm");
    check::<CenterInvariantSettings>(json!({}), "center invariance");
    check::<ZeroMeanSettings>(json!({}), "zero mean");
    check::<RegularFaceSettings>(json!({}), "RegularFace");
    check::<SparseCentersSettings>(json!({"centres": 3}), "sparse centers");
    check::<KoLeoSettings>(json!({}), "KoLeo");
    check::<UniformitySettings>(json!({}), "uniformity");
    assert!(SparseCentersSettings::default().build().is_err());
}

#[test]
fn a_memory_is_built_of_its_settings() {
    let read = |text: &str| serde_json::from_str::<CrossBatchMemorySettings>(text).unwrap();
    assert!(read("{}").build(3).unwrap().is_none());
    let mut memory = read(r#"{"size": 4, "start_step": 2}"#).build(3).unwrap().unwrap();
    let x = candle_core::Tensor::zeros((2, 4), DType::F32, &Device::Cpu).unwrap();
    // Idle for two steps of three batches.
    for batch in 1..=7 {
        memory.remember(&x, &npair_types::Labels::new([1, 2]).unwrap()).unwrap();
        assert_eq!(memory.rows().is_some(), batch == 7);
    }
    assert!(serde_json::from_str::<CrossBatchMemorySettings>(r#"{"start": 2}"#).is_err());
}
