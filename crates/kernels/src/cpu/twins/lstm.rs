//! An LSTM layer against its definition: units on both sides of a vector, batches on both sides of a tile, one step and several.

use std::mem::MaybeUninit;

use super::{SMALL, error, in_pools, numbers, run, sets, wide};
use crate::cpu::lstm::{self, Extents, Gradients, Passed, Window, Written};
use crate::cpu::memory::as_output;

/// Outputs, cells and gates.
fn forward<T: Copy>(extents: Extents, nan: T, kernel: impl FnOnce(Written<'_, T>)) -> [Vec<T>; 3] {
    let (mut gates, mut cells) = (vec![nan; 4 * extents.states_len()], vec![nan; extents.states_len()]);
    let y = run(extents.states_len(), nan, |y: &mut [MaybeUninit<T>]| {
        kernel(Written { gates: as_output(&mut gates), cells: as_output(&mut cells), y });
    });
    [y, cells, gates]
}

/// The gradients of the sums, the output before, the cell before and the inputs.
fn backward<T: Copy>(extents: Extents, nan: T, kernel: impl FnOnce(Gradients<'_, T>)) -> [Vec<T>; 4] {
    let (mut hidden, mut cell) = (vec![nan; extents.state_len()], vec![nan; extents.state_len()]);
    let mut x = vec![nan; extents.steps * extents.batch * extents.inputs];
    let gates = run(4 * extents.states_len(), nan, |gates: &mut [MaybeUninit<T>]| {
        let x = Some(as_output(&mut x));
        kernel(Gradients { gates, hidden: as_output(&mut hidden), cell: as_output(&mut cell), x });
    });
    [gates, hidden, cell, x]
}

#[test]
fn windows_agree_with_the_definition() {
    // The last three have more steps than a task takes at once, fewer, and a number that does not divide.
    let shapes: &[(usize, usize, usize, usize)] = if SMALL {
        &[(2, 3, 4, 9)]
    } else {
        &[(1, 1, 1, 1), (3, 2, 5, 16), (5, 13, 40, 17), (4, 25, 7, 40), (7, 3, 300, 130), (5, 60, 33, 130)]
    };
    for &(steps, batch, inputs, hidden) in shapes {
        let extents = Extents { steps, batch, inputs, hidden };
        let (state, states) = (extents.state_len(), extents.states_len());
        let scaled = |count: usize, of: usize, seed| -> Vec<f32> {
            numbers(count, seed).iter().map(|w| w / (of as f32).sqrt()).collect()
        };
        let (weight_ih, weight_hh) = (scaled(4 * hidden * inputs, inputs, 7), scaled(4 * hidden * hidden, hidden, 1));
        let (x, bias) = (numbers(steps * batch * inputs, 4), numbers(4 * hidden, 8));
        let (before, cell) = (numbers(state, 2), numbers(state, 3));
        let (dy, d_cell) = (numbers(states, 5), numbers(state, 6));
        let (wide_ih, wide_hh, wide_x, wide_bias) = (wide(&weight_ih), wide(&weight_hh), wide(&x), wide(&bias));
        let (wide_before, wide_cell) = (wide(&before), wide(&cell));
        for biased in [true, false] {
            let bias = biased.then_some(&bias[..]);
            let window = Window {
                extents,
                x: &x,
                weight_ih: &weight_ih,
                weight_hh: &weight_hh,
                bias,
                hidden: &before,
                cell: &cell,
            };
            let definition = Window {
                extents,
                x: &wide_x,
                weight_ih: &wide_ih,
                weight_hh: &wide_hh,
                bias: bias.map(|_| &wide_bias[..]),
                hidden: &wide_before,
                cell: &wide_cell,
            };
            let expected_forward = forward(extents, f64::NAN, |written| lstm::reference::forward(&definition, written));
            let [_, cells, gates] = &expected_forward;
            let (wide_dy, wide_d_cell) = (wide(&dy), wide(&d_cell));
            let passed = Passed { gates, cells, dy: &wide_dy, d_cell: &wide_d_cell };
            let expected_backward =
                backward(extents, f64::NAN, |to| lstm::reference::backward(&definition, &passed, to));
            for set in sets() {
                let name = format!("{extents:?} {set:?}");
                let all = forward(extents, f32::NAN, |written| lstm::forward(set, &window, written));
                for (got, expected) in all.iter().zip(&expected_forward) {
                    assert!(error(got, expected) < 5e-6, "{name}: {:e}", error(got, expected));
                }
                in_pools(|| forward(extents, f32::NAN, |to| lstm::forward(set, &window, to)).concat());
                let [_, cells, gates] = &all;
                let passed = Passed { gates, cells, dy: &dy, d_cell: &d_cell };
                let kernel = || backward(extents, f32::NAN, |to| lstm::backward(set, &window, &passed, to));
                for (got, expected) in kernel().iter().zip(&expected_backward) {
                    assert!(error(got, expected) < 1e-5, "{name}: {:e}", error(got, expected));
                }
                in_pools(|| kernel().concat());
            }
        }
    }
}

/// A forget gate of 1e-13: after three steps back a gradient is 1e-39, which no product should have to wait for.
#[test]
fn gradients_behind_closed_gates_are_zero_and_not_subnormal() {
    let extents = Extents { steps: 5, batch: 2, inputs: 1, hidden: 9 };
    let (state, states) = (extents.state_len(), extents.states_len());
    let (weight, zeros) = (vec![0f32; 4 * 9 * 9], vec![0f32; state]);
    let window = Window {
        extents,
        x: &[0f32; 10],
        weight_ih: &[0f32; 36],
        weight_hh: &weight,
        bias: None,
        hidden: &zeros,
        cell: &zeros,
    };
    let gates: Vec<f32> = (0..4 * states).map(|at| if at / 9 % 4 == 1 { 1e-13 } else { 0.5 }).collect();
    let (cells, dy, d_cell) = (numbers(states, 1), vec![0f32; states], vec![1f32; state]);
    let passed = Passed { gates: &gates, cells: &cells, dy: &dy, d_cell: &d_cell };
    for set in sets() {
        let all = backward(extents, f32::NAN, |to| lstm::backward(set, &window, &passed, to));
        let subnormal = all.iter().flatten().filter(|value| value.is_subnormal()).count();
        assert_eq!(subnormal, 0, "{set:?}");
        assert!(all.iter().flatten().any(|value| *value != 0.0 && value.abs() < 1e-20), "{set:?}: nothing was small");
    }
}
