//! Activations against their definitions: lengths that are no multiple of anything, both tails, and what is no number.

use half::bf16;

use super::{SMALL, both, error, in_pools, numbers, run, same_rounded, sets};
use crate::cpu::activation;
use crate::{Activation, InstructionSet};

#[test]
fn activations_agree_with_the_definition() {
    let lens: &[usize] = if SMALL { &[37] } else { &[0, 1, 15, 37, 70_001] };
    for &len in lens {
        // From far below 0, where what is left is a small difference of large numbers in a form that cancels.
        let x: Vec<f32> = numbers(len, 1).iter().map(|value| value * 5.0 - 2.0).collect();
        let dy = numbers(len, 2);
        for activation in [Activation::Relu, Activation::Gelu, Activation::GeluTanh, Activation::Silu] {
            let values: Vec<f64> = x.iter().map(|&x| activation::reference::value(activation, f64::from(x))).collect();
            let passed =
                |(&x, &dy): (&f32, &f32)| activation::reference::passed(activation, f64::from(x), f64::from(dy));
            let passed: Vec<f64> = x.iter().zip(&dy).map(passed).collect();
            let (narrow_x, wide_x) = both(len, 3);
            let (narrow_dy, wide_dy) = both(len, 4);
            for set in sets() {
                let y = in_pools(|| run(len, f32::NAN, |y| activation::vectors::forward(set, activation, &x, y)));
                let dx =
                    in_pools(|| run(len, f32::NAN, |dx| activation::vectors::backward(set, activation, &x, &dy, dx)));
                // An array rounds the square in the exponent, which a bell's tail magnifies.
                let portable = set == InstructionSet::Portable;
                let bound = if portable || activation == Activation::GeluTanh { 6e-6 } else { 1e-6 };
                assert!(error(&y, &values) < bound, "{set:?} {activation:?} {:e}", error(&y, &values));
                assert!(error(&dx, &passed) < bound, "{set:?} {activation:?} {:e}", error(&dx, &passed));
                // The tangent's argument is a hundred and more there, and its rounding error in the exponent.
                let bound = if activation == Activation::GeluTanh { 3e-5 } else { bound };
                for (at, (y, expected)) in y.iter().zip(&values).enumerate() {
                    let off = (f64::from(*y) - expected).abs() / expected.abs().max(1e-30);
                    assert!(off < bound, "{set:?} {activation:?} of {}: {y}, not {expected}", x[at]);
                }
                let y = run(len, bf16::NAN, |y| activation::vectors::forward(set, activation, &narrow_x, y));
                let wide_y = run(len, f32::NAN, |y| activation::vectors::forward(set, activation, &wide_x, y));
                same_rounded("activate", &y, &wide_y);
                let dx = run(len, bf16::NAN, |dx| {
                    activation::vectors::backward(set, activation, &narrow_x, &narrow_dy, dx);
                });
                let wide_dx = run(len, f32::NAN, |dx| {
                    activation::vectors::backward(set, activation, &wide_x, &wide_dy, dx);
                });
                same_rounded("activate_backward", &dx, &wide_dx);
            }
        }
    }
}

#[test]
fn activations_of_what_is_no_number_are_those_of_the_definition() {
    let x = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 3e38, -3e38, 1e-40, f32::NAN];
    let dy = [1.0, 1.0, 1.0, 1.0, 1.0, f32::INFINITY, 1.0, 0.0];
    let same = |got: f32, expected: f64| {
        got.is_nan() == expected.is_nan()
            && (expected.is_nan() || got == expected as f32 || (got - expected as f32).abs() < 1e-6)
    };
    for activation in [Activation::Relu, Activation::Gelu, Activation::GeluTanh, Activation::Silu] {
        for set in sets() {
            let y = run(8, f32::NAN, |y| activation::vectors::forward(set, activation, &x, y));
            let dx = run(8, f32::NAN, |dx| activation::vectors::backward(set, activation, &x, &dy, dx));
            for at in 0..8 {
                let (x, dy) = (f64::from(x[at]), f64::from(dy[at]));
                let expected = activation::reference::value(activation, x);
                assert!(same(y[at], expected), "{set:?} {activation:?} of {x}: {}, not {expected}", y[at]);
                let expected = activation::reference::passed(activation, x, dy);
                assert!(same(dx[at], expected), "{set:?} {activation:?} at {x}: {}, not {expected}", dx[at]);
            }
        }
    }
}
