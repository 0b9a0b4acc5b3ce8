//! Layers over images: (C, H, W) behind the batch.

use super::{Graph, Value, ints, wrong};
use crate::Result;
use crate::proto::Attribute;
use npair_nn::Activation;

/// How a kernel goes over an image; its extents and groups are seen in the weights.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// None for that of the kernel: windows side by side.
    stride: Option<usize>,
    padding: Padding,
}

/// Zeros around an image.
#[derive(Debug, Clone, Copy)]
enum Padding {
    None,
    /// Half a kernel on every side.
    Half,
    /// As many as make `ceil(extent / stride)` outputs, an odd one right and below: TensorFlow's.
    Same,
}

impl Step {
    /// Pixel by pixel, no zeros.
    pub(crate) const ONE: Self = Self::bare(1);

    /// With half a kernel of zeros on every side.
    pub(crate) const fn half(stride: usize) -> Self {
        Self { stride: Some(stride), padding: Padding::Half }
    }

    /// With TensorFlow's zeros.
    pub(crate) const fn same(stride: usize) -> Self {
        Self { stride: Some(stride), padding: Padding::Same }
    }

    /// Without zeros.
    pub(crate) const fn bare(stride: usize) -> Self {
        Self { stride: Some(stride), padding: Padding::None }
    }

    /// Windows side by side, no zeros.
    pub(crate) const PATCHES: Self = Self { stride: None, padding: Padding::None };

    /// Zeros before and behind an extent, and outputs; none if the kernel does not fit.
    fn along(self, extent: usize, kernel: usize) -> Option<([usize; 2], usize)> {
        let stride = self.stride.unwrap_or(kernel);
        let pads = match self.padding {
            Padding::None => [0, 0],
            Padding::Half => [kernel / 2, kernel / 2],
            Padding::Same => {
                let reach = (extent.div_ceil(stride).checked_sub(1)?) * stride + kernel;
                let all = reach.saturating_sub(extent);
                [all / 2, all - all / 2]
            }
        };
        let room = (extent + pads[0] + pads[1]).checked_sub(kernel)?;
        Some((pads, room / stride + 1))
    }
}

impl Graph {
    /// A convolution with the weights `NAME.weight` and, if there is one, `NAME.bias`.
    pub(crate) fn conv(&mut self, x: &Value, name: &str, step: Step) -> Result<Value> {
        let [channels, height, width] = x.image()?;
        let biased = self.has(&format!("{name}.bias"));
        let weight = self.weight(&format!("{name}.weight"))?;
        let &[outputs, inputs, tall, wide] = weight.dims() else {
            return Err(weight.wrong("a convolution has (outputs, inputs, height, width)"));
        };
        if inputs == 0 || !channels.is_multiple_of(inputs) {
            return Err(weight.wrong(format!("the image has {channels} channels")));
        }
        let (down, across) = (step.along(height, tall), step.along(width, wide));
        let (Some(([top, bottom], rows)), Some(([left, right], columns))) = (down, across) else {
            return Err(wrong(&weight.name, x.dims(), format!("a kernel of {tall} x {wide} has to fit in")));
        };
        let mut names = vec![x.name.clone(), weight.name];
        if biased {
            names.push(self.row(&format!("{name}.bias"), outputs)?);
        }
        let attributes = vec![
            ("kernel_shape", ints([tall, wide])),
            ("strides", ints([step.stride.unwrap_or(tall), step.stride.unwrap_or(wide)])),
            ("pads", ints([top, left, bottom, right])),
            ("group", Attribute::Int((channels / inputs) as i64)),
        ];
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Ok(self.layer(name, "Conv", &names, attributes, vec![outputs, rows, columns]))
    }

    /// A batch norm with its running statistics.
    pub(crate) fn batch_norm(&mut self, x: &Value, name: &str, epsilon: f64) -> Result<Value> {
        let [channels, ..] = x.image()?;
        let mut names = vec![x.name.clone()];
        for part in ["weight", "bias", "running_mean", "running_var"] {
            names.push(self.row(&format!("{name}.{part}"), channels)?);
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let epsilon = vec![("epsilon", Attribute::Float(epsilon as f32))];
        Ok(self.layer(name, "BatchNormalization", &names, epsilon, x.dims.clone()))
    }

    /// Convolution, batch norm, activation, as [`npair_nn::ConvUnit`] has them.
    pub(crate) fn unit(
        &mut self,
        x: &Value,
        [conv, norm]: [&str; 2],
        step: Step,
        epsilon: f64,
        activation: Activation,
    ) -> Result<Value> {
        let map = self.conv(x, conv, step)?;
        let normed = self.batch_norm(&map, norm, epsilon)?;
        Ok(self.activation(&normed, activation))
    }

    /// Local response normalization over `size` channels.
    pub(crate) fn response_norm(&mut self, x: &Value, size: usize, alpha: f64, beta: f64) -> Value {
        let attributes = vec![
            ("size", Attribute::Int(size as i64)),
            ("alpha", Attribute::Float(alpha as f32)),
            ("beta", Attribute::Float(beta as f32)),
            ("bias", Attribute::Float(1.)),
        ];
        self.op("LRN", &[&x.name], attributes, x.dims.clone())
    }

    /// Every channel times a factor and plus a shift, of which there are as many as channels.
    pub(crate) fn affine(&mut self, x: &Value, scale: &[f64], shift: &[f64]) -> Result<Value> {
        let [channels, ..] = x.image()?;
        if [scale.len(), shift.len()] != [channels; 2] {
            return Err(x.wrong(format!("{} factors and {} shifts are for it", scale.len(), shift.len())));
        }
        let scale = self.channels("scale", scale);
        let scaled = self.op("Mul", &[&x.name, &scale], vec![], x.dims.clone());
        let shift = self.channels("shift", shift);
        Ok(self.op("Add", &[&scaled.name, &shift], vec![], x.dims.clone()))
    }

    /// Images one behind the other along their channels.
    pub(crate) fn concat(&mut self, parts: &[Value]) -> Result<Value> {
        let mut dims = [0, 0, 0];
        for part in parts {
            let [channels, height, width] = part.image()?;
            if dims[0] > 0 && [height, width] != dims[1..] {
                return Err(part.wrong(format!("it lies beside images of {} x {}", dims[1], dims[2])));
            }
            dims = [dims[0] + channels, height, width];
        }
        let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        Ok(self.op("Concat", &names, vec![("axis", Attribute::Int(1))], dims.to_vec()))
    }

    /// All axes behind the batch as one, channel by channel.
    pub(crate) fn flatten(&mut self, x: &Value) -> Value {
        let count = x.dims.iter().product();
        self.op("Flatten", &[&x.name], vec![("axis", Attribute::Int(1))], vec![count])
    }
}
