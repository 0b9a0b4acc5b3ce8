//! Embeddings of inputs, with a bar.

use crate::progress;
use npair_backbones::EmbeddingModel;
use npair_evaluate::{Inputs, TestTimeAugmentation, Vectors, embed};
use npair_recipe::Config;
use npair_types::Streams;

/// As the settings ask for.
pub fn as_asked(config: &Config, model: &dyn EmbeddingModel, inputs: &dyn Inputs) -> npair_evaluate::Result<Vectors> {
    let how = TestTimeAugmentation::of(config.tta, Streams::new(config.seed))?;
    shown(model, inputs, how)
}

/// Of the examples as evaluation sees them, once.
pub fn plain(config: &Config, model: &dyn EmbeddingModel, inputs: &dyn Inputs) -> npair_evaluate::Result<Vectors> {
    as_asked(&Config { tta: Default::default(), ..config.clone() }, model, inputs)
}

fn shown(
    model: &dyn EmbeddingModel,
    inputs: &dyn Inputs,
    how: TestTimeAugmentation,
) -> npair_evaluate::Result<Vectors> {
    let bar = progress::bar(inputs.len() as u64, "embed");
    let vectors = embed(model, inputs, how, &mut |n| bar.set_position(n as u64));
    bar.finish_and_clear();
    vectors
}
