//! Both passes on vectors of channels, without branches on the tap of the maximum, which would be unpredictable.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::InstructionSet;
use crate::cpu::memory::fill;
use crate::cpu::simd::{Stored, Vector, dispatch};
use crate::plan::PoolShape;

/// The lanes of the widest vector.
const MOST_LANES: usize = 16;

/// See [`crate::cpu::pool::reference::largest`].
pub(crate) fn largest<S: Stored>(
    set: InstructionSet,
    shape: &PoolShape,
    x: &[S],
    y: &mut [MaybeUninit<S>],
    winners: &mut [MaybeUninit<u8>],
) {
    assert!(x.len() == shape.x_len() && [y.len(), winners.len()] == [shape.y_len(); 2], "lengths");
    let (rows, columns) = shape.output;
    let row_len = columns * shape.channels;
    let row_in = shape.input.1 * shape.channels;
    let side = shape.window.kernel.0;
    y.par_chunks_mut(row_len).zip(winners.par_chunks_mut(row_len)).enumerate().for_each(|(row, (y, winners))| {
        let first = (row / rows * shape.input.0 + row % rows * side) * row_in;
        let x = &x[first..][..side * row_in];
        assert!(y.len() == row_len && winners.len() == row_len && columns * side <= shape.input.1, "lengths");
        // SAFETY: `side` rows of pixels to read, of which `columns` windows take a part, and a row of outputs to write.
        unsafe { largest_row(set, shape, x.as_ptr(), y.as_mut_ptr().cast(), winners.as_mut_ptr().cast()) };
    });
}

/// See [`crate::cpu::pool::reference::spread`].
pub(crate) fn spread<S: Stored>(
    set: InstructionSet,
    shape: &PoolShape,
    dy: &[S],
    winners: &[u8],
    dx: &mut [MaybeUninit<S>],
) {
    assert!(dx.len() == shape.x_len() && [dy.len(), winners.len()] == [shape.y_len(); 2], "lengths");
    let (columns, channels, side) = (shape.output.1, shape.channels, shape.window.kernel.0);
    let (row_in, row_out) = (shape.input.1 * channels, columns * channels);
    dx.par_chunks_mut(row_in).enumerate().for_each(|(row, dx)| {
        let (image, y) = (row / shape.input.0, row % shape.input.0);
        // What no window covers.
        fill(&mut dx[columns * side * channels..], S::zero());
        if y / side >= shape.output.0 {
            fill(dx, S::zero());
            return;
        }
        let first = (image * shape.output.0 + y / side) * row_out;
        let (dy, winners) = (&dy[first..][..row_out], &winners[first..][..row_out]);
        // SAFETY: a row of outputs to read, and `columns` windows of a row of inputs to write.
        unsafe { spread_row(set, shape, y % side, dy.as_ptr(), winners.as_ptr(), dx.as_mut_ptr().cast()) };
    });
}

dispatch! {
    /// A row of outputs `y` and which taps won, from the rows of pixels under it.
    fn largest_row<S>(shape: &PoolShape, x: *const S, y: *mut S, winners: *mut u8) = largest_row_body
}

#[inline(always)]
unsafe fn largest_row_body<V: Vector, S: Stored>(shape: &PoolShape, x: *const S, y: *mut S, winners: *mut u8) {
    let (channels, side) = (shape.channels, shape.window.kernel.0);
    for column in 0..shape.output.1 {
        for k in (0..channels).step_by(V::LANES) {
            let left = channels - k;
            // SAFETY: the caller hands over `side` rows of pixels, a row of outputs and one of winners, and has the
            // instructions; the channels from `k` on are `left`.
            unsafe {
                let mut best = S::load_left::<V>(x.add(column * side * channels + k), left);
                let mut winner = V::splat(0.0);
                for tap in 1..side * side {
                    let pixel = tap / side * shape.input.1 + column * side + tap % side;
                    let value = S::load_left::<V>(x.add(pixel * channels + k), left);
                    let tap = V::splat(tap as f32);
                    // A number loses to at least its like and to NaN; NaN loses to nothing but a later NaN.
                    let (loses, is_number) = (value.at_most(best), value.at_most(value));
                    let best_is_number = best.at_most(best);
                    let keep = |kept: V, new: V| {
                        V::select(is_number, V::select(best_is_number, V::select(loses, kept, new), kept), new)
                    };
                    (best, winner) = (keep(best, value), keep(winner, tap));
                }
                let at = column * channels + k;
                S::store_left(best, y.add(at), left);
                let mut taps = [0.0; MOST_LANES];
                winner.store(taps.as_mut_ptr());
                for (lane, tap) in taps.into_iter().enumerate().take(left.min(V::LANES)) {
                    winners.add(at + lane).write(tap as u8);
                }
            }
        }
    }
}

dispatch! {
    /// A row of input gradients, `row` rows down in its windows, from a row of output gradients and the taps that won.
    fn spread_row<S>(shape: &PoolShape, row: usize, dy: *const S, winners: *const u8, dx: *mut S) = spread_row_body
}

#[inline(always)]
unsafe fn spread_row_body<V: Vector, S: Stored>(
    shape: &PoolShape,
    row: usize,
    dy: *const S,
    winners: *const u8,
    dx: *mut S,
) {
    let (channels, side) = (shape.channels, shape.window.kernel.0);
    for column in 0..shape.output.1 {
        for k in (0..channels).step_by(V::LANES) {
            let (left, at) = (channels - k, column * channels + k);
            // SAFETY: the caller hands over a row of output gradients, of winners, and of windows of inputs, and has the
            // instructions; the channels from `k` on are `left`.
            unsafe {
                let mut taps = [0.0; MOST_LANES];
                for (lane, tap) in taps.iter_mut().enumerate().take(left.min(V::LANES)) {
                    *tap = f32::from(winners.add(at + lane).read());
                }
                let (winner, dy) = (V::load(taps.as_ptr()), S::load_left::<V>(dy.add(at), left));
                for x in 0..side {
                    let tap = V::splat((row * side + x) as f32);
                    let zero = V::splat(0.0);
                    let won = V::select(winner.at_most(tap), V::select(tap.at_most(winner), dy, zero), zero);
                    S::store_left(won, dx.add((column * side + x) * channels + k), left);
                }
            }
        }
    }
}
