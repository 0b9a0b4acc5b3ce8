//! A loader for PyTorch: the same network by timm, torchvision, or a few lines of its own.

use super::Exportable;
use crate::{Error, Result};
use npair_backbones::{BackboneConfig, EmbeddingNet, Output, Pooling, VectorNetConfig, VitConfig, VitGelu};
use std::fmt::Write;

/// Of a network that is built here and not in a library.
const CONV_NET: &str = r#"
class Block(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)

    def forward(self, x):
        return nn.functional.max_pool2d(self.norm(self.conv(x)).relu(), 2)

def backbone():
    widths = [CHANNELS] + BLOCKS * [WIDTH]
    blocks = {f"block{n}": Block(widths[n - 1], widths[n]) for n in range(1, BLOCKS + 1)}
    return nn.Sequential(collections.OrderedDict(blocks, flat=nn.Flatten()))
"#;

const CASIA_NET: &str = r#"
class CasiaNet(nn.Module):
    WIDTHS = [(32, 64), (64, 128), (96, 192), (128, 256), (160, 320)]

    def __init__(self):
        super().__init__()
        inputs = CHANNELS
        for n, widths in enumerate(self.WIDTHS, 1):
            for m, outputs in enumerate(widths, 1):
                setattr(self, f"conv{n}{m}", nn.Conv2d(inputs, outputs, 3, padding=1))
                inputs = outputs

    def forward(self, x):
        for n in range(1, 6):
            x = getattr(self, f"conv{n}2")(getattr(self, f"conv{n}1")(x).relu())
            if n < 5:
                x = nn.functional.max_pool2d(x.relu(), 2, ceil_mode=True)
        return x.mean((2, 3))

def backbone():
    return CasiaNet()
"#;

const GOOGLENET_ORIGINAL: &str = r#"
class Unit(nn.Module):
    def __init__(self, inputs, outputs, size, **how):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, **how)

    def forward(self, x):
        return self.conv(x).relu()

class Inception(nn.Module):
    def __init__(self, inputs, one, reduce3, three, reduce5, five, pool):
        super().__init__()
        self.branch1 = Unit(inputs, one, 1)
        self.branch2 = nn.Sequential(Unit(inputs, reduce3, 1), Unit(reduce3, three, 3, padding=1))
        self.branch3 = nn.Sequential(Unit(inputs, reduce5, 1), Unit(reduce5, five, 5, padding=2))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), Unit(inputs, pool, 1))

    def forward(self, x):
        return torch.cat([branch(x) for branch in (self.branch1, self.branch2, self.branch3, self.branch4)], 1)

class GoogLeNetOriginal(nn.Module):
    WIDTHS = dict(inception3a=(192, 64, 96, 128, 16, 32, 32), inception3b=(256, 128, 128, 192, 32, 96, 64),
                  inception4a=(480, 192, 96, 208, 16, 48, 64), inception4b=(512, 160, 112, 224, 24, 64, 64),
                  inception4c=(512, 128, 128, 256, 24, 64, 64), inception4d=(512, 112, 144, 288, 32, 64, 64),
                  inception4e=(528, 256, 160, 320, 32, 128, 128), inception5a=(832, 256, 160, 320, 32, 128, 128),
                  inception5b=(832, 384, 192, 384, 48, 128, 128))

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = Unit(3, 64, 7, stride=2, padding=3), Unit(64, 64, 1)
        self.conv3 = Unit(64, 192, 3, padding=1)
        for name, widths in self.WIDTHS.items():
            setattr(self, name, Inception(*widths))
        self.pool, self.norm = nn.MaxPool2d(3, 2, ceil_mode=True), nn.LocalResponseNorm(5, 1e-4, 0.75)

    def forward(self, x):
        x = self.norm(self.pool(self.conv1(x)))
        x = self.pool(self.norm(self.conv3(self.conv2(x))))
        for name in self.WIDTHS:
            if name[9:] in ("4a", "5a"):
                x = self.pool(x)
            x = getattr(self, name)(x)
        return x.mean((2, 3))

def backbone():
    return GoogLeNetOriginal()
"#;

const DLIB_FACE_NET: &str = r#"
class Block(nn.Module):
    def __init__(self, inputs, outputs, halves):
        super().__init__()
        self.halves = halves
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=2 if halves else 1, padding=0 if halves else 1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)

    def forward(self, x):
        inner = self.conv2(self.conv1(x).relu())
        if self.halves:
            x = nn.functional.avg_pool2d(x, 2)
            inner = nn.functional.pad(inner, (0, x.shape[3] - inner.shape[3], 0, x.shape[2] - inner.shape[2]))
            x = nn.functional.pad(x, (0, 0, 0, 0, 0, inner.shape[1] - x.shape[1]))
        return (inner + x).relu()

class DlibFaceNet(nn.Module):
    STAGES = [(32, 3), (64, 3), (128, 2), (256, 2)]

    def __init__(self):
        super().__init__()
        self.conv32_down, self.order, inputs = nn.Conv2d(3, 32, 7, stride=2), [], 32
        for width, count in self.STAGES:
            names = [f"conv{width}_down"] * (width > 32) + [f"conv{width}_{n}" for n in range(1, count + 1)]
            for name in names:
                setattr(self, name, Block(inputs, width, name.endswith("down")))
                inputs = width
            self.order += names
        self.conv256_down_out, self.fc = Block(256, 256, True), nn.Linear(256, 128, bias=False)

    def forward(self, x):
        x = nn.functional.max_pool2d(self.conv32_down(x).relu(), 3, 2)
        for name in self.order + ["conv256_down_out"]:
            x = getattr(self, name)(x)
        return self.fc(x.mean((2, 3)))

def backbone():
    return DlibFaceNet()
"#;

/// What loads and proves, whatever the backbone.
const LOADING: &str = r#"
class Embedder(nn.Module):
    """(B, ...) of normalised examples to (B, D) embeddings."""

    def __init__(self):
        super().__init__()
        self.backbone, self.head = backbone(), nn.Linear(FEATURES, WIDTH_OF_EMBEDDINGS)

    def forward(self, images):
        rows = self.head(self.backbone(images))
        return rows / (rows.square().sum(1, keepdim=True) + 1e-24).sqrt() if UNIT_LENGTH else rows

def load(folder=pathlib.Path(__file__).parent):
    network = Embedder()
    if (folder / "model.safetensors").exists():
        weights = load_file(folder / "model.safetensors").items()
        own = ("backbone.", "head.")
        network.load_state_dict({name if name.startswith(own) else "backbone." + name: value for name, value in weights})
    else:
        network.backbone.load_state_dict(load_file(folder / "backbone.safetensors"))
        network.head.load_state_dict(load_file(folder / "head.safetensors"))
    return network.eval()

if __name__ == "__main__":
    known = load_file(pathlib.Path(__file__).parent / "check.safetensors")
    with torch.no_grad():
        found = load()(known["images"])
    error = ((found - known["embeddings"]).abs().max() / known["embeddings"].abs().max()).item()
    print(f"{len(found)} embeddings, the largest difference {error:.1e} of the largest value")
    # Rounding in f32, which deep networks multiply; what computes something else is off by much more.
    raise SystemExit(error > 1e-4)
"#;

/// The text of `load.py`.
pub(super) fn of(net: &Exportable) -> Result<String> {
    let (import, backbone, features, width, output) = match net {
        Exportable::Pictures(net) => {
            let config = net.config().ok_or_else(|| unknown("a network without settings of its own"))?;
            let (import, backbone) = of_backbone(net, config.backbone)?;
            (import, backbone, net.features(), config.embedding, config.output)
        }
        Exportable::Vectors(net) => {
            let config = net.config();
            let features = config.hidden.last().copied().unwrap_or(config.input);
            ("", of_vectors(config), features, config.embedding, config.output)
        }
    };
    let mut text = "\"\"\"Loads this network in PyTorch: `load()`; run as a program it proves that embeddings are the same.\"\"\"\n\n\
                    import collections\nimport pathlib\n\nimport torch\n"
        .to_owned();
    if !import.is_empty() {
        let _ = writeln!(text, "import {import}");
    }
    text += "from safetensors.torch import load_file\nfrom torch import nn\n\n";
    let unit = if output == Output::UnitLength { "True" } else { "False" };
    let _ = writeln!(text, "FEATURES, WIDTH_OF_EMBEDDINGS, UNIT_LENGTH = {features}, {width}, {unit}");
    Ok(text + &backbone + LOADING)
}

fn unknown(what: &str) -> Error {
    let why = format!("{what} has no counterpart in timm or torchvision; export it with --to onnx");
    Error::Setting { setting: "--to", why }
}

/// A hidden layer and a ReLU each.
fn of_vectors(config: &VectorNetConfig) -> String {
    let widths: Vec<String> =
        std::iter::once(config.input).chain(config.hidden.clone()).map(|w| w.to_string()).collect();
    format!(
        r#"
class Hidden(nn.Module):
    WIDTHS = [{}]

    def __init__(self):
        super().__init__()
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in zip(self.WIDTHS, self.WIDTHS[1:]))

    def forward(self, rows):
        for layer in self.hidden:
            rows = layer(rows).relu()
        return rows

def backbone():
    return Hidden()
"#,
        widths.join(", ")
    )
}

/// What is imported, and the lines that build the backbone.
fn of_backbone(net: &EmbeddingNet, config: BackboneConfig) -> Result<(&'static str, String)> {
    let timm =
        |name: &str| ("timm", format!("\ndef backbone():\n    return timm.create_model({name:?}, num_classes=0)\n"));
    let named = |name: &str, more: &str| {
        let build = format!("torchvision.models.{name}(weights=None{more})");
        (
            "torchvision",
            format!("\ndef backbone():\n    network = {build}\n    network.fc = nn.Identity()\n    return network\n"),
        )
    };
    use BackboneConfig as B;
    Ok(match config {
        B::ConvNet(c) => {
            let extents = format!("CHANNELS, WIDTH, BLOCKS = {}, {}, {}\n", c.channels, c.width, c.blocks);
            ("", extents + CONV_NET)
        }
        B::CasiaNet(c) => ("", format!("CHANNELS = {}\n{CASIA_NET}", c.channels)),
        B::GoogLeNetOriginal(_) => ("", GOOGLENET_ORIGINAL.to_owned()),
        B::DlibFaceNet(_) => ("", DLIB_FACE_NET.to_owned()),
        B::GoogLeNet(c) => {
            let transform = if c.transform_input { "True" } else { "False" };
            named("googlenet", &format!(", aux_logits=False, init_weights=False, transform_input={transform}"))
        }
        B::ResNet18(c) | B::ResNet34(c) | B::ResNet50(c) if c.pooling == Pooling::Gem => {
            return Err(unknown("a ResNet with a generalized mean"));
        }
        B::ResNet18(_) | B::ResNet34(_) | B::ResNet50(_) => named(net.name(), ""),
        B::VitS16(c) => ("timm", vit("vit_small_patch16_224", c, 224)),
        B::VitB16(c) => ("timm", vit("vit_base_patch16_224", c, 224)),
        B::DinoV2S14(c) => ("timm", vit("vit_small_patch14_dinov2", c, 518)),
        B::DinoV2B14(c) => ("timm", vit("vit_base_patch14_dinov2", c, 518)),
        B::ClipB32(c) => ("timm", vit("vit_base_patch32_clip_quickgelu_224", c, 224)),
        B::ClipB16(c) => ("timm", vit("vit_base_patch16_clip_quickgelu_224", c, 224)),
        B::ClipL14(c) => ("timm", vit("vit_large_patch14_clip_quickgelu_224", c, 224)),
        B::SigLipB16(c) => {
            let gelu = Some(c.gelu.unwrap_or(VitGelu::Tanh));
            ("timm", vit("vit_base_patch16_siglip_224", VitConfig { gelu, ..c }, 224))
        }
        B::ConvNextT(_) => timm("convnext_tiny"),
        B::EfficientNetLite0(_) => timm("tf_efficientnet_lite0"),
        B::EfficientNetLite1(_) => timm("tf_efficientnet_lite1"),
        B::EfficientNetLite2(_) => timm("tf_efficientnet_lite2"),
        B::EfficientNetLite3(_) => timm("tf_efficientnet_lite3"),
        B::EfficientNetLite4(_) => timm("tf_efficientnet_lite4"),
        B::MobileNetV3Small(_) => timm("mobilenetv3_small_100"),
        B::MobileNetV3Large(_) => timm("mobilenetv3_large_100"),
        _ => return Err(unknown(config.architecture())),
    })
}

/// A vision transformer of timm, whose positions are interpolated where the pictures are of another size.
fn vit(name: &str, config: VitConfig, published: u32) -> String {
    let stored = config.position_size.unwrap_or(published);
    let gelu = match config.gelu {
        None => "",
        Some(VitGelu::Exact) => ", act_layer=\"gelu\"",
        Some(VitGelu::Quick) => ", act_layer=\"quick_gelu\"",
        Some(VitGelu::Tanh) => ", act_layer=\"gelu_tanh\"",
    };
    format!(
        "\ndef backbone():\n    return timm.create_model({name:?}, num_classes=0, img_size={stored}, dynamic_img_size=True{gelu})\n"
    )
}
