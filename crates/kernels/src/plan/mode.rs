//! The two words that say how a normalised layer behaves.

use candle_core::Tensor;

/// Whether batch norm uses the statistics of the batch at hand or those gathered during training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Statistics of the batch; the running statistics are updated.
    Train,
    /// The running statistics, unchanged.
    Eval,
}

/// What follows a batch norm in the same pass over memory.
///
/// The gradient of the rectifier is 0 where the output is 0, as PyTorch has it.
#[derive(Debug, Clone, Copy)]
pub enum After<'a> {
    /// The normalised value as it is.
    Nothing,
    /// `max(y, 0)`.
    Relu,
    /// `max(y + residual, 0)`, the end of a residual block; the residual has the shape of `y`.
    AddRelu(&'a Tensor),
}
