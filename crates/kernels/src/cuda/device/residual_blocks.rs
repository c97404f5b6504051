//! Residual blocks on the device: composed of the fused layers, a node each.

use candle_core::Tensor;

use crate::cuda::device::batch_norm::batch_norm;
use crate::plan::{BlockPlan, Input, LayerPlan, NormPlan, Shortcut};
use crate::{Activation, Mode, Result};

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
            Shortcut::Nothing => None,
            Shortcut::Identity => Some(x.clone()),
            Shortcut::Projection(plan) => Some(layer(&x, plan, None, None, mode)?),
        };
        let count = path.len();
        for (index, plan) in path.into_iter().enumerate() {
            let residual = residual.as_ref().filter(|_| index + 1 == count);
            x = layer(&x, plan, residual, Some(Activation::Relu), mode)?;
        }
    }
    Ok(x)
}

fn layer(
    x: &Tensor,
    plan: LayerPlan,
    residual: Option<&Tensor>,
    after: Option<Activation>,
    mode: Mode,
) -> Result<Tensor> {
    let LayerPlan { shape, weight, norm } = plan;
    let output = shape.output_extents();
    let input = Input::Convolved(shape, weight);
    batch_norm(x, residual, NormPlan { op: "residual_blocks", input, output, norm, after, mode })
}
