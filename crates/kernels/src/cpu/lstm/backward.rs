//! The backward pass on vectors: for each step, first the cells, then the product that gives the previous step's gradient.

use rayon::prelude::*;

use super::forward::tanh;
use crate::InstructionSet;
use crate::cpu::lstm::{Extents, Gradients, Passed, Recurrence};
use crate::cpu::memory::Buffer;
use crate::cpu::product::{Order, pack, share, tile_of};
use crate::cpu::simd::microkernel::reduce;
use crate::cpu::simd::{Shared, Stored, Vector, dispatch, lanes};

/// See [`crate::cpu::lstm::reference::backward`]. Gradients within 2^-100 of zero are zero.
pub(crate) fn backward(
    set: InstructionSet,
    recurrence: &Recurrence<'_, f32>,
    passed: &Passed<'_, f32>,
    gradients: Gradients<'_, f32>,
) {
    recurrence.check();
    let extents = recurrence.extents;
    let Extents { batch, hidden, .. } = extents;
    let (states, state) = (extents.states_len(), extents.state_len());
    assert!(passed.gates.len() == 4 * states && passed.cells.len() == states, "lengths");
    assert!(passed.dy.len() == states && gradients.gates.len() == 4 * states, "lengths");
    assert!(passed.d_cell.is_none_or(|d_cell| d_cell.len() == state), "lengths");
    assert!(gradients.hidden.len() == state && gradients.cell.len() == state, "lengths");
    if batch == 0 || hidden == 0 {
        return;
    }
    let padded = hidden.next_multiple_of(lanes(set));
    let mut packed = Buffer::<f32>::take(4 * hidden * padded);
    pack(recurrence.weight, Order::Rows, (4 * hidden, hidden, padded), 2 * lanes(set), &mut packed);
    let (gates, to_hidden) = (Shared::output(gradients.gates), Shared::output(gradients.hidden));
    let to_cell = Shared::output(gradients.cell);
    let task = Task { recurrence, passed, packed: &packed, padded, gates, to_hidden, to_cell };
    let tasks = rayon::current_num_threads().min(batch);
    (0..tasks).into_par_iter().with_max_len(1).for_each(|index| {
        let rows = share(batch, tasks, index);
        let mut carried = Buffer::<f32>::take(2 * rows.len() * padded);
        carried.fill(0.0);
        // SAFETY: lengths were asserted; no other task has these sequences.
        unsafe { run(set, &task, rows.start, rows.end, Shared::new(&mut carried)) };
    });
}

struct Task<'a> {
    recurrence: &'a Recurrence<'a, f32>,
    passed: &'a Passed<'a, f32>,
    packed: &'a [f32],
    /// Units filled up to whole vectors.
    padded: usize,
    gates: Shared,
    to_hidden: Shared,
    to_cell: Shared,
}

dispatch! {
    /// Sequences `first` to `last` through all steps; `carried` holds the gradients of their outputs, then of their cells.
    fn run(task: &Task<'_>, first: usize, last: usize, carried: Shared) = run_body
}

#[inline(always)]
unsafe fn run_body<V: Vector>(task: &Task<'_>, first: usize, last: usize, carried: Shared) {
    let Extents { steps, batch, hidden } = task.recurrence.extents;
    let (padded, count) = (task.padded, last - first);
    // SAFETY: rows and units lie within the extents; `carried` holds two rows of padded units for each sequence.
    unsafe {
        let cell = carried.from(count * padded);
        if let Some(d_cell) = task.passed.d_cell {
            for row in 0..count {
                let from = d_cell.as_ptr().add((first + row) * hidden);
                std::ptr::copy_nonoverlapping(from, cell.at(row * padded), hidden);
            }
        }
        for step in (0..steps).rev() {
            for row in 0..count {
                let mut unit = 0;
                while unit < hidden {
                    let (dh, dc) = (carried.at(row * padded + unit), cell.at(row * padded + unit));
                    cells_of::<V>(task, step, first + row, unit, dh, dc);
                    unit += V::LANES;
                }
            }
            let mut column = 0;
            while column < padded {
                if padded - column >= 2 * V::LANES {
                    carry::<V, 2>(task, step * batch + first, count, column, carried);
                    column += 2 * V::LANES;
                } else {
                    carry::<V, 1>(task, step * batch + first, count, column, carried);
                    column += V::LANES;
                }
            }
        }
        for row in 0..count {
            let at = (first + row) * hidden;
            std::ptr::copy_nonoverlapping(carried.at(row * padded), task.to_hidden.at(at), hidden);
            std::ptr::copy_nonoverlapping(cell.at(row * padded), task.to_cell.at(at), hidden);
        }
    }
}

/// A vector of units of a sequence: the gradients of its four sums, and of the cell before.
#[inline(always)]
unsafe fn cells_of<V: Vector>(task: &Task<'_>, step: usize, row: usize, unit: usize, dh: *mut f32, dc: *mut f32) {
    let Extents { batch, hidden, .. } = task.recurrence.extents;
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
            0 => task.recurrence.cell.as_ptr().add(row * hidden + unit),
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

/// Sets gradients near zero to zero; NaN stays NaN. Behind a nearly closed gate, gradients shrink from step to step, and
/// products of subnormal numbers (below 2^-126) take a hundred times as long, long after they stop contributing to sums.
#[inline(always)]
unsafe fn flushed<V: Vector>(x: V) -> V {
    // SAFETY: the caller has the instructions.
    unsafe { V::select(x.abs().at_most(V::splat(SMALLEST)), V::splat(0.0), x) }
}

/// 2^-100.
const SMALLEST: f32 = f32::from_bits(27 << 23);

/// A panel of the gradient of the previous step's outputs: the gradients of the sums times the weight.
#[inline(always)]
unsafe fn carry<V: Vector, const NR: usize>(task: &Task<'_>, row: usize, count: usize, column: usize, carried: Shared) {
    let inner = 4 * task.recurrence.extents.hidden;
    for index in 0..count.div_ceil(V::TILE_ROWS) {
        let tile = share(count, count.div_ceil(V::TILE_ROWS), index);
        macro_rules! tile {
            ($rows:literal) => {
                // SAFETY: the tile's rows lie within the gradients and within `carried`, whose rows are whole vectors.
                unsafe {
                    let mut acc = [[V::splat(0.0); NR]; $rows];
                    let mut rows = [task.packed.as_ptr(); $rows];
                    for i in 0..$rows {
                        rows[i] = task.gates.at((row + tile.start + i) * inner);
                    }
                    reduce::<V, $rows, NR>(&mut acc, rows, task.packed.as_ptr().add(column * inner), inner);
                    for i in 0..$rows {
                        for j in 0..NR {
                            acc[i][j].store(carried.at((tile.start + i) * task.padded + column + j * V::LANES));
                        }
                    }
                }
            };
        }
        tile_of!(tile.len(), V::TILE_ROWS, tile);
    }
}
