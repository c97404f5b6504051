//! Layer norm and RMS norm against their definitions: rows of any length, and a mean far from zero.

use half::bf16;

use super::{SMALL, both, error, in_pools, numbers, run, same_rounded, sets, wide};
use crate::cpu::row_norm::{self, Layer, ParameterGradients, RowMoments};

#[test]
fn norms_over_rows_agree_with_the_definition() {
    let shapes: &[(usize, usize)] =
        if SMALL { &[(3, 21)] } else { &[(1, 1), (300, 7), (1, 64), (2049, 48), (333, 131), (5, 9001)] };
    for &(rows, width) in shapes {
        let len = rows * width;
        let ((narrow, x), (narrow_dy, dy)) = (both(len, 1), both(len, 2));
        // A mean a hundred times the spread: sums of squares must not cancel.
        let far: Vec<f32> = x.iter().map(|value| value + 100.0).collect();
        let (weight, bias) = (numbers(width, 3), numbers(width, 4));
        let (wide_weight, wide_bias, wide_dy) = (wide(&weight), wide(&bias), wide(&dy));
        for centred in [true, false] {
            let layer = Layer { centred, eps: 1e-5, weight: &weight, bias: &bias };
            let wide_layer = Layer { centred, eps: 1e-5, weight: &wide_weight, bias: &wide_bias };
            for (x, tolerance) in [(&x, 3e-6), (&far, 3e-5)] {
                let wide_x = wide(x);
                let mut expected_moments = vec![RowMoments { mean: 0.0, reciprocal: 0.0 }; rows];
                let expected = run(len, f64::NAN, |y| {
                    row_norm::reference::forward(&wide_layer, &wide_x, &mut expected_moments, y);
                });
                let mut expected_sums = None;
                let expected_dx = run(len, f64::NAN, |dx| {
                    let (x, dy) = (&wide_x, &wide_dy);
                    expected_sums =
                        Some(row_norm::reference::backward(&wide_layer, x, &expected_moments, dy, true, dx));
                });
                let expected_sums = expected_sums.unwrap();
                for set in sets() {
                    let name = format!("{rows} x {width} {set:?} centred {centred} tolerance {tolerance}");
                    let forward = |moments: &mut Vec<RowMoments<f32>>| {
                        run(len, f32::NAN, |y| row_norm::vectors::forward(set, &layer, x, moments, y))
                    };
                    let mut moments = vec![RowMoments { mean: 0.0, reciprocal: 0.0 }; rows];
                    let y = in_pools(|| forward(&mut moments.clone()));
                    assert!(forward(&mut moments) == y, "{name}");
                    assert!(error(&y, &expected) < tolerance, "{name}: {:e}", error(&y, &expected));
                    let backward = |trained| {
                        let mut sums = None;
                        let dx = run(len, f32::NAN, |dx| {
                            sums = Some(row_norm::vectors::backward(set, &layer, x, &moments, &dy, trained, dx));
                        });
                        (dx, sums.unwrap())
                    };
                    let (dx, sums) = backward(true);
                    let (untrained, nothing) = backward(false);
                    assert!(untrained == dx && nothing == ParameterGradients::default(), "{name}: untrained");
                    let again = in_pools(|| {
                        let (dx, again) = backward(true);
                        assert!(again == sums, "{name}: bits depend on the threads");
                        dx
                    });
                    assert!(again == dx, "{name}: bits depend on the threads");
                    // A row of one value has no gradient but rounding, or next to none.
                    let off = error(&dx, &expected_dx);
                    assert!(width == 1 || off < 2.0 * tolerance, "{name}: dx {off:e}");
                    let narrowed = |sums: &[f64]| sums.iter().map(|&sum| sum as f32).collect::<Vec<f32>>();
                    for (got, expected) in [(&sums.weight, &expected_sums.weight), (&sums.bias, &expected_sums.bias)] {
                        let off = error(&narrowed(got), expected);
                        assert!(width == 1 || off < 2.0 * tolerance, "{name}: parameters {off:e}");
                    }
                }
            }
            for set in sets() {
                let empty = vec![RowMoments { mean: 0.0, reciprocal: 0.0 }; rows];
                let (mut moments, mut wide_moments) = (empty.clone(), empty);
                let name = format!("{rows} x {width} {set:?} centred {centred} bf16");
                let y = run(len, bf16::NAN, |y| row_norm::vectors::forward(set, &layer, &narrow, &mut moments, y));
                let wide_y = run(len, f32::NAN, |y| row_norm::vectors::forward(set, &layer, &x, &mut wide_moments, y));
                same_rounded(&name, &y, &wide_y);
                assert!(moments == wide_moments, "{name}");
                let dx = run(len, bf16::NAN, |dx| {
                    row_norm::vectors::backward(set, &layer, &narrow, &moments, &narrow_dy, true, dx);
                });
                let wide_dx = run(len, f32::NAN, |dx| {
                    row_norm::vectors::backward(set, &layer, &x, &moments, &dy, true, dx);
                });
                same_rounded(&name, &dx, &wide_dx);
            }
        }
    }
}
