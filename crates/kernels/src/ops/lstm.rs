//! An LSTM layer as one node.

use candle_core::Tensor;

use crate::check::{require_device, require_two_floats};
use crate::plan::LstmPlan;
use crate::{Lstm, LstmState, Result, device};

/// An LSTM layer over all steps of `x`, as one graph node. Returns the outputs and the state after the last step.
///
/// | tensor | shape | |
/// | --- | --- | --- |
/// | `x` | (T, B, I) | f32 or f64; steps first, so that each step is contiguous |
/// | `state` | (B, H) each | the state before the first step, same type |
/// | outputs | (T, B, H) | |
/// | last state | (B, H) each | part of the graph, like the outputs |
///
/// `i = s(a1)`, `f = s(a2)`, `g = tanh(a3)`, `o = s(a4)`, `c = f c' + i g`, `h = o tanh(c)`, with
/// `a = W_ih x + b_ih + W_hh h' + b_hh`. Gradients go to `x`, both weights, both biases and the state before the first step.
///
/// On the CPU, the inputs of all steps are multiplied at once, and so are the weights' gradients. The gates and cells
/// of each step are kept for backward: 5 H numbers per step and sequence. Results have the same bits on any number of
/// threads. On CUDA and Metal, the layer is composed of candle's operations, step by step: correct but slow, with a
/// backward pass that is quadratic in the steps.
///
/// # Errors
///
/// An error names the argument whose shape, type or device does not match. [`Error::Argument`](crate::Error::Argument)
/// if there is no step, sequence, input or unit, or if the gates of all steps are more than memory can hold.
///
/// # References
///
/// Hochreiter, Schmidhuber: Long Short-Term Memory, 1997; Gers, Schmidhuber, Cummins: Learning to Forget, 2000, for the forget gate.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use lookahead_kernels::{Lstm, LstmState, lstm};
///
/// let device = Device::Cpu;
/// let layer = Lstm {
///     weight_ih: Tensor::randn(0f32, 0.1, (12, 5), &device)?,
///     weight_hh: Tensor::randn(0f32, 0.1, (12, 3), &device)?,
///     biases: None,
/// };
/// let x = Tensor::randn(0f32, 1., (7, 2, 5), &device)?; // seven steps of two sequences
/// let state = LstmState::zeros(2, 3, DType::F32, &device)?;
/// let (y, state) = lstm(&x, &layer, &state)?;
/// assert_eq!((y.dims(), state.cell.dims()), (&[7, 2, 3][..], &[2, 3][..]));
/// let (y, _) = lstm(&x, &layer, &state.detach())?; // continues from the last state
/// # assert_eq!(y.dims(), [7, 2, 3]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn lstm(x: &Tensor, layer: &Lstm, state: &LstmState) -> Result<(Tensor, LstmState)> {
    require_device("lstm", "x", x)?;
    require_two_floats("lstm", "x", x)?;
    let plan = LstmPlan::checked(x, layer, state)?;
    device::lstm(&x.contiguous()?, plan)
}
