//! Residual blocks on the device: composed of the fused layers, a node each.

use candle_core::Tensor;

use crate::cuda::device::batch_norm::batch_norm;
use crate::plan::{BlockPlan, Input, LayerPlan, NormPlan};
use crate::{Mode, Result};

/// [`residual_blocks`](crate::residual_blocks) of checked blocks and a contiguous input.
pub(crate) fn residual_blocks(
    x: &Tensor,
    plans: Vec<BlockPlan>,
    _: (usize, usize, usize, usize),
    mode: Mode,
) -> Result<Tensor> {
    let mut x = x.clone();
    for BlockPlan { path, shortcut } in plans {
        let residual = match shortcut {
            Some(plan) => layer(&x, plan, None, false, mode)?,
            None => x.clone(),
        };
        let count = path.len();
        for (index, plan) in path.into_iter().enumerate() {
            x = layer(&x, plan, (index + 1 == count).then_some(&residual), true, mode)?;
        }
    }
    Ok(x)
}

fn layer(x: &Tensor, plan: LayerPlan, residual: Option<&Tensor>, relu: bool, mode: Mode) -> Result<Tensor> {
    let LayerPlan { shape, weight, norm } = plan;
    let output = (shape.batch, shape.output.0, shape.output.1, shape.channels_out);
    let input = Input::Convolved(shape, weight);
    batch_norm(x, residual, NormPlan { op: "residual_blocks", input, output, norm, relu, mode })
}
