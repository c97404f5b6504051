//! Transforms filters to the Winograd domain.

use super::transform::filter;
use crate::cpu::simd::{Shared, Stored, Vector, dispatch, panel_vectors};

dispatch! {
    /// One row (summed channel) of the weights into the transformed domain.
    pub(super) fn transform_weights(
        side: usize, from: usize, to: usize, by_tap: *const f32, weights: Shared, row: usize,
    ) = transform_weights_body
}

#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "extents of two arrays")]
unsafe fn transform_weights_body<V: Vector>(
    side: usize,
    from: usize,
    to: usize,
    by_tap: *const f32,
    weights: Shared,
    row: usize,
) {
    // SAFETY: the caller's contract, by tile size.
    unsafe {
        if side == 4 {
            transform_row::<V, 6>(from, to, by_tap, weights, row);
        } else {
            transform_row::<V, 4>(from, to, by_tap, weights, row);
        }
    }
}

#[inline(always)]
unsafe fn transform_row<V: Vector, const T: usize>(
    from: usize,
    to: usize,
    by_tap: *const f32,
    weights: Shared,
    row: usize,
) {
    let padded = to.next_multiple_of(V::LANES);
    let mut k = 0;
    while k < to {
        // The panel that this vector belongs to.
        let first = k / (2 * V::LANES) * 2 * V::LANES;
        let width = panel_vectors(V::LANES, to, first) * V::LANES;
        let left = to - k;
        // SAFETY: `row < from` and `k < to`, of which no more than `left` are read: inside (9, from, to), and whole vectors inside
        // (T * T, panel of `padded`, from, panel).
        unsafe {
            let mut half = [[V::splat(0.0); 3]; T];
            for s in 0..3 {
                let tap = |r: usize| by_tap.add(((r * 3 + s) * from + row) * to + k);
                let column = filter::<V, 3, T>([
                    f32::load_left(tap(0), left),
                    f32::load_left(tap(1), left),
                    f32::load_left(tap(2), left),
                ]);
                for i in 0..T {
                    half[i][s] = column[i];
                }
            }
            for i in 0..T {
                let points = filter::<V, 3, T>(half[i]);
                for j in 0..T {
                    let at = ((i * T + j) * padded + first) * from + row * width + k - first;
                    points[j].store(weights.at(at));
                }
            }
        }
        k += V::LANES;
    }
}
