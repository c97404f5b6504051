//! Groups, dilation, bias, depthwise convolutions and channels that fill no vector, against the definition in f64: all
//! instruction sets, into memory of NaN, on any number of threads.

use half::bf16;

use super::conv::{check, shape};
use super::{SMALL, both, error, numbers, run, same_bits, same_rounded, sets, wide};
use crate::cpu::conv::{Epilogue, depthwise, direct, reference, winograd};
use crate::cpu::memory;
use crate::plan::{ConvShape, Window};

/// (batch, input, channels, groups, kernel, stride, padding, dilation)
type Case = (usize, (usize, usize), (usize, usize), usize, (usize, usize), usize, usize, usize);

fn shapes(cases: &[Case]) -> Vec<ConvShape> {
    let cases = if SMALL { &cases[..1] } else { cases };
    let shape = |&(batch, input, channels, groups, kernel, stride, padding, dilation): &Case| {
        let window = Window { kernel, stride, padding, dilation };
        ConvShape { groups, ..shape(batch, input, channels, window) }
    };
    cases.iter().map(shape).collect()
}

#[test]
fn direct_takes_any_channels_groups_and_dilation() {
    let cases = [
        (1, (3, 4), (5, 7), 1, (3, 3), 1, 1, 1),
        (2, (6, 5), (24, 40), 1, (3, 3), 1, 1, 1),
        (3, (9, 7), (40, 24), 1, (3, 3), 2, 1, 1),
        (2, (5, 5), (100, 33), 1, (1, 1), 1, 0, 1),
        (1, (7, 9), (3, 17), 1, (7, 7), 2, 3, 1),
        (2, (9, 8), (16, 16), 1, (3, 3), 1, 2, 2),
        (2, (11, 9), (20, 12), 1, (3, 2), 2, 3, 3),
        (2, (6, 7), (32, 64), 2, (3, 3), 1, 1, 1),
        (3, (7, 5), (24, 36), 4, (3, 3), 2, 1, 1),
        (2, (8, 8), (12, 24), 12, (3, 3), 1, 1, 1),
        (1, (9, 9), (68, 40), 2, (3, 3), 1, 4, 4),
        (2, (2, 3), (16, 16), 4, (1, 1), 3, 1, 1),
        // Several images a task, rows split over tasks, a blocked reduction.
        (33, (4, 4), (40, 24), 1, (3, 3), 2, 1, 1),
        (2, (40, 9), (33, 16), 1, (3, 3), 1, 1, 1),
        (1, (17, 12), (96, 40), 1, (3, 3), 2, 1, 1),
        (1, (4, 3), (240, 24), 1, (3, 3), 1, 1, 1),
    ];
    for shape in &shapes(&cases) {
        for set in sets() {
            check(
                &format!("direct {set:?}"),
                shape,
                3e-5,
                |x, w, y| direct::forward(set, shape, x, w, Epilogue::NONE, y),
                Some(|dy: &[f32], w: &[f32], dx: &mut [std::mem::MaybeUninit<f32>]| {
                    direct::backward_data(set, shape, dy, w, false, dx);
                }),
                |x, dy, dw| direct::backward_weight(set, shape, x, dy, dw),
            );
        }
    }
}

fn depthwise_shapes() -> Vec<ConvShape> {
    let case = |batch, input, channels, kernel, stride, padding, dilation| -> Case {
        (batch, input, (channels, channels), channels, kernel, stride, padding, dilation)
    };
    shapes(&[
        case(1, (4, 5), 19, (3, 3), 1, 1, 1),
        case(2, (9, 7), 16, (3, 3), 1, 1, 1),
        case(3, (8, 11), 24, (3, 3), 2, 1, 1),
        case(2, (7, 7), 33, (5, 5), 1, 2, 1),
        case(2, (10, 9), 40, (5, 5), 2, 2, 1),
        case(1, (1, 1), 17, (3, 3), 1, 1, 1),
        case(2, (5, 6), 8, (3, 3), 1, 0, 1),
        case(2, (6, 5), 3, (3, 3), 1, 4, 1),
        case(1, (9, 9), 20, (7, 7), 1, 3, 1),
        case(1, (9, 12), 20, (2, 4), 3, 1, 1),
        case(2, (9, 8), 18, (3, 3), 1, 2, 2),
        case(1, (12, 11), 18, (3, 5), 2, 4, 3),
        case(2, (4, 5), 16, (1, 1), 2, 0, 1),
        case(2, (40, 70), 32, (3, 3), 1, 1, 1),
        case(17, (16, 16), 40, (3, 3), 2, 1, 1),
    ])
}

#[test]
fn depthwise_agrees_with_the_definition() {
    for shape in &depthwise_shapes() {
        assert!(depthwise::takes(shape));
        for set in sets() {
            check(
                &format!("depthwise {set:?}"),
                shape,
                1e-5,
                |x, w, y| depthwise::forward(set, shape, x, w, Epilogue::NONE, y),
                Some(|dy: &[f32], w: &[f32], dx: &mut [std::mem::MaybeUninit<f32>]| {
                    depthwise::backward_data(set, shape, dy, w, false, dx);
                }),
                |x, dy, dw| depthwise::backward_weight(set, shape, x, dy, dw),
            );
        }
    }
}

/// Bias, residual and rectifier, and gradients that are added to what is there.
#[test]
fn epilogues_and_sums_with_what_is_there() {
    let dense = shapes(&[
        (2, (5, 4), (5, 21), 1, (3, 3), 2, 1, 1),
        (1, (6, 7), (96, 40), 1, (3, 3), 1, 1, 1),
        (2, (5, 4), (8, 24), 4, (3, 3), 1, 1, 1),
    ]);
    for shape in dense.iter().chain(&depthwise_shapes()) {
        let (x, weight, dy) = (numbers(shape.x_len(), 1), numbers(shape.weight_len(), 2), numbers(shape.y_len(), 3));
        let (bias, before) = (numbers(shape.channels_out, 4), numbers(shape.x_len(), 5));
        let residual = numbers(shape.y_len(), 6);
        let epilogue = Epilogue { bias: Some(&bias), residual: Some(&residual), relu: true };
        let expected = run(shape.y_len(), f64::NAN, |y| {
            let (bias, residual) = (&wide(&bias)[..], &wide(&residual)[..]);
            let epilogue = Epilogue { bias: Some(bias), residual: Some(residual), relu: true };
            reference::forward(shape, &wide(&x), &wide(&weight), epilogue, y);
        });
        assert!(expected.contains(&0.0) && expected.iter().all(|y| *y >= 0.0));
        let mut sums = wide(&before);
        reference::backward_data(shape, &wide(&dy), &wide(&weight), true, memory::as_output(&mut sums));
        let near = |name: &str, got: &[f32], expected: &[f64]| {
            for (got, expected) in got.iter().zip(expected) {
                assert!((f64::from(*got) - expected).abs() < 1e-4, "{name} {shape:?}: {got}, {expected}");
            }
        };
        for set in sets() {
            let mut dx = before.clone();
            let y = run(shape.y_len(), f32::NAN, |y| match depthwise::takes(shape) {
                true => depthwise::forward(set, shape, &x, &weight, epilogue, y),
                false => direct::forward(set, shape, &x, &weight, epilogue, y),
            });
            match depthwise::takes(shape) {
                true => depthwise::backward_data(set, shape, &dy, &weight, true, memory::as_output(&mut dx)),
                false => direct::backward_data(set, shape, &dy, &weight, true, memory::as_output(&mut dx)),
            }
            near("y", &y, &expected);
            near("dx", &dx, &sums);
        }
    }
}

/// A kernel's bf16 output is its f32 output, rounded: the sums are the same.
#[test]
fn bf16_is_f32_rounded() {
    let dense = shapes(&[(2, (5, 4), (24, 40), 2, (3, 3), 2, 1, 1), (1, (6, 7), (33, 17), 1, (3, 3), 1, 2, 2)]);
    for shape in dense.iter().chain(&depthwise_shapes()) {
        let ((x, wx), (dy, wdy)) = (both(shape.x_len(), 1), both(shape.y_len(), 2));
        let (weight, (before, wbefore)) = (numbers(shape.weight_len(), 4), both(shape.x_len(), 3));
        let (residual, wresidual) = both(shape.y_len(), 5);
        let epilogue = Epilogue { residual: Some(&residual), ..Epilogue::NONE };
        let wepilogue = Epilogue { residual: Some(&wresidual), ..Epilogue::NONE };
        for set in sets() {
            let (mut dx, mut wdx) = (before.clone(), wbefore.clone());
            macro_rules! passes {
                ($family:ident) => {{
                    let y = run(dy.len(), bf16::NAN, |y| $family::forward(set, shape, &x, &weight, epilogue, y));
                    let wy = run(dy.len(), f32::NAN, |y| $family::forward(set, shape, &wx, &weight, wepilogue, y));
                    same_rounded(&format!("y {shape:?}"), &y, &wy);
                    $family::backward_data(set, shape, &dy, &weight, true, memory::as_output(&mut dx));
                    $family::backward_data(set, shape, &wdy, &weight, true, memory::as_output(&mut wdx));
                    same_rounded(&format!("dx {shape:?}"), &dx, &wdx);
                    let dw = run(weight.len(), f32::NAN, |dw| $family::backward_weight(set, shape, &x, &dy, dw));
                    let wdw = run(weight.len(), f32::NAN, |dw| $family::backward_weight(set, shape, &wx, &wdy, dw));
                    same_bits(&format!("dw {shape:?}"), &dw, &wdw);
                }};
            }
            if depthwise::takes(shape) { passes!(depthwise) } else { passes!(direct) }
        }
    }
}

#[test]
fn winograd_takes_any_channels() {
    let cases = [
        (1, (5, 3), (17, 13), 1, (3, 3), 1, 1, 1),
        (2, (7, 9), (24, 40), 1, (3, 3), 1, 1, 1),
        (3, (8, 8), (40, 24), 1, (3, 3), 1, 0, 1),
        (2, (6, 5), (100, 12), 1, (3, 3), 1, 2, 1),
        (2, (6, 6), (150, 170), 1, (3, 3), 1, 1, 1),
    ];
    for shape in &shapes(&cases) {
        assert!(winograd::takes(shape));
        let (x, dy) = (both(shape.x_len(), 1), both(shape.y_len(), 2));
        let (weight, before) = (numbers(shape.weight_len(), 3), both(shape.x_len(), 4));
        let (bias, residual) = (numbers(shape.channels_out, 5), both(shape.y_len(), 6));
        let expected = run(shape.y_len(), f64::NAN, |y| {
            let (bias, residual) = (&wide(&bias)[..], &wide(&residual.1)[..]);
            let epilogue = Epilogue { bias: Some(bias), residual: Some(residual), relu: true };
            reference::forward(shape, &wide(&x.1), &wide(&weight), epilogue, y);
        });
        for set in sets() {
            for (side, bound) in [(4, 2e-4), (2, 3e-5)] {
                check(
                    &format!("winograd {side} {set:?}"),
                    shape,
                    bound,
                    |x, w, y| winograd::forward(set, side, shape, x, w, Epilogue::NONE, y),
                    Some(|dy: &[f32], w: &[f32], dx: &mut [std::mem::MaybeUninit<f32>]| {
                        winograd::backward_data(set, side, shape, dy, w, false, dx);
                    }),
                    |x, dy, dw| winograd::backward_weight(set, side, shape, x, dy, dw),
                );
                let wy = run(dy.1.len(), f32::NAN, |y| {
                    let epilogue = Epilogue { bias: Some(&bias), residual: Some(&residual.1), relu: true };
                    winograd::forward(set, side, shape, &x.1, &weight, epilogue, y);
                });
                let off = error(&wy, &expected);
                assert!(off < bound, "epilogue {shape:?}: {off}");
                let y = run(dy.0.len(), bf16::NAN, |y| {
                    let epilogue = Epilogue { bias: Some(&bias), residual: Some(&residual.0), relu: true };
                    winograd::forward(set, side, shape, &x.0, &weight, epilogue, y);
                });
                same_rounded(&format!("y {shape:?}"), &y, &wy);
                let (mut dx, mut wdx) = before.clone();
                winograd::backward_data(set, side, shape, &dy.0, &weight, true, memory::as_output(&mut dx));
                winograd::backward_data(set, side, shape, &dy.1, &weight, true, memory::as_output(&mut wdx));
                same_rounded(&format!("dx {shape:?}"), &dx, &wdx);
            }
        }
    }
}

#[test]
fn winograd_leaves_groups_and_dilation_to_others() {
    let cases = [(1, (8, 8), (32, 32), 2, (3, 3), 1, 1, 1), (1, (8, 8), (32, 32), 1, (3, 3), 1, 1, 2)];
    assert!(shapes(&cases).iter().all(|shape| !winograd::takes(shape) && direct::takes(shape)));
}
