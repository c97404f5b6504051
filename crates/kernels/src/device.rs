//! Routes every operation by the device of its input: to the CPU, to CUDA, or to candle's own operations for Metal. The
//! three implementations have the same functions.
#![allow(
    clippy::needless_question_mark,
    reason = "one of the functions reports this crate's errors, the others candle's"
)]

use candle_core::Tensor;

use crate::plan::{BlockPlan, ConvShape, LstmPlan, NormPlan, PlainPlan, PoolShape, RowNormPlan};
use crate::{Activation, LstmState, Mode, Result};

/// Calls the implementation of this function for the device of `$x`.
macro_rules! route {
    ($x:expr, $function:ident($($argument:expr),*)) => {{
        #[cfg(feature = "cuda")]
        if $x.device().is_cuda() {
            return crate::cuda::$function($($argument),*);
        }
        #[cfg(feature = "metal")]
        if $x.device().is_metal() {
            return Ok(crate::composed::$function($($argument),*)?);
        }
        Ok(crate::cpu::$function($($argument),*)?)
    }};
}

/// Calls the implementation of this function: a separate node on the CPU, candle's operations elsewhere.
macro_rules! on_the_cpu {
    ($x:expr, $function:ident($($argument:expr),*)) => {{
        #[cfg(any(feature = "cuda", feature = "metal"))]
        if !$x.device().is_cpu() {
            return Ok(crate::composed::$function($($argument),*)?);
        }
        Ok(crate::cpu::$function($($argument),*)?)
    }};
}

pub(crate) fn conv2d(shape: ConvShape, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    route!(x, conv2d(shape, x, weight, bias))
}

pub(crate) fn batch_norm(x: &Tensor, residual: Option<&Tensor>, plan: NormPlan) -> Result<Tensor> {
    route!(x, batch_norm(x, residual, plan))
}

pub(crate) fn residual_blocks(
    x: &Tensor,
    plans: Vec<BlockPlan>,
    output: (usize, usize, usize, usize),
    mode: Mode,
) -> Result<Tensor> {
    route!(x, residual_blocks(x, plans, output, mode))
}

pub(crate) fn plain_network(x: &Tensor, plans: Vec<PlainPlan>, mode: Mode) -> Result<Tensor> {
    route!(x, plain_network(x, plans, mode))
}

pub(crate) fn max_pool(shape: PoolShape, x: &Tensor) -> Result<Tensor> {
    route!(x, max_pool(shape, x))
}

pub(crate) fn avg_pool(op: &'static str, shape: PoolShape, x: &Tensor) -> Result<Tensor> {
    route!(x, avg_pool(op, shape, x))
}

pub(crate) fn relu(x: &Tensor) -> Result<Tensor> {
    route!(x, relu(x))
}

pub(crate) fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    route!(x, activate(x, activation))
}

pub(crate) fn row_norm(x: &Tensor, plan: RowNormPlan) -> Result<Tensor> {
    route!(x, row_norm(x, plan))
}

pub(crate) fn cross_entropy(logits: &Tensor, targets: &Tensor, smoothing: f64) -> Result<Tensor> {
    route!(logits, cross_entropy(logits, targets, smoothing))
}

pub(crate) fn cross_entropy_indices(logits: &Tensor, classes: &Tensor, smoothing: f64) -> Result<Tensor> {
    route!(logits, cross_entropy_indices(logits, classes, smoothing))
}

pub(crate) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    on_the_cpu!(x, linear(x, weight, bias))
}

pub(crate) fn linear_cross_entropy(
    op: &'static str,
    x: &Tensor,
    mask: Option<&Tensor>,
    (weight, bias): (&Tensor, Option<&Tensor>),
    targets: &Tensor,
    smoothing: f64,
) -> Result<Tensor> {
    if x.device().is_cpu() {
        return crate::cpu::linear_cross_entropy(op, x, mask, (weight, bias), targets, smoothing);
    }
    let x = match mask {
        Some(mask) => &masked(x, mask)?,
        None => x,
    };
    let rows = x.reshape(((), weight.dims()[1]))?;
    cross_entropy_indices(&linear(&rows, weight, bias)?, targets, smoothing)
}

pub(crate) fn embedding(op: &'static str, weight: &Tensor, ids: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    on_the_cpu!(weight, embedding(op, weight, ids, mask))
}

pub(crate) fn masked(x: &Tensor, mask: &Tensor) -> Result<Tensor> {
    on_the_cpu!(x, masked(x, mask))
}

pub(crate) fn lstm(x: &Tensor, plan: LstmPlan) -> Result<(Tensor, LstmState)> {
    on_the_cpu!(x, lstm(x, plan))
}
