//! The recurrence against its definition: units on both sides of a vector, batches on both sides of a tile, one step and several.

use std::mem::MaybeUninit;

use super::{SMALL, error, in_pools, numbers, run, sets, wide};
use crate::cpu::lstm::{self, Extents, Gradients, Passed, Recurrence, Written};
use crate::cpu::memory::as_output;

/// Outputs, cells and gates.
fn forward<T: Copy>(extents: Extents, sums: &[T], nan: T, kernel: impl FnOnce(Written<'_, T>)) -> [Vec<T>; 3] {
    let (mut gates, mut cells) = (sums.to_vec(), vec![nan; extents.states_len()]);
    let y = run(extents.states_len(), nan, |y: &mut [MaybeUninit<T>]| {
        kernel(Written { gates: &mut gates, cells: as_output(&mut cells), y });
    });
    [y, cells, gates]
}

/// The gradients of the sums, the output before and the cell before.
fn backward<T: Copy>(extents: Extents, nan: T, kernel: impl FnOnce(Gradients<'_, T>)) -> [Vec<T>; 3] {
    let (mut hidden, mut cell) = (vec![nan; extents.state_len()], vec![nan; extents.state_len()]);
    let gates = run(4 * extents.states_len(), nan, |gates: &mut [MaybeUninit<T>]| {
        kernel(Gradients { gates, hidden: as_output(&mut hidden), cell: as_output(&mut cell) });
    });
    [gates, hidden, cell]
}

#[test]
fn recurrences_agree_with_the_definition() {
    let shapes: &[(usize, usize, usize)] =
        if SMALL { &[(2, 3, 9)] } else { &[(1, 1, 1), (3, 2, 16), (5, 13, 17), (4, 25, 40), (7, 3, 130)] };
    for &(steps, batch, hidden) in shapes {
        let extents = Extents { steps, batch, hidden };
        let (state, states) = (extents.state_len(), extents.states_len());
        let weight: Vec<f32> = numbers(4 * hidden * hidden, 1).iter().map(|w| w / (hidden as f32).sqrt()).collect();
        let (before, cell, sums) = (numbers(state, 2), numbers(state, 3), numbers(4 * states, 4));
        let (dy, d_cell) = (numbers(states, 5), numbers(state, 6));
        let (wide_weight, wide_before, wide_cell) = (wide(&weight), wide(&before), wide(&cell));
        let recurrence = Recurrence { extents, weight: &weight, hidden: &before, cell: &cell };
        let expected = Recurrence { extents, weight: &wide_weight, hidden: &wide_before, cell: &wide_cell };
        let expected_forward =
            forward(extents, &wide(&sums), f64::NAN, |written| lstm::reference::forward(&expected, written));
        let [_, cells, gates] = &expected_forward;
        for d_cell in [Some(&d_cell[..]), None] {
            let (wide_dy, wide_d_cell) = (wide(&dy), d_cell.map(wide));
            let passed = Passed { gates, cells, dy: &wide_dy, d_cell: wide_d_cell.as_deref() };
            let expected_backward = backward(extents, f64::NAN, |to| lstm::reference::backward(&expected, &passed, to));
            for set in sets() {
                let name = format!("{extents:?} {set:?}");
                let all = forward(extents, &sums, f32::NAN, |written| lstm::forward(set, &recurrence, written));
                for (got, expected) in all.iter().zip(&expected_forward) {
                    assert!(error(got, expected) < 3e-6, "{name}: {:e}", error(got, expected));
                }
                in_pools(|| forward(extents, &sums, f32::NAN, |to| lstm::forward(set, &recurrence, to)).concat());
                let [_, cells, gates] = &all;
                let passed = Passed { gates, cells, dy: &dy, d_cell };
                let kernel = || backward(extents, f32::NAN, |to| lstm::backward(set, &recurrence, &passed, to));
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
    let extents = Extents { steps: 5, batch: 2, hidden: 9 };
    let (state, states) = (extents.state_len(), extents.states_len());
    let (weight, zeros) = (vec![0f32; 4 * 9 * 9], vec![0f32; state]);
    let recurrence = Recurrence { extents, weight: &weight, hidden: &zeros, cell: &zeros };
    let gates: Vec<f32> = (0..4 * states).map(|at| if at / 9 % 4 == 1 { 1e-13 } else { 0.5 }).collect();
    let (cells, dy, d_cell) = (numbers(states, 1), vec![0f32; states], vec![1f32; state]);
    let passed = Passed { gates: &gates, cells: &cells, dy: &dy, d_cell: Some(&d_cell) };
    for set in sets() {
        let all = backward(extents, f32::NAN, |to| lstm::backward(set, &recurrence, &passed, to));
        let subnormal = all.iter().flatten().filter(|value| value.is_subnormal()).count();
        assert_eq!(subnormal, 0, "{set:?}");
        assert!(all.iter().flatten().any(|value| *value != 0.0 && value.abs() < 1e-20), "{set:?}: nothing was small");
    }
}
