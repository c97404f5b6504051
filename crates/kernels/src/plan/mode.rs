//! The two words that say how a normalised layer behaves.

use candle_core::Tensor;

use crate::Activation;

/// Which statistics batch norm uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// Statistics of the batch; the running statistics are updated.
    Train,
    /// The running statistics, unchanged.
    Eval,
    /// Statistics of the batch; the running statistics are left alone, as in a forward pass that is run again for its
    /// gradients (checkpointing), or one at weights that are only being tried.
    BatchOnly,
}

impl Mode {
    /// Whether the batch's own statistics normalise it.
    pub(crate) fn uses_batch(self) -> bool {
        self != Self::Eval
    }
}

/// What follows a batch norm in the same pass over memory.
///
/// The gradient of the rectifier is 0 where the output is 0, as PyTorch has it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum After<'a> {
    /// The normalised value as it is.
    Nothing,
    /// `max(y, 0)`.
    Relu,
    /// `max(y + residual, 0)`, the end of a residual block; the residual has the shape of `y`.
    AddRelu(&'a Tensor),
    /// Any of the functions of [`activate`](crate::activate()).
    Activation(Activation),
}
