//! Residual blocks, any number of them, as one node of candle's graph.

use candle_core::Tensor;

use crate::check::{activation, require_device, require_parameter_dtype};
use crate::ops::extents::{conv_shape, require_values};
use crate::plan::{BlockPlan, ConvBatchNorm, ConvShape, LayerPlan, ResidualBlock};
use crate::{Error, Mode, Result, device};

/// Residual blocks one after the other, as a single node of the graph.
///
/// Equal to building them from [`conv2d_batch_norm`](crate::conv2d_batch_norm), and faster: for every tensor between two
/// nodes, candle clears, reads and writes a whole gradient; here the gradients inside are handed on in place, sums of
/// gradients are formed where the last term is computed, and all memory in between is kept from step to step. Give it the
/// whole trunk of a network.
///
/// `x` is (N, H, W, C), bf16, f32 or f64. Gradients go to `x` and to all weights, scales and shifts. In [`Mode::Train`] every
/// layer's running statistics are updated.
///
/// # Errors
///
/// Those of [`conv2d`](crate::conv2d()) and [`batch_norm`](crate::batch_norm()); [`Error::Argument`] for a path without
/// layers; [`Error::Shape`] if path and shortcut disagree.
///
/// ```
/// use candle_core::{DType, Device, Tensor, Var};
/// use lookahead_kernels::{BatchNorm, ConvBatchNorm, Mode, ResidualBlock, residual_blocks};
///
/// let layer = || -> candle_core::Result<ConvBatchNorm> {
///     let (ones, zeros) = (Tensor::ones(16, DType::F32, &Device::Cpu)?, Tensor::zeros(16, DType::F32, &Device::Cpu)?);
///     let norm = BatchNorm::new(ones.clone(), zeros.clone(), Var::from_tensor(&zeros)?, Var::from_tensor(&ones)?)?;
///     let weight = Tensor::randn(0f32, 0.1, (16, 16, 3, 3), &Device::Cpu)?;
///     Ok(ConvBatchNorm { weight, stride: 1, padding: 1, norm })
/// };
/// let block = ResidualBlock { path: vec![layer()?, layer()?], shortcut: None };
/// let x = Tensor::randn(0f32, 1., (2, 8, 8, 16), &Device::Cpu)?;
/// assert_eq!(residual_blocks(&x, &[block], Mode::Train)?.dims(), x.dims());
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn residual_blocks(x: &Tensor, blocks: &[ResidualBlock], mode: Mode) -> Result<Tensor> {
    let op = "residual_blocks";
    let mut extents = activation(op, "x", x)?;
    let mut plans = Vec::with_capacity(blocks.len());
    for block in blocks {
        if block.path.is_empty() {
            return Err(Error::Argument { op, argument: "path", rule: "at least one layer", value: "none".into() });
        }
        let input = extents;
        let mut path = Vec::with_capacity(block.path.len());
        for layer in &block.path {
            let (shape, plan) = check(op, x, layer, extents, mode)?;
            extents = (shape.batch, shape.output.0, shape.output.1, shape.channels_out);
            path.push(plan);
        }
        let shortcut = match &block.shortcut {
            Some(layer) => {
                let (shape, plan) = check(op, x, layer, input, mode)?;
                let output = (shape.batch, shape.output.0, shape.output.1, shape.channels_out);
                if output != extents {
                    let got = vec![output.0, output.1, output.2, output.3];
                    let expected = format!("{extents:?} to be added to the path's output");
                    return Err(Error::Shape { op, argument: "shortcut", expected, got });
                }
                Some(plan)
            }
            None if input != extents => {
                let expected = format!("{input:?}, the input's, in a block without a shortcut");
                let got = vec![extents.0, extents.1, extents.2, extents.3];
                return Err(Error::Shape { op, argument: "path", expected, got });
            }
            None => None,
        };
        plans.push(BlockPlan { path, shortcut });
    }
    if blocks.is_empty() {
        return Ok(x.clone());
    }
    device::residual_blocks(&x.contiguous()?, plans, extents, mode)
}

/// Checks one layer against the extents of what it is given.
fn check(
    op: &'static str,
    x: &Tensor,
    layer: &ConvBatchNorm,
    input: (usize, usize, usize, usize),
    mode: Mode,
) -> Result<(ConvShape, LayerPlan)> {
    require_device(op, "weight", &layer.weight)?;
    require_parameter_dtype(op, "weight", &layer.weight, x.dtype())?;
    let shape = conv_shape(op, input, &layer.weight, layer.stride, layer.padding)?;
    layer.norm.check(op, shape.channels_out, x.dtype())?;
    require_values(op, mode, shape.batch * shape.output.0 * shape.output.1)?;
    let weight = layer.weight.contiguous()?;
    Ok((shape, LayerPlan { shape, weight, norm: layer.norm.clone() }))
}
