//! Cross-entropy's two passes: the definition, and the fast form that is held against it.
//!
//! With `d = x - max(x)` and `L = log sum exp(d)`, the loss of a row of logits `x` under weights `t` that sum to `W`, smoothed by
//! `s` over `K` classes, is `(1 - s) (W L - sum t d) + s W (L - mean(d))`: no term is larger than the spread of the logits.
#![allow(unsafe_code, reason = "vector instructions and output memory that is written before it is read")]
#![allow(clippy::needless_range_loop, reason = "registers are indexed by constants, which iterators hide")]

mod narrow;
pub(crate) mod reference;
pub(crate) mod vectors;

/// What a batch is held against: the class of each row, or weights of all classes for each row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Targets<'a, T> {
    Classes(&'a [u32]),
    Weights(&'a [T]),
}

impl<'a, T> Targets<'a, T> {
    /// Those of one row.
    fn row(&self, row: usize, classes: usize) -> Target<'a, T> {
        match self {
            Self::Classes(numbers) => Target::Class(numbers[row] as usize),
            Self::Weights(weights) => Target::Weights(&weights[row * classes..(row + 1) * classes]),
        }
    }
}

/// What one row is held against.
#[derive(Debug, Clone, Copy)]
enum Target<'a, T> {
    Class(usize),
    Weights(&'a [T]),
}

/// What the forward pass finds out about a row, of which the backward pass makes the gradient in one pass over the logits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Row {
    pub(crate) loss: f64,
    /// The largest logit.
    largest: f64,
    /// The sum of the exponentials of the distances to it.
    sum: f64,
    /// The sum of the targets.
    weight: f64,
}

impl Row {
    pub(crate) const EMPTY: Self = Self { loss: 0.0, largest: 0.0, sum: 1.0, weight: 0.0 };

    /// From the row's sums: of the exponentials, of the targets times the distances, of the distances.
    fn new(largest: f64, sum: f64, weight: f64, of_targets: f64, mean: f64, smoothing: f64) -> Self {
        let log = sum.ln();
        // A share of 0 counts for nothing, even of an infinite distance.
        let kept = if smoothing < 1.0 { (1.0 - smoothing) * (weight * log - of_targets) } else { 0.0 };
        let spread = if smoothing > 0.0 && weight != 0.0 { smoothing * weight * (log - mean) } else { 0.0 };
        Self { loss: kept + spread, largest, sum, weight }
    }

    /// What the exponential of a distance, a target, and 1 count for in the gradient of a logit.
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

/// Elements of the rows that one task works on: a fraction of a core's cache, whatever the number of threads.
const TASK_ELEMENTS: usize = 1 << 14;

/// Rows of a task; each costs something beside its elements. Several registers of rows if it is more than one.
fn task_rows(classes: usize) -> usize {
    let rows = TASK_ELEMENTS / (classes + 64);
    if rows > 16 { rows / 16 * 16 } else { rows.max(1) }
}

/// Rows of one task.
struct Task<'a, S> {
    logits: &'a [S],
    targets: Targets<'a, f32>,
    /// The number of the first row among the targets.
    first: usize,
    classes: usize,
    smoothing: f64,
}
