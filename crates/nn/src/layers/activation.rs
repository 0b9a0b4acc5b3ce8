use super::input;
use crate::kernel::activation::Activation;
use crate::{Layer, Node, Result, Tape};

impl Activation {
    const NAME: &'static str = "activation";
}

impl Layer for Activation {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        input::check(Self::NAME, x)?;
        let (activation, backend, id) = (*self, tape.backend(), x.id());
        let out = backend.activate(activation, x.tensor())?;
        let kept = if activation.shows_its_slope() { out.clone() } else { x.tensor().clone() };
        Ok(tape.push(out, &[x], &[], move |grad, grads| {
            grads.add(id, || Ok(backend.activate_vjp(activation, &kept, &grad)?))
        }))
    }
}
