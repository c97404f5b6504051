//! The CPU: the functions that every device has, and below them the graph nodes, the choice of kernels, and the kernels.
//!
//! From the top: `graph` (nodes of candle's graph), `layer` (passes of a layer, independent of the graph), `choose` (selects
//! the kernel), `conv`, `batch_norm` and other families (kernels and their reference versions), `element`, `simd`,
//! `memory`. Each uses only what is below it.

mod activation;
mod batch_norm;
mod choose;
mod conv;
mod cross_entropy;
mod element;
mod embedding;
mod graph;
mod layer;
mod lstm;
mod memory;
mod pool;
mod product;
#[cfg(test)]
mod roofline;
mod row_norm;
mod run;
mod simd;
mod tensors;
#[cfg(test)]
pub(crate) mod twins;

use candle_core::{DType, Result, Tensor};
use half::bf16;

use crate::plan::{BlockPlan, ConvShape, LstmPlan, NormPlan, PlainPlan, PoolShape, RowNormPlan};
use crate::{Activation, LstmState, Mode};

pub use memory::release_workspace;

/// Calls the node for the element type of `$x`, f32 or f64.
macro_rules! by_float {
    ($x:expr, $node:ident($($argument:expr),*)) => {
        match $x.dtype() {
            DType::F64 => graph::$node::<f64>($($argument),*),
            _ => graph::$node::<f32>($($argument),*),
        }
    };
}

/// Calls the node for the element type of `$x`.
macro_rules! by_dtype {
    ($x:expr, $node:ident($($argument:expr),*)) => {
        match $x.dtype() {
            DType::BF16 => graph::$node::<bf16>($($argument),*),
            DType::F64 => graph::$node::<f64>($($argument),*),
            _ => graph::$node::<f32>($($argument),*),
        }
    };
}

/// A network of one layer that has nothing to normalise, so the mode does not matter.
pub(crate) fn conv2d(shape: ConvShape, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    plain_network(x, vec![PlainPlan::convolution(shape, weight, bias)], Mode::Eval)
}

pub(crate) fn batch_norm(x: &Tensor, residual: Option<&Tensor>, plan: NormPlan) -> Result<Tensor> {
    by_dtype!(x, batch_norm(x, residual, plan))
}

pub(crate) fn residual_blocks(
    x: &Tensor,
    plans: Vec<BlockPlan>,
    output: (usize, usize, usize, usize),
    mode: Mode,
) -> Result<Tensor> {
    by_dtype!(x, residual_blocks(x, plans, output, mode))
}

pub(crate) fn plain_network(x: &Tensor, plans: Vec<PlainPlan>, mode: Mode) -> Result<Tensor> {
    by_dtype!(x, plain_network(x, plans, mode))
}

pub(crate) fn max_pool(shape: PoolShape, x: &Tensor) -> Result<Tensor> {
    by_dtype!(x, max_pool(shape, x))
}

pub(crate) fn avg_pool(op: &'static str, shape: PoolShape, x: &Tensor) -> Result<Tensor> {
    by_dtype!(x, avg_pool(op, shape, x))
}

pub(crate) fn relu(x: &Tensor) -> Result<Tensor> {
    activate(x, Activation::Relu)
}

pub(crate) fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    by_dtype!(x, activate(x, activation))
}

pub(crate) fn row_norm(x: &Tensor, plan: RowNormPlan) -> Result<Tensor> {
    by_dtype!(x, row_norm(x, plan))
}

pub(crate) fn cross_entropy(logits: &Tensor, targets: &Tensor, smoothing: f64) -> Result<Tensor> {
    by_dtype!(logits, cross_entropy(logits, targets, smoothing))
}

pub(crate) fn cross_entropy_indices(logits: &Tensor, classes: &Tensor, smoothing: f64) -> crate::Result<Tensor> {
    by_dtype!(logits, cross_entropy_indices(logits, classes, smoothing))
}

pub(crate) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    by_float!(x, linear(x, weight, bias))
}

pub(crate) fn linear_cross_entropy(
    op: &'static str,
    x: &Tensor,
    mask: Option<&Tensor>,
    layer: (&Tensor, Option<&Tensor>),
    targets: &Tensor,
    smoothing: f64,
) -> crate::Result<Tensor> {
    by_float!(x, linear_cross_entropy(op, x, mask, layer, targets, smoothing))
}

pub(crate) fn embedding(
    op: &'static str,
    weight: &Tensor,
    ids: &Tensor,
    mask: Option<&Tensor>,
) -> crate::Result<Tensor> {
    by_float!(weight, embedding(op, weight, ids, mask))
}

pub(crate) fn masked(x: &Tensor, mask: &Tensor) -> Result<Tensor> {
    by_float!(x, masked(x, mask))
}

pub(crate) fn lstm(x: &Tensor, plan: LstmPlan) -> Result<(Tensor, LstmState)> {
    by_float!(x, lstm(x, plan))
}
