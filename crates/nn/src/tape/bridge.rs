//! Between a tape and candle's graph.

use super::gradients::{Gradients, Operation};
use super::{Node, NodeId, Recording, Tape};
use crate::backend::{self, Backend};
use crate::{Mode, Result};
use candle_core::backend::BackendStorage;
use candle_core::backprop::GradStore;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp2, CustomOp3, DType, Layout, MetalStorage, Shape, Tensor, TensorId,
};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Runs `f` and gives a tensor that candle can differentiate, once, with respect to `x` and all parameters that `f`
/// met: `loss.backward()` has them all.
///
/// # Errors
/// Those of `f`. Asking for a second backward pass through the result is an error of that pass: what it needs has been
/// freed by the first.
pub fn forward(x: &Tensor, mode: &Mode, f: impl FnOnce(&Node, &mut Tape) -> Result<Node>) -> Result<Tensor> {
    forward_on(backend::of(x.device()), x, mode, f)
}

/// The same with a given backend.
///
/// # Errors
/// Those of [`forward`].
pub fn forward_on(
    backend: &'static dyn Backend,
    x: &Tensor,
    mode: &Mode,
    f: impl FnOnce(&Node, &mut Tape) -> Result<Node>,
) -> Result<Tensor> {
    let mut recording = Recording::default();
    let mut input = Node::constant(&backend.enter(&x.detach())?)?;
    if x.track_op() {
        recording.operations.push(None);
        input.id = NodeId::at(0);
    }
    let mut tape = Tape { mode: *mode, backend, recording: Some(recording) };
    let out = f(&input, &mut tape)?;
    let (dtype, found) = (out.tensor.dtype(), out.tensor.to_dtype(x.dtype())?);
    let (Some(recording), true) = (tape.recording, out.id.wants_grad()) else { return Ok(found) };
    let parameters = recording.parameters;
    let pending =
        Pending(Arc::new(Mutex::new(State::Waiting { operations: recording.operations, end: out.id, dtype, backend })));
    // Every link hands the result on and has up to two tensors of its own; the last one made is asked first for its
    // gradients, walks the tape and leaves the others theirs.
    let mut end = unshared(found)?;
    if x.track_op() {
        end = end.apply_op2(x, Link::new(&pending, [None, None]))?;
    }
    for pair in parameters.chunks(2) {
        end = match pair {
            [a, b] => {
                let ids = [Some(a.id()), Some(b.id())];
                end.apply_op3(a.tensor(), b.tensor(), Link::new(&pending, ids))?
            }
            [a, ..] => end.apply_op2(a.tensor(), Link::new(&pending, [Some(a.id()), None]))?,
            [] => end,
        };
    }
    Ok(end)
}

/// Runs `f` as [`forward`] does, dropout and statistics of the batch included, and gives the same bits in training, but
/// keeps nothing for gradients and leaves the running statistics as they are: for evaluation, and for a pass that is run
/// again with a recording.
///
/// # Errors
/// Those of `f`.
pub fn forward_no_grad(x: &Tensor, mode: &Mode, f: impl FnOnce(&Node, &mut Tape) -> Result<Node>) -> Result<Tensor> {
    forward_no_grad_on(backend::of(x.device()), x, mode, f)
}

/// The same with a given backend.
///
/// # Errors
/// Those of [`forward_no_grad`].
pub fn forward_no_grad_on(
    backend: &'static dyn Backend,
    x: &Tensor,
    mode: &Mode,
    f: impl FnOnce(&Node, &mut Tape) -> Result<Node>,
) -> Result<Tensor> {
    let mut tape = Tape { mode: *mode, backend, recording: None };
    Ok(f(&Node::constant(&backend.enter(&x.detach())?)?, &mut tape)?.tensor.to_dtype(x.dtype())?)
}

/// The tensor, alone in its storage: a link hands a copy of all of the storage on.
fn unshared(tensor: Tensor) -> Result<Tensor> {
    let whole = {
        let (_, layout) = tensor.storage_and_layout();
        layout.start_offset() == 0 && layout.is_contiguous()
    };
    Ok(if whole { tensor } else { tensor.force_contiguous()? })
}

/// The gradients of `loss`, as `loss.backward()` has them, but those of parameters are handed over as they are: candle
/// begins every one with zeros and adds to it, on one thread, which for a network of 25 million values takes as long as
/// a few layers.
///
/// # Errors
/// Those of candle's backward pass.
///
/// ```
/// # use npair_nn::{Init, Layer, Linear, Mode, VarMap, backward}; use npair_types::Streams;
/// # use candle_core::{DType, Device, Tensor};
/// let varmap = VarMap::new(Streams::new(1), DType::F32, &Device::Cpu);
/// let layer = Linear::with_init(&varmap.root(), 2, 1, false, Init::Ones)?;
/// let x = Tensor::new(&[[1f32, 2.]], &Device::Cpu)?;
/// let gradients = backward(&layer.forward(&x, &Mode::Eval)?.sum_all()?)?;
/// assert_eq!(gradients.get(&varmap.trainable()[0].1).unwrap().to_vec2::<f32>()?, [[1., 2.]]);
/// # Ok::<(), npair_nn::Error>(())
/// ```
pub fn backward(loss: &Tensor) -> Result<GradStore> {
    let outer = COLLECTED.replace(Some(Vec::new()));
    let found = loss.backward();
    let collected = COLLECTED.replace(outer).unwrap_or_default();
    let mut gradients = found?;
    for (parameter, gradient) in collected {
        // A parameter met in several passes, or by candle itself.
        let sum = match gradients.remove(&parameter) {
            None => gradient,
            Some(other) => backend::of(other.device()).add(&other, &gradient)?,
        };
        gradients.insert(&parameter, sum);
    }
    Ok(gradients)
}

thread_local! {
    /// What [`backward`] collects while it runs on this thread.
    static COLLECTED: RefCell<Option<Vec<(Tensor, Tensor)>>> = const { RefCell::new(None) };
}

/// A parameter's gradient for candle, unless somebody collects it.
fn hand_over(parameter: &Tensor, gradient: Option<Tensor>) -> Option<Tensor> {
    COLLECTED.with_borrow_mut(|collected| match (collected, gradient) {
        (Some(collected), Some(gradient)) if parameter.is_variable() => {
            collected.push((parameter.clone(), gradient));
            None
        }
        (_, gradient) => gradient,
    })
}

enum State {
    Waiting { operations: Vec<Operation>, end: NodeId, dtype: DType, backend: &'static dyn Backend },
    Done(Gradients),
    Failed,
}

/// The tape behind a result, or its gradients once they are found.
#[derive(Clone)]
struct Pending(Arc<Mutex<State>>);

impl Pending {
    fn gradient<R>(&self, grad: &Tensor, take: impl FnOnce(&mut Gradients) -> R) -> candle_core::Result<R> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Waiting { .. } = &*state
            && let State::Waiting { operations, end, dtype, backend } = std::mem::replace(&mut *state, State::Failed)
        {
            *state = State::Done(Gradients::walk(operations, end, grad.to_dtype(dtype)?, backend)?);
        }
        match &mut *state {
            State::Done(gradients) => Ok(take(gradients)),
            _ => candle_core::bail!("npair-nn: the backward pass through this result failed before"),
        }
    }
}

/// Identity of its first argument; a place in candle's graph where the gradients of the others leave the tape.
struct Link {
    pending: Pending,
    /// The parameters; where both are none the second argument is the pass's input.
    ids: [Option<TensorId>; 2],
    /// Whether it has been asked already.
    asked: AtomicBool,
}

impl Link {
    fn new(pending: &Pending, ids: [Option<TensorId>; 2]) -> Self {
        Self { pending: pending.clone(), ids, asked: AtomicBool::new(false) }
    }

    /// A copy, wherever it lies.
    fn identity<S: BackendStorage>(storage: &S, layout: &Layout) -> candle_core::Result<(S, Shape)> {
        Ok((storage.try_clone(layout)?, layout.shape().clone()))
    }

    fn take(&self, grad: &Tensor) -> candle_core::Result<[Option<Tensor>; 2]> {
        if self.asked.swap(true, Ordering::Relaxed) {
            candle_core::bail!("npair-nn: this result has been differentiated already; run the forward pass again");
        }
        let [first, second] = self.pending.gradient(grad, |found| match self.ids {
            [None, None] => [found.take_input(), None],
            ids => ids.map(|id| id.and_then(|id| found.take(id))),
        })?;
        // That of the input is found in what the pass computed in.
        Ok([first.map(|first| first.to_dtype(grad.dtype())).transpose()?, second])
    }
}

impl CustomOp2 for Link {
    fn name(&self) -> &'static str {
        "npair network"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        Self::identity(x, layout)
    }

    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        layout: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        Self::identity(x, layout)
    }

    fn metal_fwd(
        &self,
        x: &MetalStorage,
        layout: &Layout,
        _: &MetalStorage,
        _: &Layout,
    ) -> candle_core::Result<(MetalStorage, Shape)> {
        Self::identity(x, layout)
    }

    fn bwd(
        &self,
        _: &Tensor,
        other: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let [found, _] = self.take(grad)?;
        // candle wants a gradient of everything tracked that is no variable.
        let found = match found {
            None if !other.is_variable() => Some(other.zeros_like()?),
            found => found,
        };
        Ok((Some(grad.clone()), hand_over(other, found)))
    }
}

impl CustomOp3 for Link {
    fn name(&self) -> &'static str {
        "npair network"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        Self::identity(x, layout)
    }

    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        layout: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        Self::identity(x, layout)
    }

    fn metal_fwd(
        &self,
        x: &MetalStorage,
        layout: &Layout,
        _: &MetalStorage,
        _: &Layout,
        _: &MetalStorage,
        _: &Layout,
    ) -> candle_core::Result<(MetalStorage, Shape)> {
        Self::identity(x, layout)
    }

    fn bwd(
        &self,
        _: &Tensor,
        first: &Tensor,
        second: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [a, b] = self.take(grad)?;
        Ok((Some(grad.clone()), hand_over(first, a), hand_over(second, b)))
    }
}
