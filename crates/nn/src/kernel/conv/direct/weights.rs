//! Weights in the order in which the kernel takes them: (block, input channel, tap, output channel of the block).

use crate::kernel::conv::Geometry;

/// For the forward pass.
pub(super) fn forward(g: &Geometry, w: &[f32], block: usize) -> Vec<f32> {
    let taps = g.kernel.0 * g.kernel.1;
    pack(g.outputs, g.inputs, taps, block, |o, i, t| w[(o * g.inputs + i) * taps + t])
}

/// For the input gradient: input and output channels change places, the taps run backwards.
pub(super) fn backward(g: &Geometry, w: &[f32], block: usize) -> Vec<f32> {
    let taps = g.kernel.0 * g.kernel.1;
    pack(g.inputs, g.outputs, taps, block, |i, o, t| w[(o * g.inputs + i) * taps + taps - 1 - t])
}

/// What a ragged last block lacks is 0.
fn pack(to: usize, from: usize, taps: usize, block: usize, w: impl Fn(usize, usize, usize) -> f32) -> Vec<f32> {
    let mut packed = Vec::with_capacity(to.next_multiple_of(block) * from * taps);
    for first in (0..to).step_by(block) {
        for i in 0..from {
            for t in 0..taps {
                packed.extend((first..first + block).map(|o| if o < to { w(o, i, t) } else { 0. }));
            }
        }
    }
    packed
}
