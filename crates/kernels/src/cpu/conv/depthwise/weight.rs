//! Weight gradient: for every tap, the sum of products of output gradients and inputs.

use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use super::Line;
use crate::InstructionSet;
use crate::cpu::memory::Buffer;
use crate::cpu::simd::Stored;
use crate::cpu::simd::{Shared, Vector, dispatch, lanes};
use crate::plan::ConvShape;

/// Elements of `dy` per partial sum, and the maximum number of partial sums.
const PART_ELEMENTS: usize = 1 << 17;
const PARTS: usize = 32;
/// Output pixels summed in registers before the gradient is updated: several rows of a narrow image.
const BATCH_PIXELS: usize = 32;
/// Channels per task.
const TASK_CHANNELS: usize = 64;

struct Sum<'a, S> {
    shape: &'a ConvShape,
    x: &'a [S],
    dy: &'a [S],
    lines: &'a [Line],
    /// Taps of every line.
    width: usize,
    /// Channels filled up to whole vectors.
    padded: usize,
}

/// `dw` from `x` and `dy`: see [`crate::cpu::conv::reference::backward_weight`].
pub(crate) fn backward_weight<S: Stored>(
    set: InstructionSet,
    shape: &ConvShape,
    x: &[S],
    dy: &[S],
    dw: &mut [MaybeUninit<f32>],
) {
    assert!(x.len() == shape.x_len() && dy.len() == shape.y_len(), "activation lengths");
    let (window, channels, taps) = (shape.window, shape.channels_in, shape.taps());
    assert!(dw.len() == channels * taps, "gradient length");
    let padded = channels.next_multiple_of(lanes(set));
    let width = if window.dilation == 1 && matches!(window.kernel.1, 3 | 5) { window.kernel.1 } else { 1 };
    let place = |tap: usize| (tap * window.dilation) as isize - window.padding as isize;
    let mut lines = Vec::with_capacity(taps / width);
    for r in 0..window.kernel.0 {
        for s in (0..window.kernel.1).step_by(width) {
            lines.push(Line { row: place(r), column: place(s), weight: r * window.kernel.1 + s });
        }
    }
    let rows = shape.batch * shape.output.0;
    let parts = (shape.y_len() / PART_ELEMENTS).clamp(1, PARTS).min(rows);
    let len = taps * padded;
    let mut partial = Buffer::<f32>::take(parts * len);
    let sum = Sum { shape, x, dy, lines: &lines, width, padded };
    partial.par_chunks_exact_mut(len).enumerate().for_each(|(part, sums)| {
        sums.fill(0.0);
        let range = rows * part / parts..rows * (part + 1) / parts;
        let step = (BATCH_PIXELS / shape.output.1).max(1);
        let mut first = range.start;
        while first < range.end {
            // Rows of one image.
            let last = range.end.min(first + step).min((first / shape.output.0 + 1) * shape.output.0);
            // SAFETY: lengths were asserted above, and the rows are rows of `dy`.
            unsafe { sum_rows(set, &sum, first..last, Shared::new(sums)) };
            first = last;
        }
    });
    dw.par_chunks_mut(TASK_CHANNELS * taps).enumerate().for_each(|(task, dw)| {
        for (c, dw) in dw.chunks_exact_mut(taps).enumerate() {
            for (tap, dw) in dw.iter_mut().enumerate() {
                let at = tap * padded + task * TASK_CHANNELS + c;
                dw.write(partial.chunks_exact(len).map(|part| part[at]).sum());
            }
        }
    });
}

dispatch! {
    /// Adds the products of some rows of one image to the sums, (tap, padded channels).
    fn sum_rows<S>(sum: &Sum<'_, S>, rows: Range<usize>, sums: Shared) = sum_rows_body
}

#[inline(always)]
unsafe fn sum_rows_body<V: Vector, S: Stored>(sum: &Sum<'_, S>, rows: Range<usize>, sums: Shared) {
    // SAFETY: the caller's contract.
    unsafe {
        match sum.width {
            3 => sum_lines::<V, S, 3>(sum, rows, sums),
            5 => sum_lines::<V, S, 5>(sum, rows, sums),
            _ => sum_lines::<V, S, 1>(sum, rows, sums),
        }
    }
}

#[inline(always)]
unsafe fn sum_lines<V: Vector, S: Stored, const WIDTH: usize>(sum: &Sum<'_, S>, rows: Range<usize>, sums: Shared) {
    let (shape, channels) = (sum.shape, sum.shape.channels_in);
    let (height, width) = shape.input;
    let (stride, columns) = (shape.window.stride, shape.output.1);
    let image = rows.start / shape.output.0;
    let x = sum.x[image * height * width * channels..].as_ptr();
    for line in sum.lines {
        // Outputs from `low` to `high` meet all taps of the line inside the image.
        let low = ((-line.column).max(0) as usize).div_ceil(stride).min(columns);
        let beyond = width as isize - line.column - WIDTH as isize;
        let high = if beyond < 0 { low } else { (beyond as usize / stride + 1).clamp(low, columns) };
        let mut c = 0;
        while c < channels {
            let left = channels - c;
            // SAFETY: rows and columns are checked to lie inside the image; from channel `c` on there are `left` elements, of which
            // no more are read; the sums have whole vectors.
            unsafe {
                let mut acc = [[V::splat(0.0); WIDTH]; 2];
                for row in rows.start..rows.end {
                    let at = (row % shape.output.0 * stride) as isize + line.row;
                    if at < 0 || at as usize >= height {
                        continue;
                    }
                    let x = x.add(at as usize * width * channels + c);
                    let dy = sum.dy.as_ptr().add(row * columns * channels + c);
                    let mut ox = 0;
                    while ox < columns {
                        if ox < low || ox >= high {
                            let g = S::load_left::<V>(dy.add(ox * channels), left);
                            for s in 0..WIDTH {
                                let at = (ox * stride + s) as isize + line.column;
                                if at >= 0 && (at as usize) < width {
                                    let value = S::load_left::<V>(x.add(at as usize * channels), left);
                                    acc[0][s] = value.fma(g, acc[0][s]);
                                }
                            }
                            ox += 1;
                            continue;
                        }
                        let inside = x.add((ox * stride).wrapping_add_signed(line.column) * channels);
                        let g = S::load_left::<V>(dy.add(ox * channels), left);
                        for s in 0..WIDTH {
                            acc[0][s] = S::load_left::<V>(inside.add(s * channels), left).fma(g, acc[0][s]);
                        }
                        ox += 1;
                        if ox < high {
                            // Separate sums, so that they do not depend on one another.
                            let inside = inside.add(stride * channels);
                            let g = S::load_left::<V>(dy.add(ox * channels), left);
                            for s in 0..WIDTH {
                                acc[1][s] = S::load_left::<V>(inside.add(s * channels), left).fma(g, acc[1][s]);
                            }
                            ox += 1;
                        }
                    }
                }
                for s in 0..WIDTH {
                    let at = sums.at((line.weight + s) * sum.padded + c);
                    V::load(at).add(acc[0][s].add(acc[1][s])).store(at);
                }
            }
            c += V::LANES;
        }
    }
}
