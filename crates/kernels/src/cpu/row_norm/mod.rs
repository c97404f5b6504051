//! Layer norm and RMS norm: the definition, and the fast form that is held against it.
//!
//! With `r = 1 / sqrt(variance + eps)` and `n = (x - mean) r`, a row of `y` is `n w + b`. Its gradient, with `g = w dy`, is
//! `dx = r (g - mean(g) - n mean(g n))`, without the middle term where the mean is not subtracted.
#![allow(unsafe_code, reason = "vector instructions and output memory that is written before it is read")]
#![allow(clippy::needless_range_loop, reason = "registers are indexed by constants, which iterators hide")]

pub(crate) mod reference;
pub(crate) mod vectors;

/// What every row is put through; weight and bias are of a row's length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layer<'a, T> {
    /// Whether the mean is subtracted.
    pub(crate) centred: bool,
    pub(crate) eps: f64,
    pub(crate) weight: &'a [T],
    pub(crate) bias: &'a [T],
}

/// What forward keeps of a row: its mean, or 0, and the reciprocal of its root mean square around that.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RowMoments<T> {
    pub(crate) mean: T,
    pub(crate) reciprocal: T,
}

/// The gradients of weight and bias.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct ParameterGradients {
    pub(crate) weight: Vec<f64>,
    pub(crate) bias: Vec<f64>,
}

/// Elements of the rows that one task works on: a fraction of a core's cache, whatever the number of threads.
const TASK_ELEMENTS: usize = 1 << 14;
/// Most parts that the rows are cut into for the sums over rows, and most numbers of all parts' sums together.
const MOST_PARTS: usize = 32;
const MOST_SUMS: usize = 1 << 22;

/// Rows of a task.
fn task_rows(width: usize) -> usize {
    (TASK_ELEMENTS / width).max(1)
}

/// Rows of a part, over which one task sums the parameters' gradients: a number of the problem's, not of the threads.
fn part_rows(rows: usize, width: usize) -> usize {
    let parts = (MOST_SUMS / width).clamp(1, MOST_PARTS);
    rows.div_ceil(parts).max(task_rows(width))
}

/// Adds the parts' sums in their order.
fn total(width: usize, parts: Vec<ParameterGradients>) -> ParameterGradients {
    let mut total = ParameterGradients { weight: vec![0.0; width], bias: vec![0.0; width] };
    for part in parts {
        for column in 0..width {
            total.weight[column] += part.weight[column];
            total.bias[column] += part.bias[column];
        }
    }
    total
}
