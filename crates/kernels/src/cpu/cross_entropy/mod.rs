//! Cross-entropy's two passes: the reference, and the fast version that is tested against it.
//!
//! With `d = x - max(x)` and `L = log sum exp(d)`, the loss of a row of logits `x` with targets `t` that sum to `W`, smoothed by
//! `s` over `K` classes, is `(1 - s) (W L - sum t d) + s W (L - mean(d))`. No term exceeds the range of the logits.
#![allow(unsafe_code, reason = "vector instructions and output memory that is written before it is read")]
#![allow(clippy::needless_range_loop, reason = "registers are indexed by constants, which iterators hide")]

mod narrow;
pub(crate) mod reference;
pub(crate) mod vectors;

/// The targets of a batch: the class of each row, or class weights for each row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Targets<'a, T> {
    Classes(&'a [u32]),
    Weights(&'a [T]),
}

impl<'a, T> Targets<'a, T> {
    /// Whether there is a target for each of `rows` rows, and every class is one of `classes`: the vector kernels address
    /// logits by class.
    fn fit(&self, rows: usize, classes: usize) -> bool {
        match self {
            Self::Classes(numbers) => {
                numbers.len() == rows && numbers.iter().all(|&number| (number as usize) < classes)
            }
            Self::Weights(weights) => weights.len() == rows * classes,
        }
    }

    /// The target of one row.
    fn row(&self, row: usize, classes: usize) -> Target<'a, T> {
        match self {
            Self::Classes(numbers) => Target::Class(numbers[row] as usize),
            Self::Weights(weights) => Target::Weights(&weights[row * classes..(row + 1) * classes]),
        }
    }
}

/// The target of one row.
#[derive(Debug, Clone, Copy)]
enum Target<'a, T> {
    Class(usize),
    Weights(&'a [T]),
}

/// Results of the forward pass for a row, with which the backward pass needs only one pass over the logits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Row {
    pub(crate) loss: f64,
    /// The largest logit.
    largest: f64,
    /// The sum of exponentials of the differences from it.
    sum: f64,
    /// The sum of the targets.
    weight: f64,
}

impl Row {
    pub(crate) const EMPTY: Self = Self { loss: 0.0, largest: 0.0, sum: 1.0, weight: 0.0 };

    /// From the row's sums of exponentials, of targets times differences, and from the mean difference.
    fn new(largest: f64, sum: f64, weight: f64, of_targets: f64, mean: f64, smoothing: f64) -> Self {
        let log = sum.ln();
        // A factor of 0 makes the term 0, even if the difference is infinite.
        let kept = if smoothing < 1.0 { (1.0 - smoothing) * (weight * log - of_targets) } else { 0.0 };
        let spread = if smoothing > 0.0 && weight != 0.0 { smoothing * weight * (log - mean) } else { 0.0 };
        Self { loss: kept + spread, largest, sum, weight }
    }

    /// The mean of the rows' losses, added in their order.
    pub(crate) fn mean_loss(rows: &[Self]) -> f64 {
        rows.iter().map(|row| row.loss).sum::<f64>() / rows.len() as f64
    }

    /// The coefficients of the exponential, of the target and of 1 in the gradient of a logit.
    fn shares(&self, upstream: f64, smoothing: f64, classes: usize) -> Shares {
        Shares {
            exponential: upstream * self.weight / self.sum,
            target: upstream * (1.0 - smoothing),
            one: upstream * smoothing * self.weight / classes as f64,
        }
    }
}

/// `gradient = exponential * exp(d) - target * t - one`.
#[derive(Debug, Clone, Copy)]
struct Shares {
    exponential: f64,
    target: f64,
    one: f64,
}

/// Elements per task: a fraction of a core's cache, independent of the number of threads.
const TASK_ELEMENTS: usize = 1 << 14;

/// Rows per task, since each row has a fixed cost; if more than one, several registers of rows.
fn task_rows(classes: usize) -> usize {
    let rows = TASK_ELEMENTS / (classes + 64);
    if rows > 16 { rows / 16 * 16 } else { rows.max(1) }
}

/// Rows of one task.
struct Task<'a, S> {
    logits: &'a [S],
    targets: Targets<'a, f32>,
    /// Index of the first row in the targets.
    first: usize,
    classes: usize,
    smoothing: f64,
}
