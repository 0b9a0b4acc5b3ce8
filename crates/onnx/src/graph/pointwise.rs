//! Value by value.

use super::{Graph, Value};
use crate::proto::{Attribute, Values};
use npair_nn::Activation;

/// As of `Activation::TanhGelu`: `(1 + tanh(u)) / 2` is `sigmoid(2 u)` with `2 u = TANH x (1 + CUBE x^2)`.
const TANH: f64 = 1.595_769_121_605_730_8;
const CUBE: f64 = 0.044_715;
/// As of `Activation::QuickGelu`.
const QUICK: f64 = 1.702;
/// What a squared norm has added before an embedding is divided by it.
const SMALLEST_SQUARE: f64 = 1e-24;

impl Graph {
    /// A node of one input, of its shape.
    pub(super) fn map(&mut self, op: &'static str, x: &Value) -> Value {
        self.op(op, &[&x.name], vec![], x.dims.clone())
    }

    /// A node of two inputs of one shape.
    pub(super) fn both(&mut self, op: &'static str, x: &Value, y: &Value) -> Value {
        self.op(op, &[&x.name, &y.name], vec![], x.dims.clone())
    }

    /// A node of an input and a number.
    pub(super) fn with(&mut self, op: &'static str, x: &Value, number: f64) -> Value {
        let number = self.float(number);
        self.op(op, &[&x.name, &number], vec![], x.dims.clone())
    }

    /// What follows a convolution or its norm.
    pub(crate) fn activation(&mut self, x: &Value, activation: Activation) -> Value {
        match activation {
            Activation::None => x.clone(),
            Activation::Relu => self.map("Relu", x),
            Activation::Relu6 => {
                let (least, most) = (self.float(0.), self.float(6.));
                self.op("Clip", &[&x.name, &least, &most], vec![], x.dims.clone())
            }
            Activation::HardSwish => self.map("HardSwish", x),
            Activation::HardSigmoid => {
                let attributes = vec![("alpha", Attribute::Float(1. / 6.)), ("beta", Attribute::Float(0.5))];
                self.op("HardSigmoid", &[&x.name], attributes, x.dims.clone())
            }
            Activation::QuickGelu => {
                let inner = self.with("Mul", x, QUICK);
                let open = self.map("Sigmoid", &inner);
                self.both("Mul", x, &open)
            }
            Activation::TanhGelu => {
                let square = self.both("Mul", x, x);
                let bend = self.with("Mul", &square, CUBE);
                let bent = self.with("Add", &bend, 1.);
                let slope = self.with("Mul", x, TANH);
                let inner = self.both("Mul", &slope, &bent);
                let open = self.map("Sigmoid", &inner);
                self.both("Mul", x, &open)
            }
        }
    }

    /// The exact GELU, `x (1 + erf(x / sqrt(2))) / 2`: an operator of its own from opset 20 on.
    pub(crate) fn gelu(&mut self, x: &Value) -> Value {
        let inner = self.with("Div", x, std::f64::consts::SQRT_2);
        let erf = self.map("Erf", &inner);
        let above = self.with("Add", &erf, 1.);
        let twice = self.both("Mul", x, &above);
        self.with("Mul", &twice, 0.5)
    }

    /// `x + y`, of one shape.
    pub(crate) fn sum(&mut self, x: &Value, y: &Value) -> crate::Result<Value> {
        if x.dims != y.dims {
            return Err(y.wrong(format!("it is added to {:?}", x.dims)));
        }
        Ok(self.both("Add", x, y))
    }

    /// An image times a factor for every channel, an image of one pixel.
    pub(crate) fn gate(&mut self, x: &Value, factors: &Value) -> crate::Result<Value> {
        let [channels, ..] = x.image()?;
        if factors.dims != [channels, 1, 1] {
            return Err(factors.wrong(format!("factors of {channels} channels are needed")));
        }
        Ok(self.both("Mul", x, factors))
    }

    /// Features divided by their Euclidean norm.
    pub(crate) fn unit_length(&mut self, x: &Value) -> Value {
        let squares = self.both("Mul", x, x);
        let axes = self.ints(&[-1]);
        let sum = self.op("ReduceSum", &[&squares.name, &axes], vec![], vec![1]);
        let lifted = self.with("Add", &sum, SMALLEST_SQUARE);
        let norm = self.map("Sqrt", &lifted);
        self.both("Div", x, &norm)
    }

    /// A number for every channel of an image: (1, C, 1, 1).
    pub(super) fn channels(&mut self, name: &str, values: &[f64]) -> String {
        let floats: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        let name = floats.iter().fold(name.to_owned(), |name, value| format!("{name}_{value:?}"));
        self.share(name, vec![1, floats.len(), 1, 1], Values::Floats(floats))
    }
}
