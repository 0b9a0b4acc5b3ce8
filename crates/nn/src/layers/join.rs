//! Where branches of a network meet.

use super::input;
use crate::{Error, Node, Result, Tape};

/// The sum of two values of one shape.
///
/// # Errors
/// [`Error::Input`] if the shapes differ.
pub fn sum(a: &Node, b: &Node, tape: &mut Tape) -> Result<Node> {
    const NAME: &str = "sum";
    input::check(NAME, a)?;
    if a.dims() != b.dims() {
        return Err(input::wrong(NAME, a, format!("what is added to it has shape {:?}", b.dims())));
    }
    let out = tape.backend().add(a.tensor(), b.tensor())?;
    let (left, right) = (a.id(), b.id());
    Ok(tape.push(out, &[a, b], &[], move |grad, grads| {
        grads.add(left, || Ok(grad.clone()))?;
        grads.add(right, || Ok(grad))
    }))
}

/// Values side by side along their last axis: channels of images.
///
/// # Errors
/// [`Error::Input`] if there are none or they differ in another axis.
pub fn concat(values: &[&Node], tape: &mut Tape) -> Result<Node> {
    const NAME: &str = "concat";
    let Some((first, rest)) = values.split_first() else {
        return Err(Error::Setting { layer: NAME.to_owned(), what: "no values: give at least one".to_owned() });
    };
    let Some((_, head)) = first.dims().split_last() else {
        return Err(input::wrong(NAME, first, "a scalar has no last axis"));
    };
    for value in values {
        input::check(NAME, value)?;
    }
    if let Some(other) = rest.iter().find(|v| v.dims().split_last().map(|(_, h)| h) != Some(head)) {
        return Err(input::wrong(NAME, other, format!("what it stands beside has shape {:?}", first.dims())));
    }
    let widths: Vec<usize> = values.iter().map(|v| v.dims()[head.len()]).collect();
    let tensors: Vec<_> = values.iter().map(|v| v.tensor()).collect();
    let ids: Vec<_> = values.iter().map(|v| v.id()).collect();
    let backend = tape.backend();
    Ok(tape.push(backend.concat(&tensors)?, values, &[], move |grad, grads| {
        let mut start = 0;
        for (id, width) in ids.into_iter().zip(widths) {
            grads.add(id, || Ok(backend.columns(&grad, start, width)?))?;
            start += width;
        }
        Ok(())
    }))
}
