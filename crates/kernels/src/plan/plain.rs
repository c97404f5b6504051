//! Layers without shortcuts.

use candle_core::Tensor;

use crate::plan::{ConvShape, PoolShape};
use crate::{Activation, BatchNorm};

/// A layer of [`plain_network`](crate::plain_network): a convolution, then, where they are wanted and in this order, a max pool, batch norm and a
/// function.
///
/// | field | default | meaning |
/// | --- | --- | --- |
/// | `weight` | | filters (O, I, Kh, Kw) |
/// | `bias` | none | (O), added to the convolution; a layer with a batch norm has its shift instead |
/// | `stride`, `padding` | 1, 0 | as for [`conv2d`](crate::conv2d()) |
/// | `pool` | 1 | side of the windows, which do not overlap, whose largest value remains; 1 to 15, and 1 is no pool; rows and columns left over are dropped |
/// | `norm` | none | batch norm over the O channels of what is pooled |
/// | `activation` | none | what follows |
#[derive(Debug, Clone)]
pub struct PlainLayer {
    /// Filters (O, I, Kh, Kw).
    pub weight: Tensor,
    /// Added to each output channel of the convolution, (O).
    pub bias: Option<Tensor>,
    /// Step of the window, both ways.
    pub stride: usize,
    /// Zeros on each side, both ways.
    pub padding: usize,
    /// Side of the pool's windows; 1 is none.
    pub pool: usize,
    /// Batch norm over the output channels.
    pub norm: Option<BatchNorm>,
    /// What follows.
    pub activation: Option<Activation>,
}

impl PlainLayer {
    /// A convolution with these filters and nothing behind it, stride 1 and no padding.
    pub fn new(weight: Tensor) -> Self {
        Self { weight, bias: None, stride: 1, padding: 0, pool: 1, norm: None, activation: None }
    }
}

/// A checked layer of a plain network.
#[derive(Debug)]
pub(crate) struct PlainPlan {
    pub(crate) shape: ConvShape,
    pub(crate) weight: Tensor,
    pub(crate) bias: Option<Tensor>,
    pub(crate) pool: Option<PoolShape>,
    pub(crate) norm: Option<BatchNorm>,
    pub(crate) after: Option<Activation>,
}

impl PlainPlan {
    /// Extents (N, H, W, C) of the result.
    pub(crate) fn output_extents(&self) -> (usize, usize, usize, usize) {
        match &self.pool {
            Some(pool) => (pool.batch, pool.output.0, pool.output.1, pool.channels),
            None => self.shape.output_extents(),
        }
    }
}
