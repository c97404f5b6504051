//! Consecutive stages, forward and backward, independent of graph and device.

use candle_core::Result;

use crate::Mode;
use crate::cuda::call::Pointer;
use crate::cuda::stream::Stream;

/// A part of a network with one input and one output: a residual block, or a layer.
pub(crate) trait Stage {
    /// Data in memory `M` that the forward pass keeps for the backward pass, without the output, which the chain keeps.
    type Left<M>;
    /// Addresses for the gradients of the parameters.
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

/// Data that a stage of a chain keeps.
pub(crate) struct Saved<T: Stage, M> {
    left: T::Left<M>,
    /// The stage's output; `None` for the last stage, whose output the graph keeps.
    output: Option<M>,
}

/// Runs the stages from `x` to `y`. Returns the data for [`backward`]; empty if no backward pass follows.
pub(crate) fn forward<T: Stage, S: Stream>(
    stream: &S,
    stages: &[T],
    mode: Mode,
    keep: bool,
    (x, y): (Pointer, Pointer),
) -> Result<Vec<Saved<T, S::Memory>>> {
    let mut saved = Vec::with_capacity(stages.len());
    // If nothing is kept, only the input of the next stage stays alive.
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

/// Computes the gradients of the parameters and, unless `dx` is null, of `x`. `gradients` are those of the last stages: if there are
/// fewer than stages, those before them are not trained, and `dx` is null.
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
    let lowest = stages.len() - gradients.len();
    let mut carried: Option<S::Memory> = None;
    for (index, stage) in stages.iter().enumerate().skip(lowest).rev() {
        let next = if index > lowest { Some(stream.memory(stage.input_bytes())?) } else { None };
        let at = StageBackward {
            x: index.checked_sub(1).and_then(output_of).unwrap_or(x),
            y: output_of(index).unwrap_or(y),
            dy: carried.as_ref().map_or(dy, S::address),
            dx: next.as_ref().map_or(dx, S::address),
        };
        stage.backward(stream, mode, &saved[index].left, at, &gradients[index - lowest])?;
        carried = next;
    }
    Ok(())
}
