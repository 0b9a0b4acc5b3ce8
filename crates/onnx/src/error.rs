/// What cannot become an ONNX file; one line that names the thing, the cause and the cure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A network that is none of `BackboneConfig`.
    #[error("network {name}: no ONNX graph is known for it; export one of BackboneConfig::all()")]
    Architecture {
        /// Its name.
        name: String,
    },
    /// A weight that the graph needs and the network lacks.
    #[error(
        "weight {name}: the graph needs it, but the network has none (left); build the network from its own config"
    )]
    Missing {
        /// Its name.
        name: String,
    },
    /// Weights that the graph has no place for.
    #[error("{count} weights found no place in the graph, {first} the first; build the network from its own config")]
    Left {
        /// How many.
        count: usize,
        /// The first one's name.
        first: String,
    },
    /// A tensor of another shape than the graph needs.
    #[error("{at}: the shape is {got:?} (without the batch), but {want}; build the network from its own config")]
    Shape {
        /// Where in the graph.
        at: String,
        /// The shape.
        got: Vec<usize>,
        /// What is needed.
        want: String,
    },
    /// Training has left an exponent that no mean is taken with.
    #[error("exponent {name} is {got}, but a generalized mean needs one above 0; go back to an earlier checkpoint")]
    Exponent {
        /// Its name.
        name: String,
        /// Its value.
        got: f32,
    },
    /// Two facts of one name.
    #[error("fact {key} is given twice, and a reader would see one of them; leave one out")]
    Fact {
        /// The name.
        key: String,
    },
    /// More than a file of this kind can hold.
    #[error("the weights take {bytes} bytes, but an ONNX file holds less than 2 GiB; export a smaller network")]
    Large {
        /// Of the weights, in f32.
        bytes: usize,
    },
    /// An error of the network.
    #[error(transparent)]
    Network(#[from] npair_backbones::Error),
    /// An error of a layer or its weights.
    #[error(transparent)]
    Layer(#[from] npair_nn::Error),
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Layer(error.into())
    }
}

/// Result of this crate; with a second parameter it is the standard one, so that a glob import takes nothing away.
pub type Result<T, E = Error> = std::result::Result<T, E>;
