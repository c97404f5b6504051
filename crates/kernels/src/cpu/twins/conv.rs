//! Convolutions.

use std::mem::MaybeUninit;

use half::bf16;

use super::{SMALL, both, error, in_pools, numbers, run, same_bits, same_rounded, sets, wide};
use crate::cpu::conv::{Epilogue, direct, reference, winograd};
use crate::cpu::memory;
use crate::plan::{ConvShape, Window};

pub(super) fn shape(batch: usize, input: (usize, usize), channels: (usize, usize), window: Window) -> ConvShape {
    let output = window.output("test", input).unwrap();
    ConvShape { batch, input, output, channels_in: channels.0, channels_out: channels.1, groups: 1, window }
}

/// The three passes of one convolution against f64, each with its bound on the error.
pub(super) fn check(
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
    let expected = run(shape.y_len(), f64::NAN, |y| reference::forward(shape, &wx, &ww, Epilogue::NONE, y));
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

#[test]
fn winograd_agrees_with_the_definition() {
    let window = |padding| Window::dense((3, 3), 1, padding);
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
                    |x, w, y| winograd::forward(set, side, shape, x, w, Epilogue::NONE, y),
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
    let window = Window::dense;
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
                |x, w, y| direct::forward(set, shape, x, w, Epilogue::NONE, y),
                Some(|dy: &[f32], w: &[f32], dx: &mut [MaybeUninit<f32>]| {
                    direct::backward_data(set, shape, dy, w, false, dx);
                }),
                |x, dy, dw| direct::backward_weight(set, shape, x, dy, dw),
            );
        }
    }
}

#[test]
fn convolutions_on_bf16_are_those_on_f32_rounded() {
    let window = Window::dense;
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
                        winograd::forward(set, side, shape, &x, &weight, Epilogue::NONE, y);
                        winograd::forward(set, side, shape, &wx, &weight, Epilogue::NONE, wy);
                        winograd::backward_data(set, side, shape, &dy, &weight, true, dx);
                        winograd::backward_data(set, side, shape, &wdy, &weight, true, wdx);
                        winograd::backward_weight(set, side, shape, &x, &dy, dw);
                        winograd::backward_weight(set, side, shape, &wx, &wdy, wdw);
                    } else {
                        direct::forward(set, shape, &x, &weight, Epilogue::NONE, y);
                        direct::forward(set, shape, &wx, &weight, Epilogue::NONE, wy);
                        direct::backward_data(set, shape, &dy, &weight, true, dx);
                        direct::backward_data(set, shape, &wdy, &weight, true, wdx);
                        direct::backward_weight(set, shape, &x, &dy, dw);
                        direct::backward_weight(set, shape, &wx, &wdy, wdw);
                    }
                }
                same_rounded(&format!("{name} y"), &y, &wy);
                same_rounded(&format!("{name} dx"), &dx, &wdx);
                same_bits(&format!("{name} dw"), &dw, &wdw);
            }
        }
    }
}
