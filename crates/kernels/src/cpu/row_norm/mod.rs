//! Layer norm and RMS norm: the reference, and the fast version that is tested against it.
//!
//! With `r = 1 / sqrt(variance + eps)` and `n = (x - mean) r`, a row of `y` is `n w + b`. Its gradient, with `g = w dy`, is
//! `dx = r (g - mean(g) - n mean(g n))`; RMS norm has no `mean(g)`.
#![allow(unsafe_code, reason = "vector instructions and output memory that is written before it is read")]
#![allow(clippy::needless_range_loop, reason = "registers are indexed by constants, which iterators hide")]

pub(crate) mod reference;
pub(crate) mod vectors;

/// The parameters of the norm; weight and bias have the length of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layer<'a, T> {
    /// Whether the mean is subtracted.
    pub(crate) centred: bool,
    pub(crate) eps: f64,
    pub(crate) weight: &'a [T],
    pub(crate) bias: &'a [T],
}

/// Moments of a row, kept for the backward pass: its mean (0 for RMS norm), and the reciprocal of its root mean square
/// around it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RowMoments<T> {
    pub(crate) mean: T,
    pub(crate) reciprocal: T,
}

/// The gradients of weight and bias; without numbers if they are not trained.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct ParameterGradients {
    pub(crate) weight: Vec<f64>,
    pub(crate) bias: Vec<f64>,
}

/// Elements per task: a fraction of a core's cache, independent of the number of threads.
const TASK_ELEMENTS: usize = 1 << 14;
/// Maximum number of parts for the sums over rows, and maximum number of elements of all partial sums.
const MOST_PARTS: usize = 32;
const MOST_SUMS: usize = 1 << 22;

/// Rows per task.
fn task_rows(width: usize) -> usize {
    (TASK_ELEMENTS / width).max(1)
}

/// Rows per part, over which one task sums the parameter gradients; depends on the problem, not on the number of threads.
fn part_rows(rows: usize, width: usize) -> usize {
    let parts = (MOST_SUMS / width).clamp(1, MOST_PARTS);
    rows.div_ceil(parts).max(task_rows(width))
}

impl ParameterGradients {
    fn zeros(columns: usize) -> Self {
        Self { weight: vec![0.0; columns], bias: vec![0.0; columns] }
    }
}

/// Adds the partial sums in order.
fn total(columns: usize, parts: Vec<ParameterGradients>) -> ParameterGradients {
    let mut total = ParameterGradients::zeros(columns);
    for part in parts {
        for column in 0..columns {
            total.weight[column] += part.weight[column];
            total.bias[column] += part.bias[column];
        }
    }
    total
}
