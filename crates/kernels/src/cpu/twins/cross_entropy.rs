//! Cross-entropy against its definition: class numbers and weights, any number of classes, logits far from zero.

use half::bf16;

use super::{SMALL, both, in_pools, numbers, run, same_rounded, sets, wide};
use crate::cpu::cross_entropy::{self, Row, Targets};

#[test]
fn cross_entropy_agrees_with_the_definition() {
    let shapes: &[(usize, usize)] =
        if SMALL { &[(3, 21)] } else { &[(1, 1), (7, 2), (2001, 10), (65, 16), (33, 67), (5, 4097), (3, 20_003)] };
    for &(count, classes) in shapes {
        let len = count * classes;
        // Far from zero, where sums that do not shift by the largest overflow.
        let logits: Vec<f32> = numbers(len, 1).iter().map(|value| value * 6.0 + 300.0).collect();
        let weights: Vec<f32> = numbers(len, 2).iter().map(|value| value.max(0.0)).collect();
        let numbers: Vec<u32> = (0..count).map(|row| (row * 7 % classes) as u32).collect();
        let (wide_logits, wide_weights) = (wide(&logits), wide(&weights));
        let (narrow, narrow_wide) = both(len, 3);
        for (soft, smoothing) in [(false, 0.0), (false, 0.1), (true, 0.0), (true, 0.1), (false, 1.0), (true, 1.0)] {
            let (targets, wide_targets) = match soft {
                true => (Targets::Weights(&weights[..]), Targets::Weights(&wide_weights[..])),
                false => (Targets::Classes(&numbers[..]), Targets::Classes(&numbers[..])),
            };
            let mut expected = vec![Row::EMPTY; count];
            cross_entropy::reference::forward(&wide_logits, wide_targets, classes, smoothing, &mut expected);
            let expected_gradient = run(len, f64::NAN, |d| {
                cross_entropy::reference::backward(&wide_logits, wide_targets, classes, smoothing, 0.5, &expected, d);
            });
            for set in sets() {
                let name = format!("{count} x {classes} {set:?} soft {soft} smoothing {smoothing}");
                let forward = || {
                    let mut rows = vec![Row::EMPTY; count];
                    cross_entropy::vectors::forward(set, &logits, targets, classes, smoothing, &mut rows);
                    rows
                };
                let rows = forward();
                for (row, expected) in rows.iter().zip(&expected) {
                    let off = (row.loss - expected.loss).abs() / expected.loss.abs().max(1.0);
                    assert!(off < 3e-6, "{name}: {} instead of {}", row.loss, expected.loss);
                }
                let got = in_pools(|| {
                    assert!(forward() == rows, "{name}: bits depend on the threads");
                    run(len, f32::NAN, |d| {
                        cross_entropy::vectors::backward(set, &logits, targets, classes, smoothing, 0.5, &rows, d);
                    })
                });
                let worst = got.iter().zip(&expected_gradient).map(|(a, b)| (f64::from(*a) - b).abs());
                let largest = expected_gradient.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
                for off in worst {
                    assert!(off <= 2e-6 * largest.max(1e-6), "{name}: gradient off by {off} of {largest}");
                }
                let (mut rows, mut wide_rows) = (vec![Row::EMPTY; count], vec![Row::EMPTY; count]);
                cross_entropy::vectors::forward(set, &narrow, targets, classes, smoothing, &mut rows);
                cross_entropy::vectors::forward(set, &narrow_wide, targets, classes, smoothing, &mut wide_rows);
                assert!(rows == wide_rows, "{name}: bf16");
                let narrow_d = run(len, bf16::NAN, |d| {
                    cross_entropy::vectors::backward(set, &narrow, targets, classes, smoothing, 0.5, &rows, d);
                });
                let wide_d = run(len, f32::NAN, |d| {
                    cross_entropy::vectors::backward(set, &narrow_wide, targets, classes, smoothing, 0.5, &rows, d);
                });
                same_rounded(&name, &narrow_d, &wide_d);
            }
        }
    }
}

/// The kernels address logits by class, so an index that is none must stop before them, forward and backward.
#[test]
fn classes_that_do_not_exist_are_refused() {
    for (classes, numbers) in [(3, [1, 3]), (40, [40, 1]), (40, [1, u32::MAX])] {
        let (logits, rows) = (vec![0f32; 2 * classes], vec![Row::EMPTY; 2]);
        let targets = Targets::Classes(&numbers[..]);
        let panics = |kernel: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(kernel)).is_err();
        for set in sets() {
            let forward = || cross_entropy::vectors::forward(set, &logits, targets, classes, 0.0, &mut rows.clone());
            let backward = || {
                run(2 * classes, f32::NAN, |d| {
                    cross_entropy::vectors::backward(set, &logits, targets, classes, 0.0, 1.0, &rows, d);
                });
            };
            assert!(panics(&forward) && panics(&backward), "{set:?} {classes}");
        }
    }
}

#[test]
fn losses_of_what_is_no_number_are_those_of_the_definition() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let few = [1.0, nan, 0.0, 1.0, -inf, 0.0, inf, 1.0, 0.0, -inf, -inf, -inf, 1e30, -1e30, 0.0];
    let few_weights = [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0];
    // The same in rows of 40 classes, which are taken one at a time.
    for count in [3, 40] {
        let padded = |values: &[f32], with: f32| -> Vec<f32> {
            values.chunks(3).flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(with, count - 3))).collect()
        };
        let (logits, weights) = (padded(&few, -50.0), padded(&few_weights, 0.0));
        no_numbers(count, &logits, &weights);
    }
}

fn no_numbers(count: usize, logits: &[f32], weights: &[f32]) {
    let (wide_logits, wide_weights) = (wide(logits), wide(weights));
    for smoothing in [0.0, 0.1, 1.0] {
        for soft in [false, true] {
            let classes = [2, 1, 1, 2, 0];
            let (targets, wide_targets) = match soft {
                true => (Targets::Weights(weights), Targets::Weights(&wide_weights[..])),
                false => (Targets::Classes(&classes[..]), Targets::Classes(&classes[..])),
            };
            let mut expected = [Row::EMPTY; 5];
            cross_entropy::reference::forward(&wide_logits, wide_targets, count, smoothing, &mut expected);
            for set in sets() {
                let mut rows = [Row::EMPTY; 5];
                cross_entropy::vectors::forward(set, logits, targets, count, smoothing, &mut rows);
                for (row, expected) in rows.iter().zip(&expected) {
                    let (got, expected) = (row.loss, expected.loss);
                    let same =
                        got.is_nan() && expected.is_nan() || got == expected || (got / expected - 1.0).abs() < 1e-6;
                    assert!(same, "{set:?} soft {soft} smoothing {smoothing}: {got} instead of {expected}");
                }
            }
        }
    }
}
