//! Residual blocks on the device: composed of the fused layers, a node each.

use candle_core::Tensor;

use crate::cuda::device::norm::norm;
use crate::norm_op::Source;
use crate::residual_op::{Plan, UnitPlan};
use crate::{Mode, Result};

/// [`residual_blocks`](crate::residual_blocks) of checked blocks and a contiguous input.
pub(crate) fn residual_blocks(x: &Tensor, plans: &[Plan], mode: Mode) -> Result<Tensor> {
    let mut x = x.clone();
    for Plan { path, shortcut } in plans {
        let residual = match shortcut {
            Some(unit) => layer(&x, unit, None, false, mode)?,
            None => x.clone(),
        };
        for (index, unit) in path.iter().enumerate() {
            let last = index + 1 == path.len();
            x = layer(&x, unit, last.then_some(&residual), true, mode)?;
        }
    }
    Ok(x)
}

fn layer(x: &Tensor, unit: &UnitPlan, residual: Option<&Tensor>, relu: bool, mode: Mode) -> Result<Tensor> {
    let shape = unit.shape;
    let output = (shape.batch, shape.output.0, shape.output.1, shape.channels_out);
    norm("residual_blocks", x, Source::Conv2d(shape, unit.weight.clone()), output, &unit.norm, residual, relu, mode)
}
