//! Layers without shortcuts.

use candle_core::Tensor;

use crate::plan::{ConvShape, PoolShape};
use crate::{Activation, BatchNorm};

/// A layer of [`plain_network`](crate::plain_network): a convolution, then an optional max pool, batch norm and activation,
/// in this order.
///
/// | field | default | meaning |
/// | --- | --- | --- |
/// | `weight` | | filters (O, I, Kh, Kw) |
/// | `bias` | none | (O), added to the convolution; not allowed with `norm`, which has a shift |
/// | `stride`, `padding` | 1, 0 | as for [`conv2d`](crate::conv2d()) |
/// | `pool` | 1 | side of the max pool's windows, 1 to 16; 1 means no pool. Windows do not overlap; remaining rows and columns are dropped |
/// | `norm` | none | batch norm over the O channels, after the pool |
/// | `activation` | none | activation function, after the norm |
#[derive(Debug, Clone)]
pub struct PlainLayer {
    /// Filters (O, I, Kh, Kw).
    pub weight: Tensor,
    /// Added to each output channel of the convolution, (O).
    pub bias: Option<Tensor>,
    /// Step of the window in both directions.
    pub stride: usize,
    /// Zeros on each side in both directions.
    pub padding: usize,
    /// Side of the max pool's windows; 1 for no pool.
    pub pool: usize,
    /// Batch norm over the output channels.
    pub norm: Option<BatchNorm>,
    /// The activation function, after the norm.
    pub activation: Option<Activation>,
}

impl PlainLayer {
    /// A convolution with these filters alone, with stride 1 and no padding.
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
    /// A convolution alone.
    pub(crate) fn convolution(shape: ConvShape, weight: &Tensor, bias: Option<&Tensor>) -> Self {
        Self { shape, weight: weight.clone(), bias: bias.cloned(), pool: None, norm: None, after: None }
    }

    /// Whether a parameter gets a gradient.
    pub(crate) fn is_trained(&self) -> bool {
        let of_norm = self.norm.iter().flat_map(|norm| [&norm.weight, &norm.bias]);
        [&self.weight].into_iter().chain(&self.bias).chain(of_norm).any(Tensor::track_op)
    }

    /// Extents (N, H, W, C) of the result.
    pub(crate) fn output_extents(&self) -> (usize, usize, usize, usize) {
        match &self.pool {
            Some(pool) => (pool.batch, pool.output.0, pool.output.1, pool.channels),
            None => self.shape.output_extents(),
        }
    }
}
