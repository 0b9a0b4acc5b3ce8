//! Batch norm against its definition.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use npair_nn::{BatchNorm2d, BatchNormConfig, Mode, VarMap};
use npair_testkit::{inputs, threads};
use npair_types::Streams;
use support::{Planes, bits, check_gradients, values, varmap};

const CHANNELS: usize = 3;

fn train() -> Mode {
    Mode::train(Streams::new(1), 0)
}

/// A layer whose parameters and buffers are not the first ones.
fn layer(config: BatchNormConfig, dtype: DType) -> (BatchNorm2d, VarMap) {
    let varmap = varmap(dtype);
    let layer = BatchNorm2d::new(&varmap.root(), CHANNELS, config).unwrap();
    for (seed, (name, var)) in varmap.trainable().into_iter().chain(varmap.buffers()).enumerate() {
        let value = inputs::normal(seed as u64, 0.3, CHANNELS, dtype).unwrap();
        let value = if name.ends_with("bias") || name.ends_with("mean") {
            value
        } else {
            (value.abs().unwrap() + 0.5).unwrap()
        };
        var.set(&value).unwrap();
    }
    (layer, varmap)
}

fn x(dtype: DType) -> Tensor {
    (inputs::normal(9, 2., (4, CHANNELS, 5, 3), dtype).unwrap() + 1.5).unwrap()
}

fn get(varmap: &VarMap, name: &str) -> Vec<f64> {
    values(&varmap.tensors().unwrap()[name])
}

/// Mean and variance (divided by n) of each channel, in two plain passes.
fn moments(x: &Tensor) -> Vec<(f64, f64)> {
    let (count, x) = ((x.elem_count() / CHANNELS) as f64, x.transpose(0, 1).unwrap().flatten_from(1).unwrap());
    x.to_dtype(DType::F64)
        .unwrap()
        .to_vec2::<f64>()
        .unwrap()
        .iter()
        .map(|row| {
            let mean = row.iter().sum::<f64>() / count;
            (mean, row.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count)
        })
        .collect()
}

/// The formula, channel by channel.
fn formula(x: &Tensor, moments: &[(f64, f64)], varmap: &VarMap) -> Vec<f64> {
    let (weight, bias) = (get(varmap, "weight"), get(varmap, "bias"));
    let pixels = x.dim(2).unwrap() * x.dim(3).unwrap();
    let value = |(at, v): (usize, f64)| {
        let c = at / pixels % CHANNELS;
        (v - moments[c].0) / (moments[c].1 + 1e-5).sqrt() * weight[c] + bias[c]
    };
    values(x).into_iter().enumerate().map(value).collect()
}

fn close(got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len());
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() <= tolerance, "{g}, not {w}");
    }
}

#[test]
fn training_uses_the_batch_and_moves_the_running_statistics() {
    for (dtype, unit) in [(DType::F64, f64::EPSILON), (DType::F32, f64::from(f32::EPSILON))] {
        {
            let (layer, varmap) = layer(BatchNormConfig::default(), dtype);
            let x = x(dtype);
            let (n, batch) = (60., moments(&x));
            let (mean, variance) = (get(&varmap, "running_mean"), get(&varmap, "running_var"));
            let out = layer.planes(&x, &train()).unwrap();
            // Values up to about 10 in a sum of 60, normalized by about 2: some tens of roundings.
            close(&values(&out), &formula(&x, &batch, &varmap), 64. * unit);
            let moved = |old: &[f64], new: &dyn Fn(usize) -> f64| -> Vec<f64> {
                old.iter().enumerate().map(|(c, o)| 0.9 * o + 0.1 * new(c)).collect()
            };
            close(&get(&varmap, "running_mean"), &moved(&mean, &|c| batch[c].0), 8. * unit);
            close(&get(&varmap, "running_var"), &moved(&variance, &|c| batch[c].1 * n / (n - 1.)), 16. * unit);
        }
    }
}

#[test]
fn evaluation_and_frozen_training_use_the_running_statistics_and_leave_them() {
    for (frozen, mode) in [(false, Mode::Eval), (true, Mode::Eval), (true, train())] {
        let (layer, varmap) = layer(BatchNormConfig { frozen, ..Default::default() }, DType::F64);
        let (mean, variance) = (get(&varmap, "running_mean"), get(&varmap, "running_var"));
        let out = layer.planes(&x(DType::F64), &mode).unwrap();
        let given: Vec<_> = mean.iter().copied().zip(variance.iter().copied()).collect();
        close(&values(&out), &formula(&x(DType::F64), &given, &varmap), 64. * f64::EPSILON);
        assert_eq!((get(&varmap, "running_mean"), get(&varmap, "running_var")), (mean, variance));
    }
}

#[test]
fn central_differences() {
    for frozen in [false, true] {
        for mode in [train(), Mode::Eval] {
            let (layer, varmap) = layer(BatchNormConfig { frozen, ..Default::default() }, DType::F64);
            check_gradients(&layer, &varmap, &x(DType::F64), &mode);
        }
    }
}

#[test]
fn f32_gradients_are_those_of_f64() {
    let run = |dtype: DType| {
        let (layer, varmap) = layer(BatchNormConfig::default(), dtype);
        // The same numbers in both types.
        let x = Var::from_tensor(&x(DType::F32).to_dtype(dtype).unwrap()).unwrap();
        for (_, var) in varmap.trainable() {
            let rounded = var.to_dtype(DType::F32).unwrap().to_dtype(dtype).unwrap();
            var.set(&rounded.copy().unwrap()).unwrap();
        }
        let weights = inputs::normal(3, 1., x.shape(), DType::F32).unwrap().to_dtype(dtype).unwrap();
        let loss = (layer.planes(&x, &train()).unwrap() * weights).unwrap().sum_all().unwrap();
        let grads = loss.backward().unwrap();
        let vars = [x].into_iter().chain(varmap.trainable().into_iter().map(|(_, var)| var));
        vars.map(|var| values(grads.get(&var).unwrap())).collect::<Vec<_>>()
    };
    for (got, want) in run(DType::F32).iter().zip(run(DType::F64)) {
        // Sums of 60 terms of order 1 and less.
        close(got, &want, 60. * f64::from(f32::EPSILON));
    }
}

#[test]
fn a_large_mean_does_not_cancel() {
    // Deviation 1 around 4,096: a naive mean of squares in f32 would have no correct digit of the variance.
    let shift = 4096.;
    let noise = inputs::normal(6, 1., (8, CHANNELS, 40, 40), DType::F32).unwrap();
    let x = (noise + shift).unwrap();
    let (layer, varmap) = layer(BatchNormConfig::default(), DType::F32);
    let out = values(&layer.planes(&x, &train()).unwrap());
    // The input is exact; the result of order 1 comes out of a subtraction that is exact and a few roundings.
    close(&out, &formula(&x, &moments(&x), &varmap), 32. * f64::from(f32::EPSILON));
}

#[test]
fn threads_do_not_change_a_bit() {
    let runs = threads::with_threads(&[1, 2, 3], || {
        let (layer, varmap) = layer(BatchNormConfig::default(), DType::F32);
        let x = Var::from_tensor(&inputs::normal(9, 2., (9, CHANNELS, 41, 30), DType::F32).unwrap()).unwrap();
        let out = layer.planes(&x, &train()).unwrap();
        let grads = out.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let mut all = vec![bits(&out), bits(grads.get(&x).unwrap())];
        all.extend(varmap.trainable().iter().map(|(_, var)| bits(grads.get(var).unwrap())));
        all.extend(varmap.buffers().iter().map(|(_, var)| bits(var)));
        all
    });
    assert!(runs.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn what_does_not_fit_is_said() {
    let (one, _) = layer(BatchNormConfig::default(), DType::F32);
    let single = Tensor::zeros((1, CHANNELS, 1, 1), DType::F32, &Device::Cpu).unwrap();
    let message = one.planes(&single, &train()).unwrap_err().to_string();
    assert!(message.contains("at least two values per channel"), "{message}");
    assert!(one.planes(&single, &Mode::Eval).is_ok());
    let (frozen, _) = layer(BatchNormConfig { frozen: true, ..Default::default() }, DType::F32);
    assert!(frozen.planes(&single, &train()).is_ok());
    let other = Tensor::zeros((2, 4, 2, 2), DType::F32, &Device::Cpu).unwrap();
    assert!(one.planes(&other, &Mode::Eval).unwrap_err().to_string().contains("takes 3 channels"));
    for config in [
        BatchNormConfig { epsilon: 0., ..Default::default() },
        BatchNormConfig { momentum: 1.1, ..Default::default() },
        BatchNormConfig { epsilon: f64::NAN, ..Default::default() },
    ] {
        assert!(BatchNorm2d::new(&varmap(DType::F32).root(), 3, config).is_err());
    }
}
