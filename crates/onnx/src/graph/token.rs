//! Layers over tokens, (T, C) behind the batch, and over features, (C).

use super::{Graph, Value, ints, wrong};
use crate::Result;
use crate::proto::Attribute;
use candle_core::{DType, Device, Tensor};
use npair_nn::{ClassToken, Layer, Mode, PositionEmbedding, VarMap};
use npair_types::Streams;
use std::collections::HashMap;

impl Graph {
    /// A linear layer: `NAME.weight` (O, I) and `NAME.bias`, which one of features may lack.
    pub(crate) fn linear(&mut self, x: &Value, name: &str) -> Result<Value> {
        let inputs = x.dims.last().copied().unwrap_or(0);
        let weight = self.take(&format!("{name}.weight"))?;
        let &[outputs, wanted] = weight.dims() else {
            return Err(wrong(&self.full(name), weight.dims(), "a linear layer has (outputs, inputs)"));
        };
        if wanted != inputs {
            return Err(wrong(&self.full(name), weight.dims(), format!("{inputs} features come in")));
        }
        let is_bare = x.dims.len() == 1 && !self.has(&format!("{name}.bias"));
        let bias = if is_bare { None } else { Some(self.row(&format!("{name}.bias"), outputs)?) };
        let mut dims = x.dims.clone();
        dims.pop();
        dims.push(outputs);
        if x.dims.len() == 1 {
            let weight = self.keep(self.full(&format!("{name}.weight")), &weight)?.name;
            let attributes = vec![("transB", Attribute::Int(1))];
            let inputs: Vec<&str> = [&x.name, &weight].into_iter().chain(&bias).map(String::as_str).collect();
            return Ok(self.layer(name, "Gemm", &inputs, attributes, dims));
        }
        // Gemm takes matrices alone, and MatMul no transposed one.
        let weight = self.keep(self.full(&format!("{name}.weight.transposed")), &weight.t()?.contiguous()?)?.name;
        let product = self.op("MatMul", &[&x.name, &weight], vec![], dims.clone());
        Ok(self.layer(name, "Add", &[&product.name, &bias.unwrap_or_default()], vec![], dims))
    }

    /// A layer norm over the last axis.
    pub(crate) fn layer_norm(&mut self, x: &Value, name: &str, epsilon: f64) -> Result<Value> {
        let width = x.dims.last().copied().unwrap_or(0);
        let weight = self.row(&format!("{name}.weight"), width)?;
        let bias = self.row(&format!("{name}.bias"), width)?;
        let attributes = vec![("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(epsilon as f32))];
        Ok(self.layer(name, "LayerNormalization", &[&x.name, &weight, &bias], attributes, x.dims.clone()))
    }

    /// The last axis times the factors `NAME.gamma`.
    pub(crate) fn layer_scale(&mut self, x: &Value, name: &str) -> Result<Value> {
        let gamma = if name.is_empty() { "gamma".to_owned() } else { format!("{name}.gamma") };
        let factors = self.row(&gamma, x.dims.last().copied().unwrap_or(0))?;
        Ok(self.op("Mul", &[&x.name, &factors], vec![], x.dims.clone()))
    }

    /// Axes in another order, that of the batch staying first: `order` counts the others from 1.
    fn transpose(&mut self, x: &Value, order: &[usize]) -> Value {
        let dims = order.iter().map(|&axis| x.dims[axis - 1]).collect();
        let order = std::iter::once(0).chain(order.iter().copied());
        self.op("Transpose", &[&x.name], vec![("perm", ints(order))], dims)
    }

    /// (C, H, W) to (H, W, C).
    pub(crate) fn channels_last(&mut self, x: &Value) -> Result<Value> {
        x.image()?;
        Ok(self.transpose(x, &[2, 3, 1]))
    }

    /// (H, W, C) to (C, H, W).
    pub(crate) fn channels_first(&mut self, x: &Value) -> Result<Value> {
        x.image()?;
        Ok(self.transpose(x, &[3, 1, 2]))
    }

    /// Another shape behind the batch.
    fn reshape(&mut self, x: &Value, dims: &[usize]) -> Value {
        // 0 leaves an extent as it is.
        let shape: Vec<i64> = std::iter::once(0).chain(dims.iter().map(|&dim| dim as i64)).collect();
        let shape = self.ints(&shape);
        self.op("Reshape", &[&x.name, &shape], vec![], dims.to_vec())
    }

    /// The pixels of an image as tokens, row by row.
    pub(crate) fn pixels_as_tokens(&mut self, x: &Value) -> Result<Value> {
        let [channels, height, width] = x.image()?;
        let rows = self.reshape(x, &[channels, height * width]);
        Ok(self.transpose(&rows, &[2, 1]))
    }

    /// As [`npair_nn::ClassToken`]: `cls_token` before the tokens, `grid` patches, and `pos_embed` added, of which the part of the patches is for
    /// `stored` x `stored` of them.
    ///
    /// The network's own layer makes the table that is added, once, from tokens of zeros: the class token with its position, and
    /// behind it the positions interpolated to the image's grid.
    pub(crate) fn class_token(&mut self, x: &Value, grid: [usize; 2]) -> Result<Value> {
        let [tokens, width] = x.tokens()?;
        let (class, positions) = (self.take("cls_token")?, self.take("pos_embed")?);
        let stored = positions.dims().get(1).map_or(0, |count| count.saturating_sub(1)).isqrt();
        let varmap = VarMap::new(Streams::new(0), positions.dtype(), &Device::Cpu);
        let layer = ClassToken::new(&varmap.root(), width, grid, stored)?;
        let table = table(&varmap, &layer, [tokens, width], [("cls_token", class), ("pos_embed", positions)])?;
        let table = self.keep(self.full(&format!("pos_embed.{}x{}", grid[0], grid[1])), &table)?.name;
        // One token of zeros more, for the class token to be added to: that needs no batch to be known.
        let pads = self.ints(&[0, 1, 0, 0, 0, 0]);
        let dims = vec![tokens + 1, width];
        let padded = self.op("Pad", &[&x.name, &pads], vec![], dims.clone());
        Ok(self.op("Add", &[&padded.name, &table], vec![], dims))
    }

    /// As [`npair_nn::PositionEmbedding`]: `pos_embed` added, interpolated as [`Self::class_token`] does it.
    pub(crate) fn positions(&mut self, x: &Value, grid: [usize; 2]) -> Result<Value> {
        let [tokens, width] = x.tokens()?;
        let positions = self.take("pos_embed")?;
        let stored = positions.dims().get(1).copied().unwrap_or(0).isqrt();
        let varmap = VarMap::new(Streams::new(0), positions.dtype(), &Device::Cpu);
        let layer = PositionEmbedding::new(&varmap.root(), width, grid, stored)?;
        let table = table(&varmap, &layer, [tokens, width], [("pos_embed", positions)])?;
        let table = self.keep(self.full(&format!("pos_embed.{}x{}", grid[0], grid[1])), &table)?.name;
        Ok(self.op("Add", &[&x.name, &table], vec![], x.dims.clone()))
    }

    /// The first token.
    pub(crate) fn first_token(&mut self, x: &Value) -> Result<Value> {
        let [_, width] = x.tokens()?;
        let first = self.int(0);
        Ok(self.op("Gather", &[&x.name, &first], vec![("axis", Attribute::Int(1))], vec![width]))
    }

    /// Multi-head self-attention: `NAME.qkv` and `NAME.proj`.
    pub(crate) fn attention(&mut self, x: &Value, name: &str, heads: usize) -> Result<Value> {
        let qkv = self.linear(x, &format!("{name}.qkv"))?;
        let [queries, keys, values] = self.parts(&qkv)?;
        let mixed = self.attend(&queries, &keys, &values, heads)?;
        self.linear(&mixed, &format!("{name}.proj"))
    }

    /// Multi-head attention pooling, as [`npair_nn::AttentionPool`]: `NAME.latent`, `NAME.q`, `NAME.kv` and `NAME.proj`.
    pub(crate) fn attention_pool(&mut self, x: &Value, name: &str, heads: usize) -> Result<Value> {
        let latent = self.weight(&format!("{name}.latent"))?;
        // A batch of one, which meets one of any size.
        let latent = Value { dims: latent.dims.get(1..).unwrap_or(&[]).to_vec(), ..latent };
        let query = self.linear(&latent, &format!("{name}.q"))?;
        let keys_and_values = self.linear(x, &format!("{name}.kv"))?;
        let [keys, values] = self.parts(&keys_and_values)?;
        let mixed = self.attend(&query, &keys, &values, heads)?;
        let found = self.first_token(&mixed)?;
        self.linear(&found, &format!("{name}.proj"))
    }

    /// Tokens cut into N of equal width.
    fn parts<const N: usize>(&mut self, x: &Value) -> Result<[Value; N]> {
        let [tokens, width] = x.tokens()?;
        let part = width / N;
        let lengths = self.ints(&[part as i64; N]);
        let name = self.fresh("split");
        let names: [String; N] = std::array::from_fn(|at| format!("{name}_{at}"));
        self.push(name, "Split", &[&x.name, &lengths], vec![("axis", Attribute::Int(2))], names.to_vec());
        Ok(names.map(|name| Value { name, dims: vec![tokens, part] }))
    }

    /// `softmax(q k^T / sqrt(D)) v`, head by head.
    fn attend(&mut self, queries: &Value, keys: &Value, values: &Value, heads: usize) -> Result<Value> {
        let ([asking, channels], [tokens, _]) = (queries.tokens()?, keys.tokens()?);
        if heads == 0 || !channels.is_multiple_of(heads) {
            return Err(queries.wrong(format!("{heads} heads have to divide the channels")));
        }
        let width = channels / heads;
        let mut split = |x: &Value, tokens, order: &[usize]| {
            let by_head = self.reshape(x, &[tokens, heads, width]);
            self.transpose(&by_head, order)
        };
        let queries = split(queries, asking, &[2, 1, 3]);
        let keys = split(keys, tokens, &[2, 3, 1]);
        let values = split(values, tokens, &[2, 1, 3]);
        let queries = self.with("Mul", &queries, (width as f64).sqrt().recip());
        let scores = vec![heads, asking, tokens];
        let products = self.op("MatMul", &[&queries.name, &keys.name], vec![], scores.clone());
        let shares = self.op("Softmax", &[&products.name], vec![("axis", Attribute::Int(-1))], scores);
        let mixed = self.op("MatMul", &[&shares.name, &values.name], vec![], vec![heads, asking, width]);
        let by_token = self.transpose(&mixed, &[2, 1, 3]);
        Ok(self.reshape(&by_token, &[asking, channels]))
    }
}

/// What a layer with these parameters makes of tokens of zeros.
fn table<const N: usize>(
    varmap: &VarMap,
    layer: &impl Layer,
    [tokens, width]: [usize; 2],
    parameters: [(&str, Tensor); N],
) -> Result<Tensor> {
    let parameters =
        parameters.into_iter().map(|(name, tensor)| Ok((name.to_owned(), tensor.to_device(&Device::Cpu)?)));
    varmap.load(&parameters.collect::<Result<HashMap<_, _>>>()?)?;
    let zeros = Tensor::zeros((1, tokens, width), varmap.dtype(), &Device::Cpu)?;
    Ok(layer.forward_no_grad(&zeros, &Mode::Eval)?.to_dtype(DType::F32)?)
}
