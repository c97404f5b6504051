//! Stages one after the other, forward and backward, apart from any graph and any device.

use candle_core::Result;

use crate::Mode;
use crate::cuda::call::Pointer;
use crate::cuda::stream::Stream;

/// A part of a network with one input and one output: a residual block, or a layer.
pub(crate) trait Stage {
    /// What the forward pass leaves in memory `M` for the backward pass. The output is not in it: that is the chain's.
    type Left<M>;
    /// Where the gradients of the parameters go.
    type Gradients;

    fn input_bytes(&self) -> usize;

    fn output_bytes(&self) -> usize;

    fn forward<S: Stream>(&self, stream: &S, mode: Mode, x: Pointer, y: Pointer) -> Result<Self::Left<S::Memory>>;

    fn backward<S: Stream>(
        &self,
        stream: &S,
        mode: Mode,
        left: &Self::Left<S::Memory>,
        at: StageBackward,
        to: &Self::Gradients,
    ) -> Result<()>;
}

/// The tensors of a stage's backward pass; `dx` may be null.
#[derive(Clone, Copy)]
pub(crate) struct StageBackward {
    pub(crate) x: Pointer,
    pub(crate) y: Pointer,
    pub(crate) dy: Pointer,
    pub(crate) dx: Pointer,
}

/// What a stage of a chain leaves.
pub(crate) struct Saved<T: Stage, M> {
    left: T::Left<M>,
    /// The stage's output, unless it is the last one's, which the graph keeps.
    output: Option<M>,
}

/// From `x` to `y`. What is left is for [`backward`], and empty where nobody will call that.
pub(crate) fn forward<T: Stage, S: Stream>(
    stream: &S,
    stages: &[T],
    mode: Mode,
    keep: bool,
    (x, y): (Pointer, Pointer),
) -> Result<Vec<Saved<T, S::Memory>>> {
    let mut saved = Vec::with_capacity(stages.len());
    // Where nothing is kept, only what the next stage reads lives on.
    let mut read = None;
    let mut input = x;
    for (index, stage) in stages.iter().enumerate() {
        let output = if index + 1 < stages.len() { Some(stream.memory(stage.output_bytes())?) } else { None };
        let to = output.as_ref().map_or(y, S::address);
        let left = stage.forward(stream, mode, input, to)?;
        if keep {
            saved.push(Saved { left, output });
        } else {
            drop(std::mem::replace(&mut read, output));
        }
        input = to;
    }
    Ok(saved)
}

/// The gradients of all parameters, and of `x`, unless `dx` is null.
pub(crate) fn backward<T: Stage, S: Stream>(
    stream: &S,
    stages: &[T],
    mode: Mode,
    saved: &[Saved<T, S::Memory>],
    (x, y): (Pointer, Pointer),
    (dy, dx): (Pointer, Pointer),
    gradients: &[T::Gradients],
) -> Result<()> {
    let output_of = |index: usize| saved[index].output.as_ref().map(S::address);
    let mut carried: Option<S::Memory> = None;
    for (index, stage) in stages.iter().enumerate().rev() {
        let next = if index > 0 { Some(stream.memory(stage.input_bytes())?) } else { None };
        let at = StageBackward {
            x: index.checked_sub(1).and_then(output_of).unwrap_or(x),
            y: output_of(index).unwrap_or(y),
            dy: carried.as_ref().map_or(dy, S::address),
            dx: next.as_ref().map_or(dx, S::address),
        };
        stage.backward(stream, mode, &saved[index].left, at, &gradients[index])?;
        carried = next;
    }
    Ok(())
}
