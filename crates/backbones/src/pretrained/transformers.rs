//! Image towers as transformers and OpenCLIP name them, brought into timm's names and shapes, which are the networks' own.

use candle_core::{Result, Tensor};
use std::collections::BTreeMap;

/// The names of a program: a layer that shows that they are its, with one beside it, and what becomes of the others.
struct Program {
    /// A name that is there, behind the tower's prefix.
    sign: &'static str,
    /// Another: texts have the same layers, but no patches.
    patches: &'static str,
    /// What stands before the number of a block.
    blocks: &'static str,
    /// Beginnings of names outside of blocks: theirs, ours.
    outside: &'static [(&'static str, &'static str)],
    /// The same inside of a block.
    inside: &'static [(&'static str, &'static str)],
}

/// CLIP's and SigLIP's towers in transformers.
const CLIP: Program = Program {
    sign: "encoder.layers.0.self_attn.q_proj.weight",
    patches: "embeddings.patch_embedding.weight",
    blocks: "encoder.layers.",
    outside: &[
        ("embeddings.class_embedding", "cls_token"),
        ("embeddings.patch_embedding.", "patch_embed.proj."),
        ("embeddings.position_embedding.weight", "pos_embed"),
        ("pre_layrnorm.", "norm_pre."),
        ("post_layernorm.", "norm."),
        ("head.probe", "attn_pool.latent"),
        ("head.attention.in_proj_", "attn_pool.qkv."),
        ("head.attention.out_proj.", "attn_pool.proj."),
        ("head.layernorm.", "attn_pool.norm."),
        ("head.mlp.", "attn_pool.mlp."),
    ],
    inside: &[
        ("layer_norm1.", "norm1."),
        ("layer_norm2.", "norm2."),
        ("self_attn.q_proj.", "attn.q."),
        ("self_attn.k_proj.", "attn.k."),
        ("self_attn.v_proj.", "attn.v."),
        ("self_attn.out_proj.", "attn.proj."),
        ("mlp.", "mlp."),
    ],
};

/// ViT and DINOv2 in transformers.
const VIT: Program = Program {
    sign: "encoder.layer.0.attention.attention.query.weight",
    patches: "embeddings.patch_embeddings.projection.weight",
    blocks: "encoder.layer.",
    outside: &[
        ("embeddings.cls_token", "cls_token"),
        ("embeddings.mask_token", "mask_token"),
        ("embeddings.position_embeddings", "pos_embed"),
        ("embeddings.patch_embeddings.projection.", "patch_embed.proj."),
        ("layernorm.", "norm."),
        ("pooler.", "head.pooler."),
    ],
    inside: &[
        ("layernorm_before.", "norm1."),
        ("layernorm_after.", "norm2."),
        ("norm1.", "norm1."),
        ("norm2.", "norm2."),
        ("attention.attention.query.", "attn.q."),
        ("attention.attention.key.", "attn.k."),
        ("attention.attention.value.", "attn.v."),
        ("attention.output.dense.", "attn.proj."),
        ("intermediate.dense.", "mlp.fc1."),
        ("output.dense.", "mlp.fc2."),
        ("mlp.", "mlp."),
        ("layer_scale1.lambda1", "ls1.gamma"),
        ("layer_scale2.lambda1", "ls2.gamma"),
    ],
};

/// CLIP as OpenAI and OpenCLIP name it.
const OPEN_CLIP: Program = Program {
    sign: "transformer.resblocks.0.attn.in_proj_weight",
    patches: "conv1.weight",
    blocks: "transformer.resblocks.",
    outside: &[
        ("class_embedding", "cls_token"),
        ("positional_embedding", "pos_embed"),
        ("conv1.", "patch_embed.proj."),
        ("ln_pre.", "norm_pre."),
        ("ln_post.", "norm."),
        ("proj", "head.proj"),
    ],
    inside: &[
        ("ln_1.", "norm1."),
        ("ln_2.", "norm2."),
        ("attn.in_proj_", "attn.qkv."),
        ("attn.out_proj.", "attn.proj."),
        ("mlp.c_fc.", "mlp.fc1."),
        ("mlp.c_proj.", "mlp.fc2."),
    ],
};

/// Tensors with the names and shapes of timm, where they are those of another program; others come back as they were.
pub(super) fn translate(tensors: BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>> {
    let found = [CLIP, VIT, OPEN_CLIP].into_iter().find_map(|program| Some((prefix(&program, &tensors)?, program)));
    let Some((prefix, program)) = found else { return Ok(tensors) };
    let mut all = BTreeMap::new();
    for (name, tensor) in tensors {
        let name = match name.strip_prefix(&prefix).and_then(|plain| program.own(plain)) {
            Some(own) => prefix.clone() + &own,
            None => name,
        };
        all.insert(name, tensor);
    }
    reshape(&mut all, &prefix)?;
    join(&mut all)?;
    split_pool(&mut all, &prefix)?;
    Ok(all)
}

/// What stands before the tower's names.
fn prefix(program: &Program, tensors: &BTreeMap<String, Tensor>) -> Option<String> {
    let prefixes = tensors.keys().filter_map(|name| name.strip_suffix(program.sign));
    prefixes.filter(|prefix| tensors.contains_key(&format!("{prefix}{}", program.patches))).map(str::to_owned).next()
}

impl Program {
    fn own(&self, plain: &str) -> Option<String> {
        let renamed = |table: &[(&str, &str)], name: &str| {
            table.iter().find_map(|(theirs, ours)| Some(format!("{ours}{}", name.strip_prefix(theirs)?)))
        };
        match plain.strip_prefix(self.blocks) {
            None => renamed(self.outside, plain),
            Some(rest) => {
                let (number, rest) = rest.split_once('.')?;
                Some(format!("blocks.{number}.{}", renamed(self.inside, rest)?))
            }
        }
    }
}

/// Tokens and positions as tensors of three axes.
fn reshape(all: &mut BTreeMap<String, Tensor>, prefix: &str) -> Result<()> {
    for name in ["cls_token", "pos_embed"] {
        if let Some(tensor) = all.get_mut(&format!("{prefix}{name}")) {
            while tensor.rank() < 3 {
                *tensor = tensor.unsqueeze(0)?;
            }
        }
    }
    Ok(())
}

/// Queries, keys and values of a block in one tensor.
fn join(all: &mut BTreeMap<String, Tensor>) -> Result<()> {
    const FIRST: &str = ".attn.q.";
    let firsts: Vec<String> = all.keys().filter(|name| name.contains(FIRST)).cloned().collect();
    for name in firsts {
        let names = ["q", "k", "v"].map(|part| name.replace(FIRST, &format!(".attn.{part}.")));
        let parts: Vec<Tensor> = names.iter().filter_map(|name| all.get(name).cloned()).collect();
        if parts.len() == names.len() {
            names.iter().for_each(|name| drop(all.remove(name)));
            all.insert(name.replace(FIRST, ".attn.qkv."), Tensor::cat(&parts, 0)?);
        }
    }
    Ok(())
}

/// The pool's query apart from its keys and values.
fn split_pool(all: &mut BTreeMap<String, Tensor>, prefix: &str) -> Result<()> {
    for kind in ["weight", "bias"] {
        let place = |part: &str| format!("{prefix}attn_pool.{part}.{kind}");
        let Some(whole) = all.remove(&place("qkv")) else { continue };
        let (rows, width) = (whole.dim(0)?, whole.dim(0)? / 3);
        all.insert(place("q"), whole.narrow(0, 0, width)?.contiguous()?);
        all.insert(place("kv"), whole.narrow(0, width, rows - width)?.contiguous()?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    fn file(names: &[(&str, &[usize])]) -> BTreeMap<String, Tensor> {
        let tensor = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
        names.iter().map(|(name, dims)| ((*name).to_owned(), tensor(dims))).collect()
    }

    fn shapes(all: BTreeMap<String, Tensor>) -> Vec<(String, Vec<usize>)> {
        translate(all).unwrap().into_iter().map(|(name, tensor)| (name, tensor.dims().to_vec())).collect()
    }

    #[test]
    fn a_tower_beside_texts() {
        let of = |q: &str| format!("encoder.layers.0.self_attn.{q}_proj.weight");
        let [q, k, v] = ["q", "k", "v"].map(|part| format!("vision_model.{}", of(part)));
        let text = format!("text_model.{}", of("q"));
        let names: [(&str, &[usize]); 9] = [
            (&q, &[4, 4]),
            (&k, &[4, 4]),
            (&v, &[4, 4]),
            (&text, &[4, 4]),
            ("vision_model.embeddings.patch_embedding.weight", &[4, 3, 2, 2]),
            ("vision_model.embeddings.class_embedding", &[4]),
            ("vision_model.embeddings.position_embedding.weight", &[5, 4]),
            ("vision_model.head.attention.in_proj_bias", &[12]),
            ("visual_projection.weight", &[2, 4]),
        ];
        let want: [(&str, &[usize]); 8] = [
            ("text_model.encoder.layers.0.self_attn.q_proj.weight", &[4, 4]),
            ("vision_model.attn_pool.kv.bias", &[8]),
            ("vision_model.attn_pool.q.bias", &[4]),
            ("vision_model.blocks.0.attn.qkv.weight", &[12, 4]),
            ("vision_model.cls_token", &[1, 1, 4]),
            ("vision_model.patch_embed.proj.weight", &[4, 3, 2, 2]),
            ("vision_model.pos_embed", &[1, 5, 4]),
            ("visual_projection.weight", &[2, 4]),
        ];
        assert_eq!(shapes(file(&names)), want.map(|(name, dims)| (name.to_owned(), dims.to_vec())));
    }

    #[test]
    fn queries_are_above_keys_above_values_and_other_files_stay() {
        let part = |value: f32| Tensor::full(value, (1, 1), &Device::Cpu).unwrap();
        let at = |part: &str| format!("encoder.layer.0.attention.attention.{part}.weight");
        let mut all = file(&[("embeddings.patch_embeddings.projection.weight", &[1])]);
        for (name, value) in [("query", 1.), ("key", 2.), ("value", 3.)] {
            all.insert(at(name), part(value));
        }
        let joined = translate(all).unwrap()["blocks.0.attn.qkv.weight"].flatten_all().unwrap();
        assert_eq!(joined.to_vec1::<f32>().unwrap(), [1., 2., 3.]);
        let other = [("conv1.weight", &[1usize][..]), ("layer1.0.conv1.weight", &[1])];
        assert_eq!(shapes(file(&other)).len(), 2);
    }
}
