//! Checked layers and blocks, for any device.

use candle_core::Tensor;

use crate::plan::ConvShape;
use crate::{Activation, BatchNorm, Mode};

/// The values to normalise.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// The input itself.
    Given,
    /// The input convolved with these weights.
    Convolved(ConvShape, Tensor),
}

/// A checked batch norm, alone or behind a convolution.
#[derive(Debug, Clone)]
pub(crate) struct NormPlan {
    /// The function that was called, for messages.
    pub(crate) op: &'static str,
    pub(crate) input: Input,
    /// Extents (N, H, W, C) of the result.
    pub(crate) output: (usize, usize, usize, usize),
    pub(crate) norm: BatchNorm,
    /// The activation; with a residual, a rectifier or none.
    pub(crate) after: Option<Activation>,
    pub(crate) mode: Mode,
}

/// A checked convolution and batch norm inside a block.
#[derive(Debug)]
pub(crate) struct LayerPlan {
    pub(crate) shape: ConvShape,
    pub(crate) weight: Tensor,
    pub(crate) norm: BatchNorm,
}

/// What is added to the output of a block's path, before the last rectifier.
#[derive(Debug)]
pub(crate) enum Shortcut {
    /// Nothing: the block is a plain stack of layers, as a network's stem is.
    Nothing,
    /// The block's input.
    Identity,
    /// The block's input, projected.
    Projection(LayerPlan),
}

/// A checked block of layers with a rectifier behind each.
#[derive(Debug)]
pub(crate) struct BlockPlan {
    pub(crate) path: Vec<LayerPlan>,
    pub(crate) shortcut: Shortcut,
}

impl BlockPlan {
    /// The block's layers, the projection last.
    pub(crate) fn layers(&self) -> impl Iterator<Item = &LayerPlan> {
        let projection = match &self.shortcut {
            Shortcut::Projection(plan) => Some(plan),
            Shortcut::Nothing | Shortcut::Identity => None,
        };
        self.path.iter().chain(projection)
    }

    /// Whether a parameter gets a gradient.
    pub(crate) fn is_trained(&self) -> bool {
        self.layers().flat_map(|layer| [&layer.weight, &layer.norm.weight, &layer.norm.bias]).any(Tensor::track_op)
    }
}

/// A convolution without bias, followed by batch norm.
///
/// | field | default | meaning |
/// | --- | --- | --- |
/// | `weight` | | filters (O, I, Kh, Kw) |
/// | `stride`, `padding` | | as for [`conv2d`](crate::conv2d()) |
/// | `norm` | | batch norm over the O output channels |
#[derive(Debug, Clone)]
pub struct ConvBatchNorm {
    /// Filters (O, I, Kh, Kw).
    pub weight: Tensor,
    /// Step of the window in both directions.
    pub stride: usize,
    /// Zeros on each side in both directions.
    pub padding: usize,
    /// Batch norm over the output channels.
    pub norm: BatchNorm,
}

/// A residual block: `relu(path(x) + shortcut(x))`.
///
/// The layers of `path` run in turn with a relu between them. Two 3x3 convolutions are He et al.'s basic block; 1x1, 3x3
/// and 1x1 are the bottleneck. Without a `shortcut`, the input itself is added.
///
/// # References
///
/// He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, 2015. arXiv:1512.03385
#[derive(Debug, Clone)]
pub struct ResidualBlock {
    /// The layers, at least one. The output of the last one is added to the shortcut.
    pub path: Vec<ConvBatchNorm>,
    /// The projection of the input, required if the path changes the shape.
    pub shortcut: Option<ConvBatchNorm>,
}
