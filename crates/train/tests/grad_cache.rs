//! A batch in pieces has the gradients of the whole batch.
#![allow(clippy::unwrap_used)]

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use npair_backbones::{
    BackboneConfig, ConvNetConfig, EmbeddingNet, EmbeddingNetConfig, Output, ResNetConfig, VitConfig,
};
use npair_losses::{Batch, CrossBatchMemory, Loss, LossContext, NPairMc, ProxyAnchor, WeightedSum};
use npair_nn::{Mode, backward};
use npair_testkit::{inputs, threads};
use npair_train::GradCache;
use npair_types::{Labels, Purpose, Streams};

const BATCH: usize = 6;
const SIZE: u32 = 32;

/// A network with dropout whose batch norm, if any, is frozen.
fn net(backbone: BackboneConfig, dtype: DType, output: Output) -> EmbeddingNet {
    let mut config = EmbeddingNetConfig::new(backbone, 8);
    config.dropout = 0.3;
    config.output = output;
    EmbeddingNet::new(config, Streams::new(3), dtype, &Device::Cpu).unwrap()
}

fn res_net() -> BackboneConfig {
    BackboneConfig::ResNet18(ResNetConfig { size: SIZE.into(), frozen_norms: true, ..Default::default() })
}

/// With stochastic depth.
fn vit() -> BackboneConfig {
    BackboneConfig::VitS16(VitConfig { size: SIZE.into(), drop_path: 0.3, ..Default::default() })
}

fn pixels(dtype: DType) -> Tensor {
    inputs::normal(1, 0.5, (BATCH, 3, SIZE as usize, SIZE as usize), dtype).unwrap()
}

fn labels() -> Labels {
    Labels::new((0..BATCH as u32).map(|row| row / 2)).unwrap()
}

fn batch(embeddings: &Tensor) -> Batch {
    Batch::new(embeddings, &labels()).unwrap()
}

fn mode() -> Mode {
    Mode::train(Streams::new(5), 9)
}

/// Gradients of these variables, added up.
struct Sums {
    vars: Vec<(String, Var)>,
    grads: Vec<Option<Tensor>>,
}

impl Sums {
    fn new(net: &EmbeddingNet, loss: &dyn Loss) -> Self {
        let vars = [net.varmap().trainable(), loss.variables()].concat();
        let grads = vec![None; vars.len()];
        Self { vars, grads }
    }

    fn add(&mut self, grads: &GradStore) {
        for ((_, var), sum) in self.vars.iter().zip(&mut self.grads) {
            let Some(grad) = grads.get(var) else { continue };
            *sum = Some(match sum.take() {
                None => grad.clone(),
                Some(sum) => (sum + grad).unwrap(),
            });
        }
    }

    fn named(&self) -> Vec<(String, Vec<f64>)> {
        let flat = |t: &Tensor| t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        self.vars.iter().zip(&self.grads).map(|((name, _), g)| (name.clone(), flat(g.as_ref().unwrap()))).collect()
    }
}

fn whole(net: &EmbeddingNet, pixels: &Tensor, loss: &dyn Loss, mode: &Mode) -> Vec<(String, Vec<f64>)> {
    let mut sums = Sums::new(net, loss);
    let value = loss.forward(&batch(&net.forward(pixels, mode).unwrap())).unwrap().value;
    sums.add(&backward(&value).unwrap());
    sums.named()
}

fn in_pieces(
    net: &EmbeddingNet,
    pixels: &Tensor,
    loss: &dyn Loss,
    mode: &Mode,
    piece: usize,
) -> Vec<(String, Vec<f64>)> {
    let mut sums = Sums::new(net, loss);
    let of = |rows: std::ops::Range<usize>| Ok(pixels.narrow(0, rows.start, rows.len())?);
    let take = |embeddings: &Tensor| Ok((loss.forward(&batch(embeddings))?.value, ()));
    GradCache::new(piece)
        .unwrap()
        .gradients(net, (mode, BATCH), of, take, |grads| {
            sums.add(grads);
            Ok(())
        })
        .unwrap();
    sums.named()
}

/// The largest relative distance between the gradients of a variable.
fn apart(a: &[(String, Vec<f64>)], b: &[(String, Vec<f64>)]) -> f64 {
    let norm = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
    let each = a.iter().zip(b).map(|((name, a), (other, b))| {
        assert_eq!(name, other);
        let difference: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        norm(&difference) / norm(a)
    });
    each.fold(0., f64::max)
}

#[test]
fn gradients_are_those_of_the_whole_batch() {
    // Rounding alone: sums in another order.
    for (dtype, tolerance) in [(DType::F64, 1e-13), (DType::F32, 1e-6)] {
        let pixels = pixels(dtype);
        let networks = [(res_net(), Output::UnitLength, &[1, 4, 100][..]), (vit(), Output::Raw, &[4])];
        for (backbone, output, pieces) in networks {
            let net = net(backbone, dtype, output);
            let rng = &mut Streams::new(2).open(Purpose::Initialization, [0, 0]);
            let classes = labels().classes();
            let mut context =
                LossContext { classes: &classes, sizes: &[], sets: None, width: 8, rng, dtype, device: &Device::Cpu };
            let proxies = ProxyAnchor::new(&mut context).unwrap();
            let sum = WeightedSum::new().and("n-pair", 1., NPairMc).unwrap();
            let sum = sum.and("proxy", 0.1, proxies.with_alpha(4.).unwrap()).unwrap();
            let want = whole(&net, &pixels, &sum, &mode());
            for &piece in pieces {
                let relative = apart(&want, &in_pieces(&net, &pixels, &sum, &mode(), piece));
                assert!(relative < tolerance, "{backbone:?}, {dtype:?}, pieces of {piece}: {relative:e}");
            }
        }
    }
}

#[test]
fn dropout_is_replayed() {
    let (net, pixels) = (net(vit(), DType::F64, Output::Raw), pixels(DType::F64));
    let want = whole(&net, &pixels, &NPairMc, &mode());
    // Another pass drops something else, so the test above would have seen masks that are not the whole batch's.
    let other = whole(&net, &pixels, &NPairMc, &Mode::train(Streams::new(5), 10));
    assert!(apart(&want, &other) > 1e-2);
    let embeddings = net.forward(&pixels, &mode()).unwrap();
    for rows in GradCache::new(4).unwrap().pieces(BATCH) {
        let some = pixels.narrow(0, rows.start, rows.len()).unwrap();
        let piece = mode().from_row(rows.start);
        let bits = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let of_whole = bits(&embeddings.narrow(0, rows.start, rows.len()).unwrap());
        for (a, b) in of_whole.iter().zip(bits(&net.forward(&some, &piece).unwrap())) {
            assert!((a - b).abs() < 1e-13, "{rows:?}: {a} {b}");
        }
        // Both parts of GradCache see the same, to the bit.
        assert_eq!(bits(&net.forward_no_grad(&some, &piece).unwrap()), bits(&net.forward(&some, &piece).unwrap()));
    }
}

#[test]
fn batch_norm_sees_pieces_and_moves_once_for_each() {
    let backbone = BackboneConfig::ConvNet(ConvNetConfig { channels: 3, size: SIZE.into(), width: 6, blocks: 2 });
    let [cached, plain] = [(); 2].map(|()| net(backbone, DType::F32, Output::Raw));
    let pixels = pixels(DType::F32);
    let buffers = |net: &EmbeddingNet| -> Vec<Vec<f32>> {
        net.varmap().buffers().iter().map(|(_, var)| var.flatten_all().unwrap().to_vec1().unwrap()).collect()
    };
    let first = buffers(&cached);
    let of = |rows: std::ops::Range<usize>| Ok(pixels.narrow(0, rows.start, rows.len())?);

    let take = |embeddings: &Tensor| Ok((NPairMc.forward(&batch(embeddings))?.value, ()));
    GradCache::new(3).unwrap().gradients(&cached, (&mode(), BATCH), of, take, |_| Ok(())).unwrap();
    // As two small batches move them.
    for rows in [0, 3] {
        plain.forward(&pixels.narrow(0, rows, 3).unwrap(), &mode()).unwrap();
    }
    assert!(first != buffers(&cached));
    assert!(buffers(&plain) == buffers(&cached));
}

#[test]
fn with_a_memory_too_and_on_any_number_of_threads() {
    let (net, pixels) = (net(vit(), DType::F32, Output::Raw), pixels(DType::F32));
    let filled = || {
        let mut memory = CrossBatchMemory::new(40, 0).unwrap();
        memory.remember(&inputs::normal(7, 1., (40, 8), DType::F32).unwrap(), &Labels::new(3..43).unwrap()).unwrap();
        memory
    };
    let run = |piece: Option<usize>| {
        let (mut memory, mut sums) = (filled(), Sums::new(&net, &NPairMc));
        match piece {
            None => {
                let value = memory.forward(&NPairMc, &net.forward(&pixels, &mode()).unwrap(), &labels()).unwrap();
                sums.add(&backward(&value.value).unwrap());
            }
            Some(piece) => {
                let of = |rows: std::ops::Range<usize>| Ok(pixels.narrow(0, rows.start, rows.len())?);
                let take = |embeddings: &Tensor| Ok((memory.forward(&NPairMc, embeddings, &labels())?.value, ()));
                let cache = GradCache::new(piece).unwrap();
                let add = |grads: &GradStore| {
                    sums.add(grads);
                    Ok(())
                };
                cache.gradients(&net, (&mode(), BATCH), of, take, add).unwrap();
            }
        }
        assert_eq!(memory.labels().len(), 40);
        sums.named()
    };
    let relative = apart(&run(None), &run(Some(4)));
    assert!(relative < 1e-6, "{relative:e}");
    let all = threads::with_threads(&[1, 2], || run(Some(4)));
    assert!(all[0] == all[1]);
}
