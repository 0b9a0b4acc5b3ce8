use crate::varmap::VarBuilder;
use crate::{Error, Layer, Node, Result, Tape};
use rand::Rng;

/// Stochastic depth: in training, a residual branch is left out for an image with probability p, and else divided by 1
/// - p; in evaluation, the identity.
///
/// Which images depends on (seed, step, name of the layer, row) alone, see [`crate::Mode`].
///
/// # Shapes
/// (B, ...); the result has the input's.
///
/// # Gradient
/// Through what is kept.
///
/// # Source
/// Huang et al., ECCV 2016, section 3.
#[derive(Debug, Clone)]
pub struct DropPath {
    name: String,
    probability: f64,
    key: u64,
}

impl DropPath {
    /// Stochastic depth with probability `probability`, its draws keyed by the prefix of `vb`.
    ///
    /// # Errors
    /// [`Error::Setting`] unless the probability lies in [0, 1).
    pub fn new(vb: &VarBuilder, probability: f64) -> Result<Self> {
        let name = super::input::label(vb.prefix(), "drop_path");
        if !(0. ..1.).contains(&probability) {
            let what = format!("probability {probability} does not lie in [0, 1)");
            return Err(Error::Setting { layer: name, what });
        }
        Ok(Self { name, probability, key: vb.key() })
    }
}

impl DropPath {
    /// Whether it changes anything in the passes of a tape.
    pub fn drops(&self, tape: &Tape) -> bool {
        self.probability > 0. && tape.mode().is_train()
    }
}

impl Layer for DropPath {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let rng = tape.mode().dropout(self.key, 1).filter(|_| self.probability > 0.);
        let Some(mut rng) = rng else { return Ok(x.clone()) };
        super::input::check(&self.name, x)?;
        let Some(&batch) = x.dims().first() else {
            return Err(super::input::wrong(&self.name, x, "a first axis of images is needed"));
        };
        let kept = 1. / (1. - self.probability);
        let factors: Vec<f64> =
            (0..batch).map(|_| if rng.random::<f64>() < self.probability { 0. } else { kept }).collect();
        let (backend, id) = (tape.backend(), x.id());
        let out = backend.scale_images(x.tensor(), &factors)?;
        Ok(tape.push(out, &[x], &[], move |grad, grads| grads.add(id, || Ok(backend.scale_images(&grad, &factors)?))))
    }
}
