//! Every fast kernel against its reference twin in f64: all instruction sets of this processor, both tile sizes, extents
//! that are no multiple of anything, and the same bits on any number of threads.

use std::mem::MaybeUninit;

use half::bf16;

use crate::InstructionSet;
use crate::cpu::batch_norm::{self, Affine, GradientTerms, vectors};
use crate::cpu::conv::{direct, reference, winograd};
use crate::cpu::memory;
use crate::plan::{ConvShape, Window};

/// Roughly normal numbers, the same for the same seed.
fn numbers(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..len).map(|_| (uniform() + uniform() + uniform()) * 2.0).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

fn sets() -> impl Iterator<Item = InstructionSet> {
    [InstructionSet::Portable, InstructionSet::Avx2, InstructionSet::Avx512]
        .into_iter()
        .filter(|set| set.is_available())
}

/// Runs a kernel into fresh memory that starts as NaN, so that an element left out shows.
fn run<T: Copy>(len: usize, poison: T, kernel: impl FnOnce(&mut [MaybeUninit<T>])) -> Vec<T> {
    let mut output = vec![poison; len];
    kernel(memory::as_output(&mut output));
    output
}

/// Largest error over the root mean square of the expected values.
fn error(got: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let rms = (expected.iter().map(|e| e * e).sum::<f64>() / expected.len().max(1) as f64).sqrt();
    got.iter()
        .zip(expected)
        .map(|(g, e)| (f64::from(*g) - e).abs())
        .fold(0.0, |worst: f64, e| if e.is_nan() { f64::NAN } else { worst.max(e) })
        / rms.max(1e-30)
}

fn in_pools(kernel: impl Fn() -> Vec<f32> + Sync) -> Vec<f32> {
    let pools: &[usize] = if SMALL { &[2] } else { &[1, 2, 7] };
    let results: Vec<Vec<f32>> = pools
        .iter()
        .copied()
        .map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(&kernel))
        .collect();
    for other in &results[1..] {
        assert!(results[0].iter().zip(other).all(|(a, b)| a.to_bits() == b.to_bits()), "bits depend on the threads");
    }
    results.into_iter().next().unwrap()
}

fn shape(batch: usize, input: (usize, usize), channels: (usize, usize), window: Window) -> ConvShape {
    let output = window.output("test", input).unwrap();
    ConvShape { batch, input, output, channels_in: channels.0, channels_out: channels.1, window }
}

/// The three passes of one convolution against f64, each with its bound on the error.
fn check(
    name: &str,
    shape: &ConvShape,
    bound: f64,
    forward: impl Fn(&[f32], &[f32], &mut [MaybeUninit<f32>]) + Sync,
    backward_data: Option<impl Fn(&[f32], &[f32], &mut [MaybeUninit<f32>]) + Sync>,
    backward_weight: impl Fn(&[f32], &[f32], &mut [MaybeUninit<f32>]) + Sync,
) {
    let (x, weight, dy) = (numbers(shape.x_len(), 1), numbers(shape.weight_len(), 2), numbers(shape.y_len(), 3));
    let (wx, ww, wdy) = (wide(&x), wide(&weight), wide(&dy));
    let verify = |pass: &str, got: Vec<f32>, expected: Vec<f64>| {
        let error = error(&got, &expected);
        assert!(error < bound, "{name} {pass} {shape:?}: error {error:.1e} of the root mean square");
    };
    let expected = run(shape.y_len(), f64::NAN, |y| reference::forward(shape, &wx, &ww, y));
    verify("forward", in_pools(|| run(shape.y_len(), f32::NAN, |y| forward(&x, &weight, y))), expected);
    if let Some(backward_data) = backward_data {
        let expected = run(shape.x_len(), f64::NAN, |dx| reference::backward_data(shape, &wdy, &ww, false, dx));
        let got = in_pools(|| run(shape.x_len(), f32::NAN, |dx| backward_data(&dy, &weight, dx)));
        verify("backward_data", got, expected);
    }
    let expected = run(shape.weight_len(), f64::NAN, |dw| reference::backward_weight(shape, &wx, &wdy, dw));
    verify(
        "backward_weight",
        in_pools(|| run(shape.weight_len(), f32::NAN, |dw| backward_weight(&x, &dy, dw))),
        expected,
    );
}

/// Under Miri, which is thousands of times slower, one small case of everything.
const SMALL: bool = cfg!(miri);

#[test]
fn winograd_agrees_with_the_definition() {
    let window = |padding| Window { kernel: (3, 3), stride: 1, padding };
    let mut shapes = vec![shape(1, (5, 3), (16, 16), window(1))];
    if !SMALL {
        shapes.extend([
            shape(3, (8, 8), (16, 32), window(1)),
            shape(2, (7, 13), (32, 16), window(0)),
            shape(5, (4, 4), (48, 80), window(1)),
            shape(1, (9, 3), (16, 64), window(2)),
            shape(1, (1, 1), (16, 16), window(1)),
            shape(2, (11, 10), (64, 96), window(1)),
            shape(3, (6, 6), (160, 176), window(1)),
            shape(260, (4, 4), (144, 128), window(1)),
        ]);
    }
    for shape in &shapes {
        assert!(winograd::takes(shape));
        for set in sets() {
            // Errors against the root mean square: 4x4 tiles grow rounding by their larger constants.
            for (side, bound) in [(4, 2e-4), (2, 3e-5)] {
                check(
                    &format!("winograd {side} {set:?}"),
                    shape,
                    bound,
                    |x, w, y| winograd::forward(set, side, shape, x, w, y),
                    Some(|dy: &[f32], w: &[f32], dx: &mut [MaybeUninit<f32>]| {
                        winograd::backward_data(set, side, shape, dy, w, false, dx);
                    }),
                    |x, dy, dw| winograd::backward_weight(set, side, shape, x, dy, dw),
                );
            }
        }
    }
}

#[test]
fn direct_agrees_with_the_definition() {
    let window = |kernel, stride, padding| Window { kernel, stride, padding };
    let mut shapes =
        vec![shape(1, (3, 4), (16, 16), window((3, 3), 2, 1)), shape(1, (2, 3), (3, 16), window((3, 3), 1, 1))];
    if !SMALL {
        shapes.extend([
            shape(2, (8, 8), (16, 32), window((3, 3), 1, 1)),
            shape(3, (9, 7), (32, 48), window((3, 3), 2, 1)),
            shape(2, (8, 6), (64, 128), window((1, 1), 2, 0)),
            shape(2, (5, 5), (80, 16), window((1, 1), 1, 0)),
            shape(1, (16, 18), (3, 64), window((7, 7), 2, 3)),
            shape(2, (10, 11), (16, 16), window((2, 3), 3, 0)),
            shape(1, (7, 7), (16, 32), window((5, 5), 3, 4)),
            shape(2, (3, 3), (16, 16), window((1, 1), 2, 1)),
            shape(9, (8, 8), (80, 48), window((3, 3), 2, 1)),
            shape(1, (1, 1), (16, 16), window((3, 3), 2, 1)),
            shape(1, (2, 9), (16, 16), window((2, 2), 4, 0)),
        ]);
    }
    for shape in &shapes {
        for set in sets() {
            check(
                &format!("direct {set:?}"),
                shape,
                3e-5,
                |x, w, y| direct::forward(set, shape, x, w, y),
                direct::takes_backward_data(shape).then_some(|dy: &[f32], w: &[f32], dx: &mut [MaybeUninit<f32>]| {
                    direct::backward_data(set, shape, dy, w, false, dx);
                }),
                |x, dy, dw| direct::backward_weight(set, shape, x, dy, dw),
            );
        }
    }
}

#[test]
fn normalisation_agrees_with_the_definition() {
    let shapes: &[(usize, usize)] = if SMALL {
        &[(9, 16)]
    } else {
        &[(9, 16), (5000, 16), (777, 32), (300, 48), (1031, 64), (70, 80), (130, 512), (2, 128)]
    };
    for &(pixels, channels) in shapes {
        let len = pixels * channels;
        // A mean a hundred times the spread: sums of squares must not cancel.
        let x: Vec<f32> = numbers(len, 1).iter().map(|value| value + 100.0).collect();
        let (dy, residual) = (numbers(len, 2), numbers(len, 3));
        let (wx, wdy, wresidual) = (wide(&x), wide(&dy), wide(&residual));
        let vector = |seed| numbers(channels, seed);
        let center: Vec<f32> = vector(4).iter().map(|value| value + 100.0).collect();
        let affine = Affine { center: center.clone(), scale: vector(5), shift: vector(6) };
        let waffine = Affine { center: wide(&affine.center), scale: wide(&affine.scale), shift: wide(&affine.shift) };
        let terms = GradientTerms { center: center.clone(), scale: vector(5), slope: vector(6), offset: vector(7) };
        let wterms = GradientTerms {
            center: wide(&terms.center),
            scale: wide(&terms.scale),
            slope: wide(&terms.slope),
            offset: wide(&terms.offset),
        };
        for set in sets() {
            let moments = vectors::moments(set, &x, channels);
            let expected = batch_norm::reference::moments(&wx, channels);
            for c in 0..channels {
                assert!((moments.mean[c] / expected.mean[c] - 1.0).abs() < 1e-6, "{set:?} mean");
                assert!((moments.variance[c] / expected.variance[c] - 1.0).abs() < 1e-5, "{set:?} variance");
            }
            for (with_residual, relu) in [(false, false), (false, true), (true, false), (true, true)] {
                let got = in_pools(|| {
                    run(len, f32::NAN, |y| {
                        vectors::apply(set, &x, &affine, with_residual.then_some(&residual[..]), relu, y);
                    })
                });
                let wide_residual = with_residual.then_some(&wresidual[..]);
                let expected =
                    run(len, f64::NAN, |y| batch_norm::reference::apply(&wx, &waffine, wide_residual, relu, y));
                assert!(error(&got, &expected) < 2e-6, "{set:?} apply");

                // The rectifier's output cuts by its sign only, so the residual stands in for it.
                let cut = relu.then_some(&residual[..]);
                let wide_cut = relu.then_some(&wresidual[..]);
                let (plain, centred) = vectors::gradient_sums(set, &x, &center, cut, &dy);
                let (wide_plain, wide_centred) =
                    batch_norm::reference::gradient_sums(&wx, &wterms.center, wide_cut, &wdy);
                for c in 0..channels {
                    let scale = (pixels as f64).sqrt();
                    assert!((plain[c] - wide_plain[c]).abs() < 1e-5 * scale, "{set:?} sums");
                    assert!((centred[c] - wide_centred[c]).abs() < 1e-5 * scale, "{set:?} sums");
                }
                let mut d_residual = vec![f32::NAN; len];
                let got = run(len, f32::NAN, |dx| {
                    let out = with_residual.then_some(memory::as_output(&mut d_residual));
                    vectors::backward(set, &x, &terms, cut, &dy, dx, out);
                });
                let mut wide_d_residual = vec![f64::NAN; len];
                let expected = run(len, f64::NAN, |dx| {
                    let out = with_residual.then_some(memory::as_output(&mut wide_d_residual));
                    batch_norm::reference::backward(&wx, &wterms, wide_cut, &wdy, dx, out);
                });
                assert!(error(&got, &expected) < 2e-6, "{set:?} backward");
                if with_residual {
                    assert!(error(&d_residual, &wide_d_residual) < 1e-7, "{set:?} residual");
                }
            }
        }
    }
}

/// Numbers that bf16 holds, as both types.
fn both(len: usize, seed: u64) -> (Vec<bf16>, Vec<f32>) {
    let narrow: Vec<bf16> = numbers(len, seed).into_iter().map(bf16::from_f32).collect();
    let wide = narrow.iter().map(|value| value.to_f32()).collect();
    (narrow, wide)
}

/// A kernel's bf16 output must be its f32 output, rounded: the sums are the same.
fn same_rounded(name: &str, narrow: &[bf16], wide: &[f32]) {
    assert_eq!(narrow.len(), wide.len());
    for (at, (narrow, wide)) in narrow.iter().zip(wide).enumerate() {
        assert_eq!(narrow.to_bits(), bf16::from_f32(*wide).to_bits(), "{name} at {at}: {narrow} from {wide}");
    }
}

#[test]
fn convolutions_on_bf16_are_those_on_f32_rounded() {
    let window = |kernel, stride, padding| Window { kernel, stride, padding };
    let mut shapes = vec![shape(1, (5, 3), (16, 16), window((3, 3), 1, 1))];
    if !SMALL {
        shapes.extend([
            shape(3, (6, 6), (160, 176), window((3, 3), 1, 1)),
            shape(3, (9, 7), (32, 48), window((3, 3), 2, 1)),
            shape(2, (5, 5), (80, 16), window((1, 1), 1, 0)),
        ]);
    }
    for shape in &shapes {
        let ((x, wx), (dy, wdy)) = (both(shape.x_len(), 1), both(shape.y_len(), 2));
        let ((before, wbefore), weight) = (both(shape.x_len(), 3), numbers(shape.weight_len(), 4));
        for set in sets() {
            for side in [4, 2, 0] {
                // Side 0 stands for the direct kernels.
                if side > 0 && !winograd::takes(shape) {
                    continue;
                }
                let name = format!("{shape:?} {set:?} {side}");
                let (mut y, mut wy) = (vec![bf16::NAN; shape.y_len()], vec![f32::NAN; shape.y_len()]);
                let (mut dx, mut wdx) = (before.clone(), wbefore.clone());
                let (mut dw, mut wdw) = (vec![f32::NAN; weight.len()], vec![f32::NAN; weight.len()]);
                {
                    let (y, wy) = (memory::as_output(&mut y), memory::as_output(&mut wy));
                    let (dx, wdx) = (memory::as_output(&mut dx), memory::as_output(&mut wdx));
                    let (dw, wdw) = (memory::as_output(&mut dw), memory::as_output(&mut wdw));
                    if side > 0 {
                        winograd::forward(set, side, shape, &x, &weight, y);
                        winograd::forward(set, side, shape, &wx, &weight, wy);
                        winograd::backward_data(set, side, shape, &dy, &weight, true, dx);
                        winograd::backward_data(set, side, shape, &wdy, &weight, true, wdx);
                        winograd::backward_weight(set, side, shape, &x, &dy, dw);
                        winograd::backward_weight(set, side, shape, &wx, &wdy, wdw);
                    } else {
                        direct::forward(set, shape, &x, &weight, y);
                        direct::forward(set, shape, &wx, &weight, wy);
                        direct::backward_data(set, shape, &dy, &weight, true, dx);
                        direct::backward_data(set, shape, &wdy, &weight, true, wdx);
                        direct::backward_weight(set, shape, &x, &dy, dw);
                        direct::backward_weight(set, shape, &wx, &wdy, wdw);
                    }
                }
                same_rounded(&format!("{name} y"), &y, &wy);
                same_rounded(&format!("{name} dx"), &dx, &wdx);
                assert!(dw.iter().zip(&wdw).all(|(a, b)| a.to_bits() == b.to_bits()), "{name} dw");
            }
        }
    }
}

#[test]
fn normalisation_of_bf16_is_that_of_f32_rounded() {
    let shapes: &[(usize, usize)] = if SMALL { &[(9, 16)] } else { &[(5000, 16), (300, 48), (1031, 64), (130, 512)] };
    for &(pixels, channels) in shapes {
        let len = pixels * channels;
        let ((x, wx), (dy, wdy), (residual, wresidual)) = (both(len, 1), both(len, 2), both(len, 3));
        let vector = |seed| numbers(channels, seed);
        let affine = Affine { center: vector(4), scale: vector(5), shift: vector(6) };
        let terms = GradientTerms { center: vector(4), scale: vector(5), slope: vector(6), offset: vector(7) };
        for set in sets() {
            assert_eq!(vectors::moments(set, &x, channels), vectors::moments(set, &wx, channels));
            for (relu, add) in [(false, false), (true, false), (false, true), (true, true)] {
                let name = format!("{pixels} x {channels} {set:?} relu {relu} residual {add}");
                let y = run(len, bf16::NAN, |y| {
                    vectors::apply(set, &x, &affine, add.then_some(&residual[..]), relu, y);
                });
                let wy = run(len, f32::NAN, |y| {
                    vectors::apply(set, &wx, &affine, add.then_some(&wresidual[..]), relu, y);
                });
                same_rounded(&name, &y, &wy);
                let (cut, wide_cut) = (relu.then_some(&residual[..]), relu.then_some(&wresidual[..]));
                let sums = vectors::gradient_sums(set, &x, &affine.center, cut, &dy);
                assert_eq!(sums, vectors::gradient_sums(set, &wx, &affine.center, wide_cut, &wdy), "{name}");
                let (mut left, mut wide_left) = (vec![bf16::ZERO; len], vec![0f32; len]);
                let dx = run(len, bf16::NAN, |dx| {
                    let left = add.then_some(memory::as_output(&mut left));
                    vectors::backward(set, &x, &terms, cut, &dy, dx, left);
                });
                let wdx = run(len, f32::NAN, |dx| {
                    let left = add.then_some(memory::as_output(&mut wide_left));
                    vectors::backward(set, &wx, &terms, wide_cut, &wdy, dx, left);
                });
                same_rounded(&name, &dx, &wdx);
                same_rounded(&name, &left, &wide_left);
            }
        }
    }
}
