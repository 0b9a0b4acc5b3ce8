//! Test-time augmentation.
#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device};
use npair_backbones::{BackboneConfig, ConvNetConfig, EmbeddingNet, EmbeddingNetConfig};
use npair_data::{AugmentConfig, Dataset, GlyphConfig, GlyphSet, Pipeline, PipelineConfig, RotatedClasses};
use npair_evaluate::{PictureInputs, TestTimeAugmentation, embed};
use npair_types::Streams;
use std::sync::Arc;

fn glyphs() -> Arc<GlyphSet> {
    Arc::new(GlyphSet::new(GlyphConfig { classes: 3, instances: 2, ..GlyphConfig::default() }).unwrap())
}

fn embedded(augment: AugmentConfig, how: TestTimeAugmentation) -> Vec<Vec<f32>> {
    embedded_of(glyphs(), augment, how)
}

fn embedded_of(data: Arc<dyn Dataset>, augment: AugmentConfig, how: TestTimeAugmentation) -> Vec<Vec<f32>> {
    let pipeline =
        Pipeline::new(PipelineConfig { size: 16.into(), invert: true, augment, ..PipelineConfig::default() }).unwrap();
    let small = ConvNetConfig { channels: 1, size: 16.into(), width: 4, blocks: 2 };
    let model = EmbeddingNetConfig::new(BackboneConfig::ConvNet(small), 5);
    let net = EmbeddingNet::new(model, Streams::new(1), DType::F32, &Device::Cpu).unwrap();
    let found = embed(&net, &PictureInputs::new(data, pipeline), how, &mut |_| ()).unwrap();
    found.values.chunks_exact(found.width).map(<[f32]>::to_vec).collect()
}

fn norm(row: &[f32]) -> f32 {
    row.iter().map(|v| v * v).sum::<f32>().sqrt()
}

#[test]
fn an_embedding_is_the_mean_of_unit_embeddings() {
    let turned = AugmentConfig { rotate: 30.0, ..AugmentConfig::default() };
    let plain = embedded(turned, TestTimeAugmentation::none());
    // Without random changes all views are the picture itself: its direction, at length 1 up to rounding.
    for (row, one) in
        embedded(AugmentConfig::default(), TestTimeAugmentation::new(3, Streams::new(0)).unwrap()).iter().zip(&plain)
    {
        let length = norm(one);
        assert!(row.iter().zip(one).all(|(a, b)| (a - b / length).abs() < 1e-6), "{row:?} {one:?}");
    }
    // With them it is another vector, no longer than 1, the same for the same seed alone.
    let views = |seed| embedded(turned, TestTimeAugmentation::new(4, Streams::new(seed)).unwrap());
    let (first, again, other) = (views(1), views(1), views(2));
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert!(first.iter().all(|row| norm(row) <= 1.0 + 1e-6));
    assert!(first.iter().zip(&plain).any(|(a, b)| a.iter().zip(b).any(|(x, y)| (x - y / norm(b)).abs() > 1e-3)));
    assert!(
        TestTimeAugmentation::new(0, Streams::new(0)).is_err()
            && TestTimeAugmentation::new(1001, Streams::new(0)).is_err()
    );
}

#[test]
fn turns_stand_side_by_side() {
    // Row 4 e + r of the turned classes is example e turned r times.
    let turned = Arc::new(RotatedClasses::new(glyphs()).unwrap());
    let single = embedded_of(turned, AugmentConfig::default(), TestTimeAugmentation::none());
    let rows = embedded(AugmentConfig::default(), TestTimeAugmentation::none().rotated(4).unwrap());
    assert_eq!(rows.len(), glyphs().len());
    for (e, row) in rows.iter().enumerate() {
        let want = single[4 * e..][..4].iter().flat_map(|one| {
            let length = 2.0 * norm(one);
            one.iter().map(move |v| v / length)
        });
        assert_eq!(row.len(), 4 * 5);
        assert!(row.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6), "turns of {e}");
        assert!((norm(row) - 1.0).abs() < 1e-6);
    }
    // Views are drawn for every turn: each part is a mean over them.
    let changed = AugmentConfig { rotate: 30.0, ..AugmentConfig::default() };
    let four = embedded(changed, TestTimeAugmentation::new(3, Streams::new(1)).unwrap().rotated(4).unwrap());
    let one = embedded(changed, TestTimeAugmentation::new(3, Streams::new(1)).unwrap());
    assert!(four.iter().zip(&one).all(|(four, one)| four.iter().zip(one).all(|(a, b)| (a - b / 2.0).abs() < 1e-6)));
    assert_eq!(TestTimeAugmentation::none().rotated(1).unwrap(), TestTimeAugmentation::none());
    assert!(TestTimeAugmentation::none().rotated(2).unwrap_err().to_string().contains("1 or 4"));
}
