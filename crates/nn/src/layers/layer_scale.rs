use super::input;
use crate::varmap::{Init, Parameter, VarBuilder};
use crate::{Error, Layer, Node, Result, Tape};

/// A learned factor for every channel, small at first, so that a deep residual network starts near the identity.
///
/// ```text
/// y_c = gamma_c x_c
/// ```
///
/// # Shapes
/// (..., C), gamma (C); the result has the input's.
///
/// # Gradient
/// To input and gamma.
///
/// # Errors
/// [`Error::Input`] if the last extent is not C.
///
/// # Source
/// Touvron et al., ICCV 2021 (CaiT), equation 3.
#[derive(Debug, Clone)]
pub struct LayerScale {
    name: String,
    gamma: Parameter,
}

impl LayerScale {
    /// A layer for `channels` channels with all factors `first`: `gamma` below `vb`.
    ///
    /// # Errors
    /// [`Error::Setting`] if there are no channels or `first` is not finite, [`Error::Duplicate`] if the name is taken.
    pub fn new(vb: &VarBuilder, channels: usize, first: f64) -> Result<Self> {
        let name = input::label(vb.prefix(), "layer_scale");
        if channels == 0 || !first.is_finite() {
            let what = format!("{channels} channels, first factor {first}: at least one channel and a finite factor");
            return Err(Error::Setting { layer: name, what });
        }
        Ok(Self { gamma: vb.trainable("gamma", channels, Init::Const(first))?, name })
    }

    /// The factors.
    pub(crate) fn gamma(&self) -> &Parameter {
        &self.gamma
    }
}

impl Layer for LayerScale {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        input::last(&self.name, x, self.gamma.dims()[0])?;
        let (backend, gamma, kept, id) = (tape.backend(), self.gamma.clone(), x.tensor().clone(), x.id());
        let out = backend.scale_channels(&kept, gamma.tensor())?;
        Ok(tape.push(out, &[x], &[&self.gamma], move |grad, grads| {
            grads.add_parameter(&gamma, || Ok(backend.sum_products(&kept, &grad)?))?;
            grads.add(id, || Ok(backend.scale_channels(&grad, gamma.tensor())?))
        }))
    }
}
