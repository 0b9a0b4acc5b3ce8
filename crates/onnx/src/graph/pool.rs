//! Pools over images.

use super::{Graph, Value, ints};
use crate::weights::floats;
use crate::{Error, Result};
use npair_nn::PoolConfig;

/// What lies before and behind an extent, and the number of windows; none if no window fits. Rounding up is written as more
/// padding behind: runtimes do not agree on what their flag for it means where the last window begins in the padding.
fn along(extent: usize, kernel: usize, stride: usize, padding: usize, ceil: bool) -> Option<([usize; 2], usize)> {
    let over = if ceil { stride - 1 } else { 0 };
    let mut count = (extent + 2 * padding + over).checked_sub(kernel)? / stride + 1;
    if ceil && (count - 1) * stride >= extent + padding {
        count -= 1;
    }
    let behind = ((count - 1) * stride + kernel).saturating_sub(extent + padding);
    Some(([padding, behind], count))
}

impl Graph {
    /// Largest values of windows.
    pub(crate) fn max_pool(&mut self, x: &Value, config: PoolConfig) -> Result<Value> {
        self.windows("MaxPool", x, config)
    }

    /// Means of windows that lie within the image.
    pub(crate) fn mean_pool(&mut self, x: &Value, config: PoolConfig) -> Result<Value> {
        self.windows("AveragePool", x, config)
    }

    fn windows(&mut self, op: &'static str, x: &Value, config: PoolConfig) -> Result<Value> {
        let [channels, height, width] = x.image()?;
        let PoolConfig { kernel, stride, padding, ceil } = config;
        let down = along(height, kernel.0, stride.0, padding.0, ceil);
        let across = along(width, kernel.1, stride.1, padding.1, ceil);
        let (Some(([top, bottom], rows)), Some(([left, right], columns))) = (down, across) else {
            return Err(x.wrong(format!("a window of {} x {} has to fit in", kernel.0, kernel.1)));
        };
        let attributes = vec![
            ("kernel_shape", ints([kernel.0, kernel.1])),
            ("strides", ints([stride.0, stride.1])),
            ("pads", ints([top, left, bottom, right])),
        ];
        Ok(self.op(op, &[&x.name], attributes, vec![channels, rows, columns]))
    }

    /// An image with zeros behind its channels, rows and columns, up to these extents.
    pub(crate) fn with_zeros_behind(&mut self, x: &Value, dims: [usize; 3]) -> Result<Value> {
        let own = x.image()?;
        if own == dims {
            return Ok(x.clone());
        }
        let behind = [0, 1, 2].map(|axis| dims[axis].saturating_sub(own[axis]) as i64);
        let pads = self.ints(&[0, 0, 0, 0, 0, behind[0], behind[1], behind[2]]);
        Ok(self.op("Pad", &[&x.name, &pads], vec![], dims.to_vec()))
    }

    /// The mean of every channel as an image of one pixel.
    pub(crate) fn mean_pixel(&mut self, x: &Value) -> Result<Value> {
        let [channels, ..] = x.image()?;
        Ok(self.op("GlobalAveragePool", &[&x.name], vec![], vec![channels, 1, 1]))
    }

    /// The mean of every channel as features.
    pub(crate) fn mean(&mut self, x: &Value) -> Result<Value> {
        let pixel = self.mean_pixel(x)?;
        Ok(self.flatten(&pixel))
    }

    /// The generalized mean of every channel with the exponent `NAME.p`, as [`npair_nn::GemPool`] takes it: powers are relative to
    /// the largest value and cannot overflow.
    pub(crate) fn generalized_mean(&mut self, x: &Value, name: &str, least: f64) -> Result<Value> {
        let [channels, ..] = x.image()?;
        let (pixel, exponent) = (vec![channels, 1, 1], self.take(&format!("{name}.p"))?);
        match floats(&exponent)?[..] {
            [got] if got > 0. && got.is_finite() => {}
            [got] => return Err(Error::Exponent { name: self.full(&format!("{name}.p")), got }),
            _ => return Err(super::wrong(&self.full(name), exponent.dims(), "[1] is needed")),
        }
        let exponent = self.keep(self.full(&format!("{name}.p")), &exponent)?.name;
        let least = self.float(least);
        let lifted = self.op("Max", &[&x.name, &least], vec![], x.dims.clone());
        let most = self.op("ReduceMax", &[&lifted.name], vec![("axes", ints([2, 3]))], pixel.clone());
        let relative = self.op("Div", &[&lifted.name, &most.name], vec![], x.dims.clone());
        let powers = self.op("Pow", &[&relative.name, &exponent], vec![], x.dims.clone());
        let mean = self.mean_pixel(&powers)?;
        let inverse = self.op("Reciprocal", &[&exponent], vec![], vec![]);
        let root = self.op("Pow", &[&mean.name, &inverse.name], vec![], pixel.clone());
        let made = self.op("Mul", &[&root.name, &most.name], vec![], pixel);
        Ok(self.flatten(&made))
    }
}

#[cfg(test)]
mod tests {
    use super::along;
    use candle_core::{DType, Device, Tensor};
    use npair_nn::{Layer, MaxPool2d, Mode, PoolConfig};

    #[test]
    fn windows_are_those_of_our_pools() {
        // Rounding down, what hangs over is dropped; rounding up, it is padded.
        assert_eq!(along(5, 2, 2, 0, false), Some(([0, 0], 2)));
        assert_eq!(along(5, 2, 2, 0, true), Some(([0, 1], 3)));
        assert_eq!(along(16, 3, 2, 0, true), Some(([0, 1], 8)));
        assert_eq!(along(7, 3, 1, 1, true), Some(([1, 1], 7)));
        assert_eq!(along(112, 3, 2, 1, false), Some(([1, 0], 56)));
        // A last window that would begin in the padding behind is none.
        assert_eq!(along(3, 2, 2, 1, true), Some(([1, 0], 2)));
        assert_eq!(along(2, 3, 2, 0, true), Some(([0, 1], 1)));
        assert_eq!(along(1, 3, 2, 0, true), None);
    }

    #[test]
    fn as_many_windows_as_our_pools_make_and_no_padding_of_a_whole_one() {
        for at in 0..9 * 3 * 3 * 2 * 2 {
            let (extent, kernel, stride) = (1 + at % 9, 1 + at / 9 % 3, 1 + at / 27 % 3);
            let (padding, ceil) = (at / 81 % 2, at / 162 == 1);
            if padding > kernel / 2 {
                continue;
            }
            let config = PoolConfig { ceil, ..PoolConfig::square(kernel).stride(stride).padding(padding) };
            let image = Tensor::zeros((1, extent, extent, 1), DType::F32, &Device::Cpu).unwrap();
            let made = MaxPool2d::new(config).unwrap().forward_no_grad(&image, &Mode::Eval);
            let got = along(extent, kernel, stride, padding, ceil);
            assert_eq!(got.map(|(_, count)| count), made.ok().map(|map| map.dims()[1]), "{extent}, {config:?}");
            let Some(([before, behind], count)) = got else { continue };
            // What a runtime counts, which rounds down.
            assert_eq!((extent + before + behind - kernel) / stride + 1, count, "{extent}, {config:?}");
            assert!(behind < kernel, "{extent}, {config:?}");
        }
    }
}
