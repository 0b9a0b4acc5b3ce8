use super::*;
use crate::NetPrecision;
use crate::composed::{attention, conv, gate, gem, join, linear, norm, pointwise, pool, response, rows, tokens};

/// Candle's own tensor operations, for CUDA and Metal (and, for tests, for the CPU). No value is read back to the host.
#[derive(Debug, Clone, Copy)]
pub struct Composed;

impl Backend for Composed {
    fn enter(&self, x: &Tensor) -> Result<Tensor> {
        let halves = x.device().is_cuda() && x.dtype() == DType::F32 && NetPrecision::chosen() == NetPrecision::Bf16;
        if halves { x.to_dtype(DType::BF16) } else { Ok(x.clone()) }
    }

    fn add(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        a.add(b)
    }

    fn flush_to_zero(&self, grad: &Tensor) -> Result<Tensor> {
        grad.contiguous()
    }

    fn activate(&self, activation: Activation, x: &Tensor) -> Result<Tensor> {
        pointwise::activate(activation, x)
    }

    fn activate_vjp(&self, activation: Activation, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
        pointwise::activate_vjp(activation, x, grad)
    }

    fn activate_vjp_and_sum(&self, activation: Activation, x: &Tensor, grad: &Tensor) -> Result<(Tensor, Tensor)> {
        pointwise::activate_vjp_and_sum(activation, x, grad)
    }

    fn gelu(&self, x: &Tensor) -> Result<Tensor> {
        pointwise::gelu(x)
    }

    fn gelu_vjp(&self, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
        pointwise::gelu_vjp(x, grad)
    }

    fn softmax(&self, x: &Tensor) -> Result<Tensor> {
        rows::softmax(x)
    }

    fn softmax_vjp(&self, out: &Tensor, grad: &Tensor) -> Result<Tensor> {
        rows::softmax_vjp(out, grad)
    }

    fn sum_rows(&self, x: &Tensor) -> Result<Tensor> {
        linear::bias_gradient(x)
    }

    fn sum_products(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        pointwise::column_products(a, b)
    }

    fn scale_channels(&self, x: &Tensor, factors: &Tensor) -> Result<Tensor> {
        pointwise::scale(x, factors)
    }

    fn scale_images(&self, x: &Tensor, factors: &[f64]) -> Result<Tensor> {
        pointwise::scale_images(x, factors)
    }

    fn gate(&self, x: &Tensor, factors: &Tensor) -> Result<Tensor> {
        gate::forward(x, factors)
    }

    fn gate_factors_vjp(&self, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
        gate::factors_gradient(x, grad)
    }

    fn linear(&self, x: &Tensor, weight: &Tensor, after: Epilogue) -> Result<Tensor> {
        let scaled = after.scale.map(|scale| self.scale_outputs(weight, scale)).transpose()?;
        let out = linear::forward(x, scaled.as_ref().unwrap_or(weight), after.bias)?;
        let out = if let Some(plus) = after.plus { self.add(&out, plus)? } else { out };
        if after.activation == Activation::None { Ok(out) } else { self.activate(after.activation, &out) }
    }

    fn linear_weight_vjp(&self, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
        linear::weight_gradient(x, grad)
    }

    fn linear_input_vjp(&self, weight: &Tensor, grad: &Tensor) -> Result<Tensor> {
        linear::input_gradient(weight, grad)
    }

    fn conv(&self, g: &Geometry, x: &Tensor, weight: &Tensor, after: Epilogue) -> Result<Tensor> {
        conv::forward(g, x, weight, after)
    }

    /// A product has no moments on the way: the norm finds them.
    fn conv_with_moments(
        &self,
        g: &Geometry,
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<(Tensor, Option<Moments>)> {
        Ok((conv::forward(g, x, weight, Epilogue { bias, ..Epilogue::default() })?, None))
    }

    fn conv_weight_vjp(&self, g: &Geometry, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
        conv::weight_gradient(g, x, grad)
    }

    fn conv_input_vjp(&self, g: &Geometry, weight: &Tensor, grad: &Tensor) -> Result<Tensor> {
        conv::input_gradient(g, weight, grad)
    }

    fn scale_outputs(&self, weight: &Tensor, factors: &Tensor) -> Result<Tensor> {
        // One factor for all that follows the first axis, of convolutions and of linear maps.
        let mut shape = vec![1; weight.rank()];
        shape[0] = factors.elem_count();
        weight.detach().broadcast_mul(&factors.detach().reshape(shape)?)
    }

    fn batch_norm(&self, x: &Tensor, norm: &BatchNorm, call: BatchNormCall) -> Result<(Tensor, BatchNormVjp)> {
        norm::batch_norm(x, norm, call)
    }

    fn fold(&self, norm: &BatchNorm, bias: Option<&Tensor>, _: &Tensor) -> Result<(Tensor, Tensor)> {
        norm::fold(norm, bias)
    }

    fn fold_vjp(&self, norm: &BatchNorm, conv: Folded, weight: &Tensor, shift: &Tensor) -> Result<Tensor> {
        norm::fold_vjp(norm, conv, weight, shift)
    }

    fn layer_norm(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        epsilon: f64,
    ) -> Result<(Tensor, Box<dyn LayerNormVjp>)> {
        rows::normalize(x, weight, bias, epsilon)
    }

    fn response_norm(&self, norm: Response, x: &Tensor) -> Result<Tensor> {
        response::forward(norm, x)
    }

    fn response_norm_vjp(&self, norm: Response, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
        response::backward(norm, x, grad)
    }

    fn max_pool(&self, w: &Window, x: &Tensor, wanted: bool) -> Result<(Tensor, Option<Vjp>)> {
        let window = *w;
        let (out, indices) = pool::max(w, x, wanted)?;
        let vjp = |indices: Tensor| -> Vjp { Box::new(move |grad| pool::max_gradient(&window, &indices, grad)) };
        Ok((out, indices.map(vjp)))
    }

    fn mean_pool(&self, w: &Window, count_padding: bool, x: &Tensor, shape: &[usize]) -> Result<Tensor> {
        pool::mean(w, count_padding, x)?.reshape(shape)
    }

    fn mean_pool_vjp(&self, w: &Window, count_padding: bool, grad: &Tensor) -> Result<Tensor> {
        pool::mean_gradient(w, count_padding, grad)
    }

    fn adaptive_pool(&self, pool: &Adaptive, x: &Tensor) -> Result<Tensor> {
        pool::adaptive_mean(pool, x)
    }

    fn adaptive_pool_vjp(&self, pool: &Adaptive, grad: &Tensor) -> Result<Tensor> {
        pool::adaptive_mean_gradient(pool, grad)
    }

    fn gem(&self, _: &str, x: &Tensor, power: &Tensor, epsilon: f64) -> crate::Result<(Tensor, Box<dyn GemVjp>)> {
        // Powers of few bits would be far off.
        let (out, means) = gem::forward(&x.to_dtype(power.dtype())?, power, epsilon)?;
        Ok((out.to_dtype(x.dtype())?, Box::new(means)))
    }

    fn concat(&self, parts: &[&Tensor]) -> Result<Tensor> {
        join::concat(parts)
    }

    fn columns(&self, x: &Tensor, from: usize, width: usize) -> Result<Tensor> {
        join::columns(x, from, width)
    }

    fn transpose(&self, x: &Tensor, extents: (usize, usize), shape: &[usize]) -> Result<Tensor> {
        join::transpose(x, extents, shape)
    }

    fn attention(&self, heads: Heads, qkv: &Tensor) -> Result<(Tensor, Vjp)> {
        let (out, attended) = attention::attend(heads, qkv)?;
        Ok((out, Box::new(move |grad| attended.vjp(grad))))
    }

    fn class_token(&self, grids: Grids, x: &Tensor, class: &Tensor, positions: &Tensor) -> Result<Tensor> {
        tokens::prepend(x, class, positions, grids)
    }

    fn sum_images(&self, grad: &Tensor) -> Result<Tensor> {
        tokens::sum_of_images(grad)
    }

    fn positions_vjp(&self, grids: Grids, sum: &Tensor) -> Result<Tensor> {
        tokens::positions_vjp(sum, grids)
    }

    fn without_first(&self, x: &Tensor) -> Result<Tensor> {
        x.narrow(1, 1, x.dim(1)? - 1)?.contiguous()
    }

    fn first(&self, x: &Tensor) -> Result<Tensor> {
        tokens::first(x)
    }

    fn first_vjp(&self, grad: &Tensor, tokens: usize) -> Result<Tensor> {
        tokens::first_vjp(grad, tokens)
    }
}
