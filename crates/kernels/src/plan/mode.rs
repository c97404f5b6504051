//! Batch norm's mode, and the operation after it.

use candle_core::Tensor;

use crate::Activation;

/// Which statistics batch norm uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// Statistics of the batch; the running statistics are updated.
    Train,
    /// The running statistics, unchanged.
    ///
    /// On the CPU, if neither input nor parameters are part of a graph, batch norm is folded into the convolution of the
    /// same node, unless a pool lies between them or a function other than relu follows. The results differ by rounding.
    Eval,
    /// Statistics of the batch; the running statistics are not changed. For a forward pass repeated for its gradients
    /// (checkpointing), or one at trial weights.
    BatchOnly,
}

impl Mode {
    /// Whether the batch is normalised with its own statistics.
    pub(crate) fn uses_batch(self) -> bool {
        self != Self::Eval
    }
}

/// The operation after a batch norm, in the same pass over memory.
///
/// The gradient of relu is 0 where the output is 0, as in PyTorch.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum After<'a> {
    /// No operation: the normalised value.
    Nothing,
    /// `max(y, 0)`.
    Relu,
    /// `max(y + residual, 0)`, the end of a residual block; the residual has the shape of `y`.
    AddRelu(&'a Tensor),
    /// A function of [`activate`](crate::activate()).
    Activation(Activation),
}
