//! Networks under weights from a formula, compared with features and gradient norms that other programs found.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Tensor, Var};
use npair_backbones::{BackboneConfig, ResNetConfig, VitConfig};
use npair_nn::{Layer, Mode, Node, Tape, ToChannelsLast, VarMap, forward, forward_no_grad};
use npair_testkit::golden::{Golden, relative_error};
use npair_types::Streams;
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap};

/// The integer hash of `crates/testkit/golden/make_backbones.py` for tensor `t`: `count` numbers in [0, 1).
fn uniform(t: u32, salt: u32, count: usize) -> impl Iterator<Item = f64> {
    (0..count as u32).map(move |i| {
        let mut h = i.wrapping_mul(0x9E37_79B1).wrapping_add(t.wrapping_add(salt).wrapping_mul(0x85EB_CA77));
        h ^= h >> 16;
        h = h.wrapping_mul(0x7FEB_352D);
        h ^= h >> 15;
        h = h.wrapping_mul(0x846C_A68B);
        h ^= h >> 16;
        f64::from(h) / 4_294_967_296.
    })
}

/// The values of the formula for a tensor.
fn values(key: &str, dims: &[usize], t: u32, salt: u32) -> Vec<f64> {
    let fan_in: usize = dims.iter().skip(1).product();
    let value = |u: f64| {
        let s = 2. * u - 1.;
        match () {
            () if key.ends_with("running_var") => 1. + 0.5 * u,
            () if key.ends_with("running_mean") => 0.1 * s,
            () if dims.len() >= 2 => s * (6. / fan_in as f64).sqrt(),
            () if key.ends_with("weight") => 1. + 0.1 * s,
            () => 0.1 * s,
        }
    };
    uniform(t, salt, dims.iter().product()).map(value).collect()
}

/// Sets all values to the formula's. The reference numbers its tensors with those of a classifier that we leave out.
fn fill(varmap: &VarMap, row: &Json, salt: u32) {
    let own = varmap.tensors().unwrap();
    let mut keys: Vec<String> = own.keys().cloned().collect();
    if row["tensors"].as_u64() == Some(keys.len() as u64 + 2) {
        keys.extend(["fc.bias".to_owned(), "fc.weight".to_owned()]);
        keys.sort();
    }
    assert_eq!(Some(keys.len() as u64), row["tensors"].as_u64(), "tensors of {}", Golden::case(row));
    let first: Vec<String> = serde_json::from_value(row["first_keys"].clone()).unwrap();
    assert_eq!(keys[..first.len()], first, "names of {}", Golden::case(row));
    let tensor = |(t, key): (usize, &String)| {
        let dims = own.get(key)?.dims().to_vec();
        // Rounded to f32, as the reference's are.
        let values: Vec<f32> = values(key, &dims, t as u32, salt).into_iter().map(|v| v as f32).collect();
        Some((key.clone(), Tensor::from_vec(values, dims, &Device::Cpu).unwrap()))
    };
    let tensors: HashMap<String, Tensor> = keys.iter().enumerate().filter_map(tensor).collect();
    varmap.load(&tensors).unwrap();
}

/// The network of a row; none if it is not built yet.
fn config(row: &Json) -> Option<BackboneConfig> {
    let (size, kwargs) = (row["input"][3].as_u64().unwrap() as u32, &row["kwargs"]);
    let flag = |name: &str| kwargs[name].as_bool().unwrap_or(false);
    let position_size = kwargs["position_size"].as_u64().map(|n| n as u32);
    let res_net = ResNetConfig { size: size.into(), frozen_norms: flag("frozen_norms"), ..Default::default() };
    let gelu = serde_json::from_value(kwargs["gelu"].clone()).unwrap();
    let vit = VitConfig { size: size.into(), position_size, gelu, ..Default::default() };
    Some(match BackboneConfig::named(row["model"].as_str().unwrap())? {
        BackboneConfig::GoogLeNet(mut config) => {
            (config.size, config.transform_input) = (size.into(), flag("transform_input"));
            config.frozen_norms = flag("frozen_norms");
            BackboneConfig::GoogLeNet(config)
        }
        BackboneConfig::GoogLeNetOriginal(mut config) => {
            config.size = size.into();
            BackboneConfig::GoogLeNetOriginal(config)
        }
        BackboneConfig::CasiaNet(mut config) => {
            config.size = size.into();
            BackboneConfig::CasiaNet(config)
        }
        BackboneConfig::ResNet18(_) => BackboneConfig::ResNet18(res_net),
        BackboneConfig::ResNet34(_) => BackboneConfig::ResNet34(res_net),
        BackboneConfig::ResNet50(_) => BackboneConfig::ResNet50(res_net),
        BackboneConfig::VitS16(_) => BackboneConfig::VitS16(vit),
        BackboneConfig::DinoV2S14(_) => BackboneConfig::DinoV2S14(vit),
        BackboneConfig::ConvNextT(mut config) => {
            config.size = size.into();
            BackboneConfig::ConvNextT(config)
        }
        BackboneConfig::VitB16(_) => BackboneConfig::VitB16(vit),
        BackboneConfig::ClipB32(_) => BackboneConfig::ClipB32(vit),
        BackboneConfig::ClipB16(_) => BackboneConfig::ClipB16(vit),
        BackboneConfig::SigLipB16(_) => BackboneConfig::SigLipB16(vit),
        BackboneConfig::MobileNetV3Small(mut config) => {
            config.size = size.into();
            BackboneConfig::MobileNetV3Small(config)
        }
        BackboneConfig::MobileNetV3Large(mut config) => {
            config.size = size.into();
            BackboneConfig::MobileNetV3Large(config)
        }
        BackboneConfig::EfficientNetLite0(mut config) => {
            config.size = size.into();
            BackboneConfig::EfficientNetLite0(config)
        }
        _ => return None,
    })
}

/// Features in evaluation and in training, and the norms of gradients.
struct Found {
    eval: Tensor,
    train: Tensor,
    norms: BTreeMap<String, f64>,
}

impl Found {
    /// What the reference found.
    fn reference(golden: &Golden, row: &Json) -> Self {
        let features = |name: &str| golden.tensor(Golden::case(row), name, DType::F64).unwrap();
        let norms = row["gradient_norms"].as_object().unwrap().iter();
        let norms = norms.filter(|(name, _)| !name.starts_with("fc.")).map(|(n, v)| (n.clone(), v.as_f64().unwrap()));
        Self { eval: features("eval_features"), train: features("train_features"), norms: norms.collect() }
    }

    /// What our network finds.
    fn ours(row: &Json, config: BackboneConfig, dtype: DType) -> Self {
        let salt = row["salt"].as_u64().unwrap() as u32;
        let varmap = VarMap::new(Streams::new(0), dtype, &Device::Cpu);
        let net = config.build(&varmap.root()).unwrap();
        fill(&varmap, row, salt);
        let shape: Vec<usize> = serde_json::from_value(row["input"].clone()).unwrap();
        let scale = row["input_scale"].as_f64().unwrap_or(1.);
        let pixel = |u: f64| scale * f64::from((2. * u - 1.) as f32);
        let pixels: Vec<f64> = uniform(1_000_000, salt, shape.iter().product()).map(pixel).collect();
        let pixels = Tensor::from_vec(pixels, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let run = |x: &Node, tape: &mut Tape| {
            let images = ToChannelsLast.record(x, tape)?;
            Ok(net.record(&images, tape).map_err(candle_core::Error::from)?)
        };
        let eval = forward_no_grad(&pixels, &Mode::Eval, run).unwrap();
        let train = forward(&pixels, &Mode::train(Streams::new(0), 0), run).unwrap();
        let grads = train.sqr().unwrap().mean_all().unwrap().backward().unwrap();
        let norm = |(name, var): (String, Var)| {
            let grad = grads.get(&var).unwrap_or_else(|| panic!("{}: no gradient reaches {name}", Golden::case(row)));
            let square = grad.to_dtype(DType::F64).unwrap().sqr().unwrap().sum_all().unwrap();
            (name, square.to_scalar::<f64>().unwrap().sqrt())
        };
        Self { eval, train: train.detach(), norms: varmap.trainable().into_iter().map(norm).collect() }
    }

    fn errors(&self, want: &Self) -> Errors {
        let wide = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
        let largest = want.norms.values().fold(0., |m: f64, v| m.max(*v));
        assert!(self.norms.keys().eq(want.norms.keys()), "other variables than the reference's");
        assert!(self.norms.values().all(|v| v.is_finite()), "a gradient is not finite");
        let pairs = || self.norms.values().zip(want.norms.values());
        Errors {
            eval: relative_error(&self.eval, &wide(&want.eval)).unwrap(),
            train: relative_error(&self.train, &wide(&want.train)).unwrap(),
            gradient: pairs().fold(0., |m, (got, want)| m.max((got - want).abs() / largest)),
            // Before a batch norm a bias has no gradient: what is there is rounding, held against the largest alone.
            each: pairs()
                .filter(|(_, want)| **want > 1e-12 * largest)
                .fold(0., |m, (got, want)| m.max((got / want - 1.).abs())),
        }
    }
}

/// Largest errors: of the features in evaluation and in training, relative to the largest; of the norms of gradients,
/// relative to the largest norm, and each relative to itself.
#[derive(Debug, Clone, Copy)]
pub struct Errors {
    pub eval: f64,
    pub train: f64,
    pub gradient: f64,
    pub each: f64,
}

impl Errors {
    /// Written so that NaN fails.
    fn within(self, tolerance: Self) -> bool {
        self.eval <= tolerance.eval
            && self.train <= tolerance.train
            && self.gradient <= tolerance.gradient
            && self.each <= tolerance.each
    }

    /// With four times those of `other` on top.
    fn plus(self, other: Self) -> Self {
        Self {
            eval: self.eval + 4. * other.eval,
            train: self.train + 4. * other.train,
            gradient: self.gradient + 4. * other.gradient,
            each: self.each + 4. * other.each,
        }
    }
}

impl std::fmt::Display for Errors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:9.1e} {:9.1e} {:9.1e} {:9.1e}", self.eval, self.train, self.gradient, self.each)
    }
}

/// Compares all cases of `kind`: what we find in f64 with the reference, and what we find in f32 with what we find in
/// f64.
///
/// `tolerance` is for the first. If `reference_in_f32`, the reference may err as we do in f32, and a few times as much:
/// in training, the statistics of two images' last maps are those of a few values, which magnifies rounding a hundred
/// times, and gradients jump wherever a ReLU or a maximum changes sides. How much depends on the network, the size and
/// the weights, and is what our own f32 shows.
#[allow(clippy::print_stdout, reason = "`cargo xtask golden` reads it")]
pub fn compare(kind: &str, tolerance: Errors, reference_in_f32: bool) {
    let golden = Golden::open(kind).unwrap();
    let heads = ["eval", "train", "gradient", "each"].map(|h| format!("{h:>9}")).join(" ");
    println!("{:<30} {heads} | ours in f32 {heads}", format!("{kind}, ours in f64"));
    let (mut covered, mut wrong) = (0, Vec::new());
    for row in &golden.rows {
        let case = Golden::case(row);
        let Some(config) = config(row) else {
            println!("{case:<30} not covered: this network is not built yet");
            continue;
        };
        let [fine, coarse] = [DType::F64, DType::F32].map(|dtype| Found::ours(row, config, dtype));
        let (found, own) = (fine.errors(&Found::reference(&golden, row)), coarse.errors(&fine));
        println!("{case:<30} {found} |             {own}");
        covered += 1;
        let tolerance = if reference_in_f32 { tolerance.plus(own) } else { tolerance };
        if !found.within(tolerance) || !own.within(F32) {
            wrong.push(case);
        }
    }
    println!("{covered} of {} cases covered", golden.rows.len());
    assert!(wrong.is_empty(), "outside the tolerance: {wrong:?}");
    let least = if std::env::var_os("NPAIR_GOLDEN").is_some() { 1 } else { golden.rows.len() };
    assert!(covered >= least, "only {covered} cases were compared");
}

/// What our f32 may differ by from our f64. Evaluation is some hundred roundings of 2^-24 = 6e-8 deep. For training see
/// [`compare`]: torchvision's own GoogLeNet and ResNet-50 differ by 6e-5 in features and 7e-3 in norms of gradients, at
/// larger sizes than the smallest here.
const F32: Errors = Errors { eval: 1e-5, train: 1e-3, gradient: 3e-3, each: 5e-2 };
