use crate::pretrained::weights_file;
use crate::{EmbeddingModel, Error, FORMAT, Output, Result, Stages};
use candle_core::{DType, Device, Tensor, Var};
use npair_nn::{Dropout, Init, Layer, Linear, Mode, Node, Relu, Tape, VarMap, forward, forward_no_grad};
use npair_types::Streams;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// What is needed to build a [`VectorNet`] again: the content of its `config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VectorNetConfig {
    /// Version of this format.
    pub format: u32,
    /// What tells it from a network of pictures.
    #[serde(default)]
    pub architecture: Architecture,
    /// F, the width of the vectors that come in.
    pub input: usize,
    /// Widths of the layers between, each followed by a ReLU; none for a linear map.
    #[serde(default)]
    pub hidden: Vec<usize>,
    /// D, the width of an embedding.
    pub embedding: usize,
    /// Probability of dropout before the last layer; 0.
    #[serde(default)]
    pub dropout: f64,
    /// How embeddings leave the network; as they are.
    #[serde(default)]
    pub output: Output,
}

/// The name of the network in `config.json`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// [`VectorNet`].
    #[default]
    VectorNet,
}

impl VectorNetConfig {
    /// A linear map from width `input` to width `embedding`.
    pub fn linear(input: usize, embedding: usize) -> Self {
        let (architecture, hidden, output) = Default::default();
        Self { format: FORMAT, architecture, input, hidden, embedding, dropout: 0., output }
    }
}

/// A linear map or a multi-layer perceptron over vectors of any origin: text, audio, tables, cached features of a network that
/// stays as it is.
///
/// # Shapes
/// (B, F) to (B, D).
///
/// # Examples
/// ```
/// # use candle_core::{DType, Device, Tensor};
/// # use npair_backbones::{EmbeddingModel, VectorNet, VectorNetConfig};
/// # use npair_nn::Mode; use npair_types::Streams;
/// let config = VectorNetConfig { hidden: vec![32], ..VectorNetConfig::linear(100, 16) };
/// let net = VectorNet::new(config, Streams::new(1), DType::F32, &Device::Cpu)?;
/// let rows = Tensor::ones((3, 100), DType::F32, &Device::Cpu)?;
/// assert_eq!(EmbeddingModel::forward(&net, &rows, &Mode::Eval)?.dims(), [3, 16]);
/// # Ok::<(), npair_backbones::Error>(())
/// ```
#[derive(Debug)]
pub struct VectorNet {
    config: VectorNetConfig,
    varmap: VarMap,
    hidden: Vec<Linear>,
    dropout: Dropout,
    head: Linear,
}

impl VectorNet {
    /// The network of `config`, its first weights drawn from `streams`: parameters `hidden.N.*` and `head.*`.
    ///
    /// # Errors
    /// [`Error::Setting`] if a width is 0 or dropout is out of range.
    pub fn new(config: VectorNetConfig, streams: Streams, dtype: DType, device: &Device) -> Result<Self> {
        let widths = [("input", config.input), ("embedding", config.embedding)];
        let hidden = config.hidden.iter().map(|&width| ("hidden", width));
        if let Some((name, _)) = widths.into_iter().chain(hidden).find(|(_, width)| *width == 0) {
            let want = "has to be at least 1".to_owned();
            return Err(Error::Setting { name, got: "0".to_owned(), want });
        }
        let varmap = VarMap::new(streams, dtype, device);
        let root = varmap.root();
        let mut width = config.input;
        let mut layers = Vec::with_capacity(config.hidden.len());
        for (at, &next) in config.hidden.iter().enumerate() {
            let vb = root.pp("hidden").pp(at);
            layers.push(Linear::with_init(&vb, width, next, true, Init::KaimingNormal)?);
            width = next;
        }
        let dropout = Dropout::new(&root.pp("dropout"), config.dropout)?;
        // As of a head over a backbone: inner products of embeddings start at about 1.
        let init = Init::Normal((width as f64 * (config.embedding as f64).sqrt()).sqrt().recip());
        let head = Linear::with_init(&root.pp("head"), width, config.embedding, true, init)?;
        Ok(Self { config, varmap, hidden: layers, dropout, head })
    }

    /// Reads a network that [`save`](EmbeddingModel::save) wrote.
    ///
    /// # Errors
    /// [`Error::File`] if a file cannot be read, [`Error::Content`] if it is damaged or of another network.
    pub fn open(dir: impl AsRef<Path>, dtype: DType, device: &Device) -> Result<Self> {
        let dir = dir.as_ref();
        let config = weights_file::read_config(dir)?;
        let net = Self::new(config, Streams::new(0), dtype, device)?;
        net.load(dir)?;
        Ok(net)
    }

    /// The settings.
    pub fn config(&self) -> &VectorNetConfig {
        &self.config
    }

    /// The parameters.
    pub fn varmap(&self) -> &VarMap {
        &self.varmap
    }

    fn check(&self, rows: &Tensor) -> Result<()> {
        match *rows.dims() {
            [_, width] if width == self.config.input => Ok(()),
            ref got => Err(Error::Rows { got: got.to_vec(), width: self.config.input }),
        }
    }

    fn run(&self, rows: &Node, tape: &mut Tape) -> npair_nn::Result<Node> {
        let mut x = rows.clone();
        for layer in &self.hidden {
            x = Relu.record(&layer.record(&x, tape)?, tape)?;
        }
        self.head.record(&self.dropout.record(&x, tape)?, tape)
    }
}

impl EmbeddingModel for VectorNet {
    fn forward(&self, rows: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.check(rows)?;
        let run = |rows: &Node, tape: &mut Tape| self.run(rows, tape);
        self.config.output.apply(match mode {
            Mode::Eval => forward_no_grad(rows, &Mode::Eval, run)?,
            Mode::Train { .. } => forward(rows, mode, run)?,
        })
    }

    fn forward_no_grad(&self, rows: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.check(rows)?;
        self.config.output.apply(forward_no_grad(rows, mode, |rows, tape| self.run(rows, tape))?)
    }

    fn variables(&self) -> Vec<(String, Var)> {
        self.varmap.trainable()
    }

    fn tensors(&self) -> Result<BTreeMap<String, Tensor>> {
        Ok(self.varmap.tensors()?)
    }

    fn set_tensors(&self, tensors: &HashMap<String, Tensor>) -> Result<()> {
        Ok(self.varmap.load(tensors)?)
    }

    fn save(&self, folder: &Path) -> Result<()> {
        weights_file::write(folder, &self.tensors()?)?;
        weights_file::write_config(folder, &self.config)
    }

    fn name(&self) -> &str {
        "vector-net"
    }

    fn stages(&self) -> Stages {
        let hidden = (0..self.hidden.len()).map(|at| format!("hidden.{at}"));
        hidden.fold(Stages::new(), |stages, layer| stages.then([layer])).then(["head"])
    }

    fn device(&self) -> Device {
        self.varmap.device().clone()
    }

    fn dtype(&self) -> DType {
        self.varmap.dtype()
    }
}

/// Whether a model folder holds a [`VectorNet`], and not a network of pictures.
///
/// # Errors
/// [`Error::File`] or [`Error::Content`] if its `config.json` cannot be read.
pub fn is_vector_net(dir: impl AsRef<Path>) -> Result<bool> {
    let config: serde_json::Value = weights_file::read_config(dir.as_ref())?;
    Ok(config.get("architecture").is_some())
}
