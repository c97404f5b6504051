//! Cross-entropy row by row in double precision.

use std::mem::MaybeUninit;

use candle_core::WithDType;
use rayon::prelude::*;

use crate::cpu::cross_entropy::{Row, Target, Targets, task_rows};
use crate::cpu::element::Element;

/// Computes the results of each row.
pub(crate) fn forward<T: Element>(
    logits: &[T],
    targets: Targets<'_, T::Accumulator>,
    classes: usize,
    smoothing: f64,
    rows: &mut [Row],
) {
    assert!(logits.len() == rows.len() * classes, "lengths");
    let task = task_rows(classes);
    rows.par_chunks_mut(task).enumerate().for_each(|(index, rows)| {
        for (offset, out) in rows.iter_mut().enumerate() {
            let row = index * task + offset;
            let logits = &logits[row * classes..(row + 1) * classes];
            let largest = logits.iter().map(|logit| logit.to_f64()).fold(f64::NEG_INFINITY, f64::max);
            let distance = |class: usize| logits[class].to_f64() - largest;
            let sum = (0..classes).map(|class| distance(class).exp()).sum();
            let (weight, of_targets) = match targets.row(row, classes) {
                Target::Class(class) => (1.0, distance(class)),
                Target::Weights(weights) => {
                    let weight = weights.iter().map(|weight| weight.to_f64()).sum();
                    // A class without weight adds nothing, even where its logit is minus infinity.
                    let terms = weights.iter().enumerate().filter(|(_, weight)| weight.to_f64() != 0.0);
                    (weight, terms.map(|(class, weight)| weight.to_f64() * distance(class)).sum())
                }
            };
            let mean = (0..classes).map(distance).sum::<f64>() / classes as f64;
            *out = Row::new(largest, sum, weight, of_targets, mean, smoothing);
        }
    });
}

/// The gradient of the logits; `upstream` is the gradient of each row's loss.
pub(crate) fn backward<T: Element>(
    logits: &[T],
    targets: Targets<'_, T::Accumulator>,
    classes: usize,
    smoothing: f64,
    upstream: f64,
    rows: &[Row],
    d_logits: &mut [MaybeUninit<T>],
) {
    assert!(logits.len() == rows.len() * classes && d_logits.len() == logits.len(), "lengths");
    d_logits.par_chunks_mut(classes).enumerate().for_each(|(row, d_logits)| {
        let known = &rows[row];
        let shares = known.shares(upstream, smoothing, classes);
        let target = targets.row(row, classes);
        for (class, out) in d_logits.iter_mut().enumerate() {
            let target = match target {
                Target::Class(number) => f64::from(u8::from(number == class)),
                Target::Weights(weights) => weights[class].to_f64(),
            };
            let exponential = (logits[row * classes + class].to_f64() - known.largest).exp();
            out.write(T::from_f64(shares.exponential * exponential - shares.target * target - shares.one));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_worked_by_hand() {
        // Two equal logits: log 2 whatever the target; the gradient is 1/2 less the target, smoothed by 0.2.
        let (logits, mut rows) = ([3f64, 3.0], [Row::EMPTY]);
        forward(&logits, Targets::Classes(&[1]), 2, 0.2, &mut rows);
        assert!((rows[0].loss - 2f64.ln()).abs() < 1e-15);
        let mut gradient = [f64::NAN; 2];
        let out = crate::cpu::memory::as_output(&mut gradient);
        backward(&logits, Targets::Classes(&[1]), 2, 0.2, 1.0, &rows, out);
        assert!((gradient[0] - 0.4).abs() < 1e-15 && (gradient[1] + 0.4).abs() < 1e-15, "{gradient:?}");
        // A class of logit minus infinity and no weight costs nothing.
        forward(&[0.0, f64::NEG_INFINITY], Targets::Weights(&[1.0, 0.0]), 2, 0.0, &mut rows);
        assert_eq!(rows[0].loss, 0.0);
        forward(&[0.0, f64::NEG_INFINITY], Targets::Classes(&[1]), 2, 0.0, &mut rows);
        assert_eq!(rows[0].loss, f64::INFINITY);
    }
}
