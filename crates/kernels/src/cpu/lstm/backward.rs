//! The backward pass on vectors. A task takes a few steps back (for each step, first the cells, then the product that gives the previous
//! step's gradient), then computes the gradient of their inputs while that of the gates is in the cache.

use rayon::prelude::*;

use super::forward::tanh;
use crate::InstructionSet;
use crate::cpu::lstm::{Extents, Gradients, Passed, Window, steps_at_once};
use crate::cpu::product::{Order, Panels, Product, multiply_rows, share};
use crate::cpu::simd::{Shared, Stored, Vector, dispatch};

/// See [`crate::cpu::lstm::reference::backward`]. Gradients within 2^-100 of zero are zero.
pub(crate) fn backward(
    set: InstructionSet,
    window: &Window<'_, f32>,
    passed: &Passed<'_, f32>,
    gradients: Gradients<'_, f32>,
) {
    window.check();
    passed.check(window.extents);
    gradients.check(window.extents);
    let Extents { batch, inputs, hidden, .. } = window.extents;
    if batch == 0 || hidden == 0 {
        return;
    }
    let gates = Shared::output(gradients.gates);
    let to_before = Panels::new(set, (4 * hidden, hidden), (window.weight_hh, Order::Rows), None);
    let to_inputs = gradients.x.map(|x| {
        let weight = Panels::new(set, (4 * hidden, inputs), (window.weight_ih, Order::Rows), None);
        (weight, Shared::output(x))
    });
    let task = Task {
        window,
        passed,
        gates,
        to_before: &to_before,
        to_inputs: to_inputs.as_ref().map(|(second, y)| Product { a: gates, second, y: *y }),
        to_hidden: Shared::output(gradients.hidden),
        to_cell: Shared::output(gradients.cell),
    };
    let tasks = rayon::current_num_threads().min(batch);
    (0..tasks).into_par_iter().with_max_len(1).for_each(|index| {
        let rows = share(batch, tasks, index);
        // SAFETY: lengths were asserted; no other task has these sequences.
        unsafe { run(set, &task, rows.start, rows.end) };
    });
}

struct Task<'a> {
    window: &'a Window<'a, f32>,
    passed: &'a Passed<'a, f32>,
    /// The gradients of the gates' sums.
    gates: Shared,
    /// The weight that takes them to the previous step.
    to_before: &'a Panels,
    /// The product that gives the gradient of the inputs.
    to_inputs: Option<Product<'a>>,
    to_hidden: Shared,
    to_cell: Shared,
}

dispatch! {
    /// Sequences `first` to `last` through all steps.
    fn run(task: &Task<'_>, first: usize, last: usize) = run_body
}

#[inline(always)]
unsafe fn run_body<V: Vector>(task: &Task<'_>, first: usize, last: usize) {
    let Extents { steps, batch, hidden, .. } = task.window.extents;
    let count = last - first;
    // The gradients from the next step, of these outputs and of their cells, are kept where the last ones go.
    // SAFETY: this task alone has these sequences; rows, units and panels lie within the extents.
    unsafe {
        let (dh, dc) = (task.to_hidden.from(first * hidden), task.to_cell.from(first * hidden));
        for at in 0..count * hidden {
            *dh.at(at) = 0.0;
            *dc.at(at) = task.passed.d_cell[first * hidden + at];
        }
        let at_once = steps_at_once(task.window.extents, count);
        let mut end = steps;
        while end > 0 {
            let steps = end.saturating_sub(at_once)..end;
            for step in steps.clone().rev() {
                let row = step * batch + first;
                for at in 0..count {
                    for unit in (0..hidden).step_by(V::LANES) {
                        let (dh, dc) = (dh.at(at * hidden + unit), dc.at(at * hidden + unit));
                        cells_of::<V>(task, step, first + at, unit, dh, dc);
                    }
                }
                let carry = Product { a: task.gates.from(row * 4 * hidden), second: task.to_before, y: dh };
                multiply_rows::<V>(carry, 0..count, 0..task.to_before.count());
            }
            if let Some(to_inputs) = task.to_inputs {
                for panel in 0..to_inputs.second.count() {
                    for step in steps.clone() {
                        let row = step * batch + first;
                        multiply_rows::<V>(to_inputs, row..row + count, panel..panel + 1);
                    }
                }
            }
            end = steps.start;
        }
    }
}

/// A vector of units of a sequence: the gradients of its four sums, and of the cell before.
#[inline(always)]
unsafe fn cells_of<V: Vector>(task: &Task<'_>, step: usize, row: usize, unit: usize, dh: *mut f32, dc: *mut f32) {
    let Extents { batch, hidden, .. } = task.window.extents;
    let left = hidden - unit;
    // SAFETY: rows and units lie within the extents; lanes beyond the units are neither read nor written.
    unsafe {
        let at = (step * batch + row) * hidden + unit;
        let first = 4 * ((step * batch + row) * hidden) + unit;
        let gate = |gate: usize| task.passed.gates.as_ptr().add(first + gate * hidden);
        let (i, f) = (f32::load_left::<V>(gate(0), left), f32::load_left::<V>(gate(1), left));
        let (g, o) = (f32::load_left::<V>(gate(2), left), f32::load_left::<V>(gate(3), left));
        let cells = task.passed.cells.as_ptr();
        let before = match step {
            0 => task.window.cell.as_ptr().add(row * hidden + unit),
            _ => cells.add(at - batch * hidden),
        };
        let before = f32::load_left::<V>(before, left);
        let tanh = tanh(f32::load_left::<V>(cells.add(at), left));
        let dh_here = f32::load_left::<V>(dh, left).add(f32::load_left::<V>(task.passed.dy.as_ptr().add(at), left));
        let one = V::splat(1.0);
        let through = dh_here.mul(o);
        let d = f32::load_left::<V>(dc, left).add(through.mul(one.sub(tanh.mul(tanh))));
        let sums = [
            d.mul(g).mul(i.mul(one.sub(i))),
            d.mul(before).mul(f.mul(one.sub(f))),
            d.mul(i).mul(one.sub(g.mul(g))),
            through.mul(tanh).mul(one.sub(o)),
        ];
        for (index, sum) in sums.into_iter().enumerate() {
            f32::store_left(flushed(sum), task.gates.at(first + index * hidden), left);
        }
        f32::store_left(flushed(d.mul(f)), dc, left);
    }
}

/// Sets gradients near zero to zero; NaN stays NaN. Behind a nearly closed gate, gradients shrink from step to step, and products of
/// subnormal numbers (below 2^-126) take a hundred times as long, long after they stop contributing to sums.
#[inline(always)]
unsafe fn flushed<V: Vector>(x: V) -> V {
    // SAFETY: the caller has the instructions.
    unsafe { V::select(x.abs().at_most(V::splat(SMALLEST)), V::splat(0.0), x) }
}

/// 2^-100.
const SMALLEST: f32 = f32::from_bits(27 << 23);
