//! Protobuf, as much as an ONNX file needs.

mod model;
mod wire;

pub(crate) use model::{Attribute, Constant, Model, NodeProto, Values};
