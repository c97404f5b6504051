//! Operations of language models, composed of candle's, for every device but the CPU.

use candle_core::{Result, Tensor};

use crate::LstmState;
use crate::plan::LstmPlan;

/// `x W^T + b` over the last axis of `x`.
pub(crate) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (outputs, inputs) = weight.dims2()?;
    let mut shape = x.dims().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = outputs;
    }
    let y = x.reshape(((), inputs))?.matmul(&weight.t()?.contiguous()?)?;
    match bias {
        Some(bias) => y.broadcast_add(bias)?,
        None => y,
    }
    .reshape(shape)
}

/// Rows of a table, and their product with a constant. Ids are not checked.
pub(crate) fn embedding(_: &'static str, weight: &Tensor, ids: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let (_, width) = weight.dims2()?;
    let rows = weight.index_select(&ids.flatten_all()?, 0)?.reshape([ids.dims(), &[width]].concat())?;
    match mask {
        Some(mask) => masked(&rows, mask),
        None => Ok(rows),
    }
}

/// A product with a constant.
pub(crate) fn masked(x: &Tensor, mask: &Tensor) -> Result<Tensor> {
    x.broadcast_mul(mask)
}

/// An LSTM layer, step by step.
pub(crate) fn lstm(x: &Tensor, plan: LstmPlan) -> Result<(Tensor, LstmState)> {
    let LstmPlan { steps, batch, hidden, layer, mut state, .. } = plan;
    let bias = layer.biases.as_ref().map(|(ih, hh)| ih + hh).transpose()?;
    let sums = linear(x, &layer.weight_ih, bias.as_ref())?.reshape((steps * batch, 4 * hidden))?;
    let mut outputs = Vec::with_capacity(steps);
    for step in 0..steps {
        let sums = (sums.narrow(0, step * batch, batch)? + linear(&state.hidden, &layer.weight_hh, None)?)?;
        let gate = |index: usize| sums.narrow(1, index * hidden, hidden)?.contiguous();
        let (input, forget) = (logistic(&gate(0)?)?, logistic(&gate(1)?)?);
        let (new, output) = (gate(2)?.tanh()?, logistic(&gate(3)?)?);
        let cell = ((forget * &state.cell)? + (input * new)?)?;
        state = LstmState { hidden: (output * cell.tanh()?)?, cell };
        outputs.push(state.hidden.clone());
    }
    Ok((Tensor::stack(&outputs, 0)?, state))
}

/// `1 / (1 + e^-x) = (1 + tanh(x / 2)) / 2`, which does not overflow.
fn logistic(x: &Tensor) -> Result<Tensor> {
    ((x * 0.5)?.tanh()? + 1.0)? * 0.5
}
