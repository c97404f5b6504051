//! The last step of the weight gradient: adds the partial sums and transforms the points back to nine taps.

use super::transform::output;
use crate::InstructionSet;
use crate::cpu::simd::{Shared, Vector, dispatch};

/// Every row (input channel) of `products`, (parts, points, inputs, outputs), to `by_tap`, (9, inputs, outputs).
///
/// # Safety
///
/// Both must hold that many elements, `outputs` be a multiple of the lanes, and nobody else use them.
#[allow(clippy::too_many_arguments, reason = "extents of two arrays")]
pub(super) unsafe fn finish_row_of(
    set: InstructionSet,
    side: usize,
    inputs: usize,
    outputs: usize,
    parts: usize,
    products: Shared,
    by_tap: Shared,
    row: usize,
) {
    // SAFETY: the caller's contract.
    unsafe { finish(set, side, inputs, outputs, parts, products, by_tap, row) };
}

dispatch! {
    /// Adds the parts of one row (input channel) in order and transforms it back to nine taps.
    fn finish(
        side: usize, inputs: usize, outputs: usize, parts: usize, products: Shared, by_tap: Shared, row: usize,
    ) = finish_body
}

#[inline(always)]
unsafe fn finish_body<V: Vector>(
    side: usize,
    inputs: usize,
    outputs: usize,
    parts: usize,
    products: Shared,
    by_tap: Shared,
    row: usize,
) {
    // SAFETY: the caller's contract, by tile size.
    unsafe {
        if side == 4 {
            finish_row::<V, 6>(inputs, outputs, parts, products, by_tap, row);
        } else {
            finish_row::<V, 4>(inputs, outputs, parts, products, by_tap, row);
        }
    }
}

#[inline(always)]
unsafe fn finish_row<V: Vector, const T: usize>(
    inputs: usize,
    outputs: usize,
    parts: usize,
    products: Shared,
    by_tap: Shared,
    row: usize,
) {
    let matrix = inputs * outputs;
    let mut o = 0;
    while o < outputs {
        let at = row * outputs + o;
        // SAFETY: `row < inputs` and `o + LANES <= outputs`: inside (parts, T * T, inputs, outputs) and (9, inputs, outputs).
        unsafe {
            let mut half = [[V::splat(0.0); T]; 3];
            for j in 0..T {
                let mut column = [V::splat(0.0); T];
                for i in 0..T {
                    let mut sum = V::load(products.at((i * T + j) * matrix + at));
                    for part in 1..parts {
                        sum = sum.add(V::load(products.at((part * T * T + i * T + j) * matrix + at)));
                    }
                    column[i] = sum;
                }
                let column = output::<V, T, 3>(column);
                for i in 0..3 {
                    half[i][j] = column[i];
                }
            }
            for i in 0..3 {
                let taps = output::<V, T, 3>(half[i]);
                for j in 0..3 {
                    taps[j].store(by_tap.at((i * 3 + j) * matrix + at));
                }
            }
        }
        o += V::LANES;
    }
}
