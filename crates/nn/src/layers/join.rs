//! Where branches of a network meet.

use super::input;
use crate::kernel::{by_dtype, columns};
use crate::op::{slice, tensor, with};
use crate::{Error, Node, Result, Tape, composed, op};

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
    let out = op::add(a.tensor(), b.tensor())?;
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
    let total: usize = widths.iter().sum();
    let (rows, shape) = (head.iter().product::<usize>(), [head, &[total]].concat());
    let dtype = first.tensor().dtype();
    if composed::wanted(first.tensor()) {
        let tensors: Vec<_> = values.iter().map(|v| v.tensor()).collect();
        let ids: Vec<_> = values.iter().map(|v| v.id()).collect();
        return Ok(tape.push(composed::join::concat(&tensors)?, values, &[], move |grad, grads| {
            let mut start = 0;
            for (id, width) in ids.into_iter().zip(widths) {
                grads.add(id, || Ok(composed::join::part(&grad, start, width)?))?;
                start += width;
            }
            Ok(())
        }));
    }
    let out = by_dtype!(dtype, NAME, T => {
        let storages: Vec<_> = values.iter().map(|v| v.tensor().storage_and_layout()).collect();
        let parts = storages.iter().zip(&widths).map(|((s, layout), &width)| Ok((slice::<T>(s, layout)?, width)));
        let out = columns::beside(&parts.collect::<Result<Vec<_>>>()?, rows);
        tensor(out, shape)
    })?;
    let ids: Vec<_> = values.iter().map(|v| v.id()).collect();
    let shapes: Vec<_> = values.iter().map(|v| v.tensor().shape().clone()).collect();
    Ok(tape.push(out, values, &[], move |grad, grads| {
        let mut start = 0;
        for ((id, shape), width) in ids.into_iter().zip(shapes).zip(widths) {
            let from = start;
            start += width;
            grads.add(id, || {
                Ok(by_dtype!(dtype, NAME, T => with(&grad, |g: &[T]| {
                    tensor(columns::gather(g, total, from, width), shape)
                }))?)
            })?;
        }
        Ok(())
    }))
}
