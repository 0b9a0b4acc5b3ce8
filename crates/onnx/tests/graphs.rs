//! The files as such: that all weights are in them once, that every node has what it needs, that nothing else is written.
//! What a runtime makes of them: `runtime/check.py`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod reader;

use candle_core::{DType, Device, Tensor};
use npair_backbones::*;
use npair_nn::{Init, VarMap};
use npair_onnx::{Error, OPSET, onnx, onnx_of_vectors};
use npair_types::{ImageSize, Streams};
use reader::{End, File, read};
use std::collections::{BTreeMap, BTreeSet};

fn net_of(config: EmbeddingNetConfig, dtype: DType) -> EmbeddingNet {
    EmbeddingNet::new(config, Streams::new(1), dtype, &Device::Cpu).unwrap()
}

fn net(backbone: BackboneConfig) -> EmbeddingNet {
    net_of(EmbeddingNetConfig::new(backbone, 5), DType::F32)
}

fn small() -> BackboneConfig {
    BackboneConfig::ConvNet(ConvNetConfig { width: 3, ..Default::default() })
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// That names are given once and known before they are used, and that nothing is made or kept in vain.
fn check_names(file: &File) {
    let mut known: BTreeSet<&str> = BTreeSet::from([file.input.name.as_str()]);
    for initializer in &file.initializers {
        assert!(known.insert(&initializer.name), "{} is there twice", initializer.name);
    }
    let (mut nodes, mut used) = (BTreeSet::new(), BTreeSet::new());
    for node in &file.nodes {
        assert!(nodes.insert(&node.name), "{} is there twice", node.name);
        for input in &node.inputs {
            assert!(known.contains(input.as_str()), "{}: {input} is not known yet", node.name);
            used.insert(input.as_str());
        }
        for output in &node.outputs {
            assert!(known.insert(output), "{output} is made twice");
        }
    }
    assert!(used.insert(&file.output.name), "a node takes the output");
    assert_eq!(known.difference(&used).next(), None);
}

/// That all weights are there, to the bit, as they are or transposed; but those that became a table of positions.
fn check_weights(file: &File, tensors: BTreeMap<String, Tensor>) {
    let mut kept: BTreeMap<&str, (&[usize], &[f32])> = BTreeMap::new();
    for initializer in &file.initializers {
        if let Some(floats) = &initializer.floats {
            kept.insert(&initializer.name, (&initializer.dims, floats));
        }
    }
    for (name, tensor) in tensors {
        if name.ends_with("cls_token") || name.ends_with("pos_embed") {
            continue;
        }
        let (dims, values) = match kept.remove(format!("{name}.transposed").as_str()) {
            Some((dims, values)) => (dims, (values, floats(&tensor.t().unwrap()))),
            None => {
                let (dims, values) = kept.remove(name.as_str()).unwrap_or_else(|| panic!("{name} is not there"));
                assert_eq!(dims, tensor.dims(), "{name}");
                (dims, (values, floats(&tensor)))
            }
        };
        assert!(values.0 == values.1, "{name}: other values, {dims:?}");
    }
    // Numbers that no weights are: of activations, of the widths of heads, of a changed normalization.
    let ours =
        |name: &&&str| !["float_", "scale_", "shift_", "backbone.pos_embed."].iter().any(|p| name.starts_with(p));
    assert_eq!(kept.keys().find(ours), None);
}

fn check(net: &EmbeddingNet) -> File {
    let (name, images) = (net.name(), net.input().dims().map(|extent| Some(extent as u64)));
    let file = read(&onnx(net, &[]).unwrap());
    check_names(&file);
    check_weights(&file, net.varmap().tensors().unwrap());
    let dims = [vec![None], images.to_vec()].concat();
    assert_eq!(file.input, End { name: "images".to_owned(), dims }, "{name}");
    assert_eq!(file.output, End { name: "embeddings".to_owned(), dims: vec![None, Some(5)] }, "{name}");
    assert_eq!((file.ir, file.opset, file.graph.as_str()), (8, OPSET as u64, name));
    assert_eq!(file.producer, ["npair", env!("CARGO_PKG_VERSION")]);
    file
}

#[test]
fn every_weight_of_a_convolutional_network_lies_in_the_file_once() {
    use BackboneConfig as B;
    let pooling = Pooling::Gem;
    // ResNet-34, Lite1 to Lite3 are more of the same blocks.
    for backbone in [
        small(),
        B::ConvNet(ConvNetConfig { size: ImageSize { height: 12, width: 9 }, blocks: 2, channels: 2, width: 4 }),
        B::ConvNet(ConvNetConfig { size: 9.into(), blocks: 2, channels: 2, width: 4 }),
        B::GoogLeNet(GoogLeNetConfig { size: 33.into(), transform_input: true, ..Default::default() }),
        B::GoogLeNet(GoogLeNetConfig { size: 32.into(), pooling, ..Default::default() }),
        B::GoogLeNetOriginal(GoogLeNetOriginalConfig { size: 48.into() }),
        B::CasiaNet(CasiaNetConfig { size: 17.into(), channels: 2 }),
        B::DlibFaceNet(DlibFaceNetConfig { size: 105.into() }),
        B::ResNet18(ResNetConfig { size: 33.into(), pooling, ..Default::default() }),
        B::ResNet50(ResNetConfig { size: 32.into(), ..Default::default() }),
        B::ConvNextT(ConvNextConfig { size: 40.into(), drop_path: 0.5 }),
        B::EfficientNetLite0(EfficientNetLiteConfig { size: 33.into(), pooling, drop_path: 0.5, ..Default::default() }),
        B::EfficientNetLite4(EfficientNetLiteConfig { size: 32.into(), ..Default::default() }),
        B::MobileNetV3Small(MobileNetV3Config { size: 33.into(), ..Default::default() }),
        B::MobileNetV3Large(MobileNetV3Config { size: 32.into(), ..Default::default() }),
    ] {
        check(&net(backbone));
    }
}

#[test]
fn every_weight_of_a_transformer_lies_in_the_file_once() {
    use BackboneConfig as B;
    let vit = |size: u32| VitConfig { size: size.into(), position_size: Some(size), drop_path: 0.5, gelu: None };
    // The base and large ones are wider and deeper twins; CLIP's and SigLIP's networks begin with the base one.
    for (backbone, grid, first) in [
        (B::VitS16(VitConfig { position_size: Some(48), ..vit(32) }), 2, 1),
        (B::DinoV2S14(VitConfig { position_size: None, ..vit(14) }), 1, 1),
        (B::ClipB32(vit(64)), 2, 1),
        (B::SigLipB16(VitConfig { position_size: Some(16), ..vit(32) }), 2, 0),
    ] {
        let net = net(backbone);
        let (file, name) = (check(&net), format!("backbone.pos_embed.{grid}x{grid}"));
        let table = file.initializers.iter().find(|i| i.name == name).unwrap();
        assert_eq!(table.dims, [1, first + grid * grid, net.features()]);
    }
}

#[test]
fn positions_of_the_image_s_own_grid_stay_as_they_are() {
    let config = VitConfig { size: 32.into(), position_size: Some(32), ..Default::default() };
    let net = net(BackboneConfig::VitS16(config));
    let (file, tensors) = (read(&onnx(&net, &[]).unwrap()), net.varmap().tensors().unwrap());
    let table = file.initializers.into_iter().find(|i| i.name == "backbone.pos_embed.2x2").unwrap().floats.unwrap();
    let (class, mut want) = (floats(&tensors["backbone.cls_token"]), floats(&tensors["backbone.pos_embed"]));
    want.iter_mut().zip(class).for_each(|(w, c)| *w += c);
    assert!(table == want);
}

#[test]
fn a_network_of_vectors_becomes_a_file_too() {
    let config = VectorNetConfig { hidden: vec![7, 6], output: Output::UnitLength, ..VectorNetConfig::linear(4, 5) };
    let net = VectorNet::new(config, Streams::new(1), DType::F64, &Device::Cpu).unwrap();
    let file = read(&onnx_of_vectors(&net, &[]).unwrap());
    check_names(&file);
    check_weights(&file, net.varmap().tensors().unwrap());
    assert_eq!(file.input, End { name: "vectors".to_owned(), dims: vec![None, Some(4)] });
    assert_eq!(file.output, End { name: "embeddings".to_owned(), dims: vec![None, Some(5)] });
    let ops: Vec<&str> = file.nodes.iter().map(|node| node.op.as_str()).collect();
    assert_eq!(ops, ["Gemm", "Relu", "Gemm", "Relu", "Gemm", "Mul", "ReduceSum", "Add", "Sqrt", "Div"]);
}

#[test]
fn strides_zeros_and_settings_stand_in_the_nodes() {
    use BackboneConfig as B;
    let file = check(&net(B::EfficientNetLite0(EfficientNetLiteConfig { size: 32.into(), ..Default::default() })));
    let node = |name: &str| file.nodes.iter().find(|node| node.name == name).unwrap();
    let of = |name: &str, attribute: &str| {
        node(name).attributes.iter().find(|(name, _)| name == attribute).map(|(_, values)| values.clone()).unwrap()
    };
    // TensorFlow's zeros for 3 x 3 with stride 2 on 32 pixels: one, right and below.
    assert_eq!(of("backbone.conv_stem", "pads"), [0., 0., 1., 1.]);
    assert_eq!(of("backbone.conv_stem", "strides"), [2., 2.]);
    assert_eq!(of("backbone.blocks.0.0.conv_dw", "group"), [32.]);
    assert_eq!(of("backbone.blocks.0.0.conv_dw", "pads"), [1.; 4]);
    assert_eq!(of("backbone.bn1", "epsilon"), [f64::from(1e-3f32)]);
    assert_eq!(of("head", "transB"), [1.]);
    assert_eq!(node("head").outputs, ["embeddings"]);
}

#[test]
fn the_same_network_gives_the_same_bytes_and_another_other_ones() {
    let facts = [("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())];
    let net = net(small());
    let bytes = onnx(&net, &facts).unwrap();
    assert!(bytes == onnx(&net, &facts).unwrap());
    // In the caller's order.
    assert_eq!(read(&bytes).facts, facts);
    let other = EmbeddingNet::new(net.config().unwrap().clone(), Streams::new(2), DType::F32, &Device::Cpu).unwrap();
    assert!(bytes != onnx(&other, &facts).unwrap());
}

#[test]
fn weights_of_another_number_type_are_written_as_f32() {
    let net = net_of(EmbeddingNetConfig::new(small(), 5), DType::F64);
    check_weights(&read(&onnx(&net, &[]).unwrap()), net.varmap().tensors().unwrap());
}

#[test]
fn what_cannot_become_a_file_is_said() {
    let fact = ("a".to_owned(), String::new());
    let said = onnx(&net(small()), &[fact.clone(), fact]).unwrap_err().to_string();
    assert_eq!(said, "fact a is given twice, and a reader would see one of them; leave one out");

    let more = net(small());
    more.varmap().root().pp("backbone.block5").trainable("gate", 3, Init::Ones).unwrap();
    let said = onnx(&more, &[]).unwrap_err();
    assert!(matches!(&said, Error::Left { count: 1, first } if first == "backbone.block5.gate"), "{said}");

    let varmap = VarMap::new(Streams::new(1), DType::F32, &Device::Cpu);
    let build = |vb: &npair_nn::VarBuilder| small().build(vb);
    let own = EmbeddingNet::over("own", HeadConfig::of_width(2), varmap, build).unwrap();
    let said = onnx(&own, &[]).unwrap_err().to_string();
    assert_eq!(said, "network own: no ONNX graph is known for it; export one of BackboneConfig::all()");

    let gem = ResNetConfig { size: 32.into(), pooling: Pooling::Gem, ..Default::default() };
    let gem = net(BackboneConfig::ResNet18(gem));
    let mut tensors: std::collections::HashMap<_, _> = gem.varmap().tensors().unwrap().into_iter().collect();
    tensors.insert("backbone.pool.p".to_owned(), Tensor::new(&[-1f32], &Device::Cpu).unwrap());
    gem.varmap().load(&tensors).unwrap();
    let said = onnx(&gem, &[]).unwrap_err().to_string();
    assert!(said.starts_with("exponent backbone.pool.p is -1, but"), "{said}");
}
