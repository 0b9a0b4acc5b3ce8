//! The networks: every architecture at a small size, and every setting that changes a graph.

use npair_backbones::*;
use npair_types::ImageSize;

/// A network and what its folder is called.
pub struct Case {
    pub name: String,
    pub config: EmbeddingNetConfig,
}

/// Width of the embeddings.
const WIDTH: usize = 16;

fn case(what: &str, backbone: BackboneConfig) -> Case {
    let name = format!("{}{what}", backbone.architecture());
    Case { name, config: EmbeddingNetConfig::new(backbone, WIDTH) }
}

/// All architectures, then settings.
pub fn all() -> Vec<Case> {
    let mut all: Vec<Case> = BackboneConfig::all().into_iter().map(|backbone| case("", small(backbone))).collect();
    all.extend(odd());
    all.extend(settings());
    let grey = BackboneConfig::ConvNet(ConvNetConfig { width: 8, ..Default::default() });
    let mut unit = case("-unit-length", grey);
    unit.config.output = Output::UnitLength;
    all.push(unit);
    all
}

/// The architecture for a small image: four patches by four for a transformer, so that its published position embedding is
/// interpolated.
fn small(backbone: BackboneConfig) -> BackboneConfig {
    use BackboneConfig as B;
    let vit = |size: u32| VitConfig { size: size.into(), ..Default::default() };
    match backbone {
        B::ConvNet(_) => B::ConvNet(ConvNetConfig { size: 64.into(), channels: 3, ..Default::default() }),
        B::CasiaNet(_) => B::CasiaNet(CasiaNetConfig { size: 64.into(), channels: 1 }),
        B::GoogLeNet(_) => B::GoogLeNet(GoogLeNetConfig { size: 64.into(), ..Default::default() }),
        B::GoogLeNetOriginal(_) => B::GoogLeNetOriginal(GoogLeNetOriginalConfig { size: 64.into() }),
        B::ResNet18(_) => B::ResNet18(ResNetConfig { size: 64.into(), ..Default::default() }),
        B::ResNet34(_) => B::ResNet34(ResNetConfig { size: 64.into(), ..Default::default() }),
        B::ResNet50(_) => B::ResNet50(ResNetConfig { size: 64.into(), ..Default::default() }),
        B::VitS16(_) => B::VitS16(vit(64)),
        B::VitB16(_) => B::VitB16(vit(64)),
        B::DinoV2S14(_) => B::DinoV2S14(vit(56)),
        B::DinoV2B14(_) => B::DinoV2B14(vit(70)),
        B::ClipB32(_) => B::ClipB32(vit(96)),
        B::ClipB16(_) => B::ClipB16(vit(64)),
        B::ClipL14(_) => B::ClipL14(vit(56)),
        B::SigLipB16(_) => B::SigLipB16(vit(64)),
        B::ConvNextT(_) => B::ConvNextT(ConvNextConfig { size: 64.into(), ..Default::default() }),
        B::EfficientNetLite0(_) => B::EfficientNetLite0(lite(64)),
        B::EfficientNetLite1(_) => B::EfficientNetLite1(lite(64)),
        B::EfficientNetLite2(_) => B::EfficientNetLite2(lite(64)),
        B::EfficientNetLite3(_) => B::EfficientNetLite3(lite(64)),
        B::EfficientNetLite4(_) => B::EfficientNetLite4(lite(64)),
        B::MobileNetV3Small(_) => B::MobileNetV3Small(MobileNetV3Config { size: 64.into(), ..Default::default() }),
        B::MobileNetV3Large(_) => B::MobileNetV3Large(MobileNetV3Config { size: 64.into(), ..Default::default() }),
        B::DlibFaceNet(_) => B::DlibFaceNet(DlibFaceNetConfig { size: 110.into() }),
        other => other,
    }
}

fn lite(size: u32) -> EfficientNetLiteConfig {
    EfficientNetLiteConfig { size: size.into(), ..Default::default() }
}

/// Images whose size no stride divides: zeros on one side alone, windows over the edge, pixels that are cut off.
fn odd() -> Vec<Case> {
    use BackboneConfig as B;
    let nets = [
        B::ConvNet(ConvNetConfig { size: 27.into(), width: 8, ..Default::default() }),
        B::CasiaNet(CasiaNetConfig { size: 71.into(), channels: 3 }),
        B::GoogLeNet(GoogLeNetConfig { size: 75.into(), ..Default::default() }),
        B::GoogLeNetOriginal(GoogLeNetOriginalConfig { size: 75.into() }),
        B::ResNet18(ResNetConfig { size: 75.into(), ..Default::default() }),
        B::ConvNextT(ConvNextConfig { size: 75.into(), ..Default::default() }),
        B::EfficientNetLite0(lite(75)),
        B::MobileNetV3Small(MobileNetV3Config { size: 75.into(), ..Default::default() }),
    ];
    nets.into_iter().map(|backbone| case("-odd", backbone)).chain(oblong()).collect()
}

/// Images that are not square.
fn oblong() -> impl Iterator<Item = Case> {
    use BackboneConfig as B;
    let size = ImageSize { height: 96, width: 64 };
    let vit = VitConfig { size, position_size: Some(64), ..Default::default() };
    let nets = [
        B::ConvNet(ConvNetConfig { size, width: 8, ..Default::default() }),
        B::CasiaNet(CasiaNetConfig { size, channels: 3 }),
        B::GoogLeNet(GoogLeNetConfig { size, ..Default::default() }),
        B::ResNet18(ResNetConfig { size, ..Default::default() }),
        B::ConvNextT(ConvNextConfig { size, ..Default::default() }),
        B::EfficientNetLite0(EfficientNetLiteConfig { size, ..Default::default() }),
        B::VitS16(vit),
        B::SigLipB16(vit),
    ];
    nets.into_iter().map(|backbone| case("-oblong", backbone))
}

fn settings() -> Vec<Case> {
    use BackboneConfig as B;
    let vit = VitConfig { size: 64.into(), position_size: Some(64), ..Default::default() };
    let googlenet = GoogLeNetConfig { size: 64.into(), ..Default::default() };
    vec![
        case("-gem", B::ResNet18(ResNetConfig { size: 64.into(), pooling: Pooling::Gem, ..Default::default() })),
        case("-gem", B::EfficientNetLite0(EfficientNetLiteConfig { pooling: Pooling::Gem, ..lite(64) })),
        case("-transform-input", B::GoogLeNet(GoogLeNetConfig { transform_input: true, ..googlenet })),
        case("-own-positions", B::VitS16(vit)),
        case("-fewer-positions", B::VitS16(VitConfig { position_size: Some(32), ..vit })),
        case("-quick-gelu", B::VitS16(VitConfig { gelu: Some(VitGelu::Quick), ..vit })),
        case(
            "-exact-gelu",
            B::ClipB32(VitConfig { size: 96.into(), gelu: Some(VitGelu::Exact), ..Default::default() }),
        ),
        case("-own-positions", B::SigLipB16(vit)),
    ]
}
