//! Any number of residual blocks, with or without a stem, as one graph node.

use candle_core::Tensor;

use crate::check::{activation, require_same_device, require_same_or_wide_dtype};
use crate::ops::extents::{conv_shape, require_values};
use crate::plan::{BlockPlan, Conv2dOptions, ConvBatchNorm, LayerPlan, ResidualBlock, Shortcut};
use crate::{Error, Mode, Result, device};

/// Consecutive residual blocks as a single graph node.
///
/// This equals building them from [`conv2d_batch_norm`](crate::conv2d_batch_norm), but is faster. For every tensor
/// between two nodes, candle clears, reads and writes a whole gradient. Here the inner gradients are passed on in
/// place, sums of gradients are formed where the last term is computed, and all intermediate memory is reused in the
/// next step. Pass the whole trunk of a network.
///
/// `x` is (N, H, W, C), bf16, f32 or f64. Gradients go to `x` and to all weights, scales and shifts. In
/// [`Mode::Train`], the running statistics of every layer are updated.
///
/// # Errors
///
/// Those of [`conv2d`](crate::conv2d()) and [`batch_norm`](crate::batch_norm()), before any running statistics are updated;
/// [`Error::Argument`] for a path without layers; [`Error::Shape`] if path and shortcut do not match.
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
    let mut stack = Stack::new("residual_blocks", x, mode)?;
    for block in blocks {
        stack.push(block)?;
    }
    stack.run()
}

/// A stem (a convolution with batch norm and relu) and the residual blocks after it, as a single graph node.
///
/// This equals [`conv2d_batch_norm`](crate::conv2d_batch_norm) with [`After::Relu`](crate::After::Relu), then
/// [`residual_blocks`]. It saves the gradient of the stem's output, which candle would clear, read and write.
///
/// # Errors
///
/// Those of [`residual_blocks`].
///
/// ```
/// use candle_core::{DType, Device, Tensor, Var};
/// use lookahead_kernels::{BatchNorm, ConvBatchNorm, Mode, ResidualBlock, residual_network};
///
/// let layer = |from: usize| -> candle_core::Result<ConvBatchNorm> {
///     let (ones, zeros) = (Tensor::ones(16, DType::F32, &Device::Cpu)?, Tensor::zeros(16, DType::F32, &Device::Cpu)?);
///     let norm = BatchNorm::new(ones.clone(), zeros.clone(), Var::from_tensor(&zeros)?, Var::from_tensor(&ones)?)?;
///     let weight = Tensor::randn(0f32, 0.1, (16, from, 3, 3), &Device::Cpu)?;
///     Ok(ConvBatchNorm { weight, stride: 1, padding: 1, norm })
/// };
/// let block = ResidualBlock { path: vec![layer(16)?, layer(16)?], shortcut: None };
/// let images = Tensor::randn(0f32, 1., (2, 8, 8, 3), &Device::Cpu)?;
/// assert_eq!(residual_network(&images, &layer(3)?, &[block], Mode::Train)?.dims(), [2, 8, 8, 16]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn residual_network(x: &Tensor, stem: &ConvBatchNorm, blocks: &[ResidualBlock], mode: Mode) -> Result<Tensor> {
    let mut stack = Stack::new("residual_network", x, mode)?;
    let plan = stack.layer(stem, stack.extents)?;
    stack.extents = plan.shape.output_extents();
    stack.plans.push(BlockPlan { path: vec![plan], shortcut: Shortcut::Nothing });
    for block in blocks {
        stack.push(block)?;
    }
    stack.run()
}

/// The blocks checked so far.
struct Stack<'a> {
    op: &'static str,
    x: &'a Tensor,
    mode: Mode,
    /// Extents (N, H, W, C) of the last block's output.
    extents: (usize, usize, usize, usize),
    plans: Vec<BlockPlan>,
}

impl<'a> Stack<'a> {
    fn new(op: &'static str, x: &'a Tensor, mode: Mode) -> Result<Self> {
        Ok(Self { op, x, mode, extents: activation(op, "x", x)?, plans: Vec::new() })
    }

    fn push(&mut self, block: &ResidualBlock) -> Result<()> {
        let (op, input) = (self.op, self.extents);
        if block.path.is_empty() {
            return Err(Error::Argument { op, argument: "path", rule: "at least one layer", value: "none".into() });
        }
        let mut output = input;
        let mut path = Vec::with_capacity(block.path.len());
        for layer in &block.path {
            let plan = self.layer(layer, output)?;
            output = plan.shape.output_extents();
            path.push(plan);
        }
        let list = |(n, h, w, c): (usize, usize, usize, usize)| vec![n, h, w, c];
        let shortcut = match &block.shortcut {
            Some(layer) => {
                let plan = self.layer(layer, input)?;
                if plan.shape.output_extents() != output {
                    let expected = format!("{output:?} to be added to the path's output");
                    let got = list(plan.shape.output_extents());
                    return Err(Error::Shape { op, argument: "shortcut", expected, got });
                }
                Shortcut::Projection(plan)
            }
            None if input != output => {
                let expected = format!("{input:?}, the input's, in a block without a shortcut");
                return Err(Error::Shape { op, argument: "path", expected, got: list(output) });
            }
            None => Shortcut::Identity,
        };
        self.extents = output;
        self.plans.push(BlockPlan { path, shortcut });
        Ok(())
    }

    /// Checks one layer against the extents of its input.
    fn layer(&self, layer: &ConvBatchNorm, input: (usize, usize, usize, usize)) -> Result<LayerPlan> {
        let (op, dtype) = (self.op, self.x.dtype());
        require_same_device(op, "weight", &layer.weight, self.x.device(), "x")?;
        require_same_or_wide_dtype(op, "weight", &layer.weight, dtype, "x")?;
        let options = Conv2dOptions { stride: layer.stride, padding: layer.padding, ..Conv2dOptions::default() };
        let shape = conv_shape(op, input, &layer.weight, options)?;
        let norm = layer.norm.checked(op, shape.channels_out, dtype, self.x.device(), "x")?;
        require_values(op, self.mode, shape.output_extents())?;
        Ok(LayerPlan { shape, weight: layer.weight.contiguous()?, norm })
    }

    fn run(self) -> Result<Tensor> {
        if self.plans.is_empty() {
            return Ok(self.x.clone());
        }
        device::residual_blocks(&self.x.contiguous()?, self.plans, self.extents, self.mode)
    }
}
