//! Functions of candle that cut or falsify gradients; docs/candle.md has the story, clippy.toml the same list by path.

use super::{Finding, Tree, behaviour};

const CUTTERS: &[&str] = &[
    // No backward unless windows lie side by side; scaled and misplaced where there is one.
    ".max_pool2d(",
    ".max_pool2d_with_stride(",
    ".avg_pool2d(",
    ".avg_pool2d_with_stride(",
    "Tensor::max_pool2d",
    "Tensor::avg_pool2d",
    // A naive transposed convolution and a whole map as kernel on the way back.
    ".conv2d(",
    "Tensor::conv2d",
    ".conv_transpose2d(",
    // No gradient at all, and no error.
    "candle_nn::LayerNorm",
    "candle_nn::layer_norm",
    "candle_nn::RmsNorm",
    "candle_nn::rms_norm",
    "ops::layer_norm",
    "ops::rms_norm",
    "softmax_last_dim",
    "rotary_emb::rope",
    "rotary_emb::rope_i",
    "rotary_emb::rope_thd",
    "ops::sdpa",
    "candle_nn::BatchNorm",
];

pub fn cutters(tree: &Tree) -> Vec<Finding> {
    let why = "it cuts or falsifies the gradient, or makes it unusably slow (docs/candle.md)";
    behaviour::words(tree, &[], CUTTERS, why, "use the layer of npair-nn")
}
