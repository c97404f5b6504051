//! The forward pass on vectors. A task computes the inputs' part of the gates' sums for a few steps, then takes these steps while that part
//! is in the cache: a tile of sequences and a vector of units keeps its four sums in registers until the cell's new state is computed.

use rayon::prelude::*;

use crate::InstructionSet;
use crate::cpu::lstm::{Extents, Window, Written, steps_at_once};
use crate::cpu::memory::Buffer;
use crate::cpu::product::{Order, Panels, Product, multiply_rows, share, tile_of, transpose};
use crate::cpu::simd::functions::logistic;
use crate::cpu::simd::microkernel::reduce;
use crate::cpu::simd::{Shared, Stored, Vector, dispatch, lanes};

/// See [`crate::cpu::lstm::reference::forward`].
pub(crate) fn forward(set: InstructionSet, window: &Window<'_, f32>, written: Written<'_, f32>) {
    window.check();
    written.check(window.extents);
    let Extents { batch, inputs, hidden, .. } = window.extents;
    let Written { gates, cells, y } = written;
    if batch == 0 || hidden == 0 {
        return;
    }
    let of_inputs = Panels::new(set, (inputs, 4 * hidden), (window.weight_ih, Order::Columns), window.bias);
    let padded = hidden.next_multiple_of(lanes(set));
    let mut packed = Buffer::<f32>::take(4 * hidden * padded);
    pack(window.weight_hh, hidden, lanes(set), &mut packed);
    let (gates, cells, y) = (Shared::output(gates), Shared::output(cells), Shared::output(y));
    let of_inputs = Product { a: Shared::input(window.x), second: &of_inputs, y: gates };
    let task = Task { window, of_inputs, packed: &packed, gates, cells, y };
    let tasks = rayon::current_num_threads().min(batch);
    (0..tasks).into_par_iter().with_max_len(1).for_each(|index| {
        let rows = share(batch, tasks, index);
        // SAFETY: lengths were asserted; no other task has these sequences.
        unsafe { run(set, &task, rows.start, rows.end) };
    });
}

/// The weight in panels of a vector of units: (panel, unit before, gate, lane), zeros beyond the units.
fn pack(weight: &[f32], hidden: usize, lanes: usize, packed: &mut [f32]) {
    packed.par_chunks_mut(4 * hidden * lanes).enumerate().for_each(|(panel, packed)| {
        let row = |index: usize| {
            let unit = panel * lanes + index % lanes;
            (unit < hidden).then(|| &weight[(index / lanes * hidden + unit) * hidden..][..hidden])
        };
        transpose(4 * lanes, row, packed);
    });
}

struct Task<'a> {
    window: &'a Window<'a, f32>,
    /// The inputs' part of the gates' sums.
    of_inputs: Product<'a>,
    packed: &'a [f32],
    gates: Shared,
    cells: Shared,
    y: Shared,
}

dispatch! {
    /// Sequences `first` to `last` through all steps.
    fn run(task: &Task<'_>, first: usize, last: usize) = run_body
}

#[inline(always)]
unsafe fn run_body<V: Vector>(task: &Task<'_>, first: usize, last: usize) {
    let Extents { steps, batch, .. } = task.window.extents;
    let at_once = steps_at_once(task.window.extents, last - first);
    for start in (0..steps).step_by(at_once) {
        let steps = start..steps.min(start + at_once);
        for panel in 0..task.of_inputs.second.count() {
            for step in steps.clone() {
                let rows = step * batch + first..step * batch + last;
                // SAFETY: the caller's contract: this task alone writes the gates of its sequences.
                unsafe { multiply_rows::<V>(task.of_inputs, rows, panel..panel + 1) };
            }
        }
        for step in steps {
            // SAFETY: the caller's contract.
            unsafe { step_of::<V>(task, step, first, last) };
        }
    }
}

/// The gates' sums are those of the inputs before, the gates' values after.
#[inline(always)]
unsafe fn step_of<V: Vector>(task: &Task<'_>, step: usize, first: usize, last: usize) {
    let Extents { batch, hidden, .. } = task.window.extents;
    // Four sums a row, four vectors of the weight and one value stay in registers.
    let most = if V::REGISTERS >= 32 { 6 } else { 2 };
    let count = last - first;
    for unit in (0..hidden).step_by(V::LANES) {
        for index in 0..count.div_ceil(most) {
            let tile = share(count, count.div_ceil(most), index);
            let row = first + tile.start;
            macro_rules! tile {
                ($rows:literal) => {
                    // SAFETY: the caller's contract.
                    unsafe { cells_of::<V, $rows>(task, step * batch, row, step == 0, unit) }
                };
            }
            tile_of!(tile.len(), most, tile);
        }
    }
}

/// A vector of units of `MR` sequences, from `row` on, at one step, of whose rows the first is `start`.
#[inline(always)]
unsafe fn cells_of<V: Vector, const MR: usize>(task: &Task<'_>, start: usize, row: usize, initial: bool, unit: usize) {
    let Extents { batch, hidden, .. } = task.window.extents;
    let left = hidden - unit;
    // SAFETY: rows and units lie within the extents; lanes beyond the units are neither read nor written.
    unsafe {
        let mut acc = [[V::splat(0.0); 4]; MR];
        let mut before = [task.window.hidden.as_ptr(); MR];
        for i in 0..MR {
            let sums = task.gates.at((start + row + i) * 4 * hidden + unit);
            for gate in 0..4 {
                acc[i][gate] = f32::load_left::<V>(sums.add(gate * hidden), left);
            }
            before[i] = match initial {
                true => task.window.hidden.as_ptr().add((row + i) * hidden),
                false => task.y.at((start - batch + row + i) * hidden),
            };
        }
        reduce::<V, MR, 4>(&mut acc, before, task.packed.as_ptr().add(4 * hidden * unit), hidden);
        for i in 0..MR {
            let at = (start + row + i) * hidden + unit;
            let c = match initial {
                true => task.window.cell.as_ptr().add((row + i) * hidden + unit),
                false => task.cells.at(at - batch * hidden),
            };
            let (input, forget) = (logistic(acc[i][0]).0, logistic(acc[i][1]).0);
            let (new, output) = (tanh(acc[i][2]), logistic(acc[i][3]).0);
            let c = forget.mul(f32::load_left::<V>(c, left));
            let c = input.fma(new, c);
            let gates = task.gates.at((start + row + i) * 4 * hidden + unit);
            for (gate, value) in [input, forget, new, output].into_iter().enumerate() {
                f32::store_left(value, gates.add(gate * hidden), left);
            }
            f32::store_left(c, task.cells.at(at), left);
            f32::store_left(output.mul(tanh(c)), task.y.at(at), left);
        }
    }
}

/// `tanh(x) = 2 s(2 x) - 1`.
#[inline(always)]
pub(super) unsafe fn tanh<V: Vector>(x: V) -> V {
    // SAFETY: the caller has the instructions.
    unsafe { logistic(x.add(x)).0.fma(V::splat(2.0), V::splat(-1.0)) }
}
