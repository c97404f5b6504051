//! An LSTM layer: parameters, state, and their checks against an input.

use candle_core::{DType, Device, Tensor};

use crate::check::{require_dtype, require_same_device, require_size, wrong_shape};
use crate::{Error, Result};

/// The parameters of an LSTM layer as in PyTorch's `nn.LSTM`, with the gates in the order input, forget, cell, output.
///
/// | field | shape | PyTorch's name in layer 0 |
/// | --- | --- | --- |
/// | `weight_ih` | (4 H, I) | `weight_ih_l0` |
/// | `weight_hh` | (4 H, H) | `weight_hh_l0` |
/// | `biases` | (4 H) each, or none | `bias_ih_l0`, `bias_hh_l0` |
///
/// For dropout of recurrent weights (DropConnect), pass `weight_hh` times a mask.
#[derive(Debug, Clone)]
pub struct Lstm {
    /// Input weights, (4 H, I).
    pub weight_ih: Tensor,
    /// Recurrent weights, (4 H, H).
    pub weight_hh: Tensor,
    /// Biases of the input and of the recurrent product, (4 H) each.
    pub biases: Option<(Tensor, Tensor)>,
}

/// The state of an LSTM layer between two steps: two tensors of shape (B, H).
///
/// The caller keeps it: pass the last state of one window as the first state of the next. [`LstmState::detach`] stops the
/// gradient between them.
#[derive(Debug, Clone)]
pub struct LstmState {
    /// The output of the last step, (B, H).
    pub hidden: Tensor,
    /// The cell state, (B, H).
    pub cell: Tensor,
}

impl LstmState {
    /// The state before a sequence: zeros.
    ///
    /// # Errors
    ///
    /// A candle error if memory cannot be allocated.
    pub fn zeros(batch: usize, hidden: usize, dtype: DType, device: &Device) -> Result<Self> {
        let zeros = || Tensor::zeros((batch, hidden), dtype, device);
        Ok(Self { hidden: zeros()?, cell: zeros()? })
    }

    /// The same values without a graph.
    pub fn detach(&self) -> Self {
        Self { hidden: self.hidden.detach(), cell: self.cell.detach() }
    }
}

/// A checked layer and state: everything contiguous, on one device, of one type.
#[derive(Debug, Clone)]
pub(crate) struct LstmPlan {
    pub(crate) steps: usize,
    pub(crate) batch: usize,
    pub(crate) inputs: usize,
    pub(crate) hidden: usize,
    pub(crate) layer: Lstm,
    pub(crate) state: LstmState,
}

impl LstmPlan {
    pub(crate) fn checked(x: &Tensor, layer: &Lstm, state: &LstmState) -> Result<Self> {
        let op = "lstm";
        let (steps, batch, inputs) = x.dims3().map_err(|_| wrong_shape(op, "x", "(T, B, I)".into(), x))?;
        let (rows, hidden) =
            layer.weight_hh.dims2().map_err(|_| wrong_shape(op, "weight_hh", "(4 H, H)".into(), &layer.weight_hh))?;
        if [steps, batch, inputs, hidden].contains(&0) {
            let value = format!("{steps} steps of {batch} sequences of {inputs}, {hidden} units");
            return Err(Error::Argument {
                op,
                argument: "x",
                rule: "of at least one step, sequence, input and unit",
                value,
            });
        }
        require_size(op, "gates", x.device().location(), &[steps, batch, 4, hidden])?;
        if rows != 4 * hidden {
            return Err(wrong_shape(op, "weight_hh", format!("({}, {hidden})", 4 * hidden), &layer.weight_hh));
        }
        let fitting = |argument, tensor: &Tensor, shape: &[usize]| {
            require_same_device(op, argument, tensor, x.device(), "x")?;
            require_dtype(op, argument, tensor, x.dtype(), "x")?;
            if tensor.dims() != shape {
                return Err(wrong_shape(op, argument, format!("{shape:?}"), tensor));
            }
            Ok(tensor.contiguous()?)
        };
        let biases = match &layer.biases {
            Some((ih, hh)) => Some((fitting("bias_ih", ih, &[rows])?, fitting("bias_hh", hh, &[rows])?)),
            None => None,
        };
        Ok(Self {
            steps,
            batch,
            inputs,
            hidden,
            layer: Lstm {
                weight_ih: fitting("weight_ih", &layer.weight_ih, &[rows, inputs])?,
                weight_hh: fitting("weight_hh", &layer.weight_hh, &[rows, hidden])?,
                biases,
            },
            state: LstmState {
                hidden: fitting("hidden", &state.hidden, &[batch, hidden])?,
                cell: fitting("cell", &state.cell, &[batch, hidden])?,
            },
        })
    }
}
