//! Convolution by its definition.

use npair_nn::Conv2dConfig;

pub struct Naive<'a> {
    pub batch: usize,
    pub inputs: usize,
    pub outputs: usize,
    pub image: (usize, usize),
    pub map: (usize, usize),
    pub config: &'a Conv2dConfig,
}

impl Naive<'_> {
    /// Calls `f(output index, input index, weight index)` for every product of the definition.
    pub fn terms(&self, mut f: impl FnMut(usize, usize, usize)) {
        let c = self.config;
        let (gi, go) = (self.inputs / c.groups, self.outputs / c.groups);
        for b in 0..self.batch {
            for o in 0..self.outputs {
                for i in 0..gi {
                    for (y, x) in grid(self.map) {
                        for (ky, kx) in grid(c.kernel) {
                            let row = (y * c.stride.0 + ky * c.dilation.0).wrapping_sub(c.padding.0);
                            let column = (x * c.stride.1 + kx * c.dilation.1).wrapping_sub(c.padding.1);
                            if row < self.image.0 && column < self.image.1 {
                                let channel = b * self.inputs + o / go * gi + i;
                                f(
                                    ((b * self.outputs + o) * self.map.0 + y) * self.map.1 + x,
                                    (channel * self.image.0 + row) * self.image.1 + column,
                                    ((o * gi + i) * c.kernel.0 + ky) * c.kernel.1 + kx,
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

fn grid((rows, columns): (usize, usize)) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).flat_map(move |y| (0..columns).map(move |x| (y, x)))
}
