//! Forward pass and data gradient: every output pixel gathers from a framed image.
//!
//! Both are one engine. An output pixel is a sum over runs: contiguous stretches of the framed image times rows of the
//! packed weights. The forward pass has one run per filter row, since the pixels of a row are neighbours. The data
//! gradient of a stride s falls into s * s classes of pixels, by their position modulo s, each with its own taps.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::Frame;
use crate::InstructionSet;
use crate::cpu::conv::packing::{panels, tap_input_output, tap_output_input};
use crate::cpu::memory::Buffer;
use crate::cpu::simd::Stored;
use crate::cpu::simd::microkernel::{reduce, tiles};
use crate::cpu::simd::{Shared, Vector, dispatch, panel};
use crate::plan::ConvShape;

/// A stretch of the framed image, relative to an output pixel's position in it, and the weight rows it meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    /// Elements from the pixel's position.
    offset: usize,
    /// First row of the packed weights.
    row: usize,
    /// Elements, and rows.
    len: usize,
}

/// Output pixels that gather alike: where each reads, where it is written, and what it sums.
struct Class {
    /// Per pixel, the element of the framed image its runs are relative to.
    reads: Vec<usize>,
    /// Per pixel, its index in the output image.
    writes: Vec<usize>,
    runs: Vec<Run>,
}

/// A whole convolution, ready to run image by image.
struct Gather<'a> {
    frame: Frame,
    classes: Vec<Class>,
    /// Packed weights: (panel of `to`, `rows`, panel).
    weights: &'a [f32],
    rows: usize,
    to: usize,
    panel: usize,
    /// Whether the result is added to what the output holds.
    add: bool,
}

/// `y` from `x`: see [`crate::cpu::conv::reference::forward`].
pub(crate) fn forward<S: Stored>(
    set: InstructionSet,
    shape: &ConvShape,
    x: &[S],
    weight: &[f32],
    y: &mut [MaybeUninit<S>],
) {
    let (from, to, window) = (shape.channels_in, shape.channels_out, shape.window);
    let frame = Frame {
        image: shape.input,
        before: window.padding,
        whole: (shape.input.0 + 2 * window.padding, shape.input.1 + 2 * window.padding),
        channels: from,
    };
    let run = |r: usize| Run {
        offset: r * frame.whole.1 * from,
        row: r * window.kernel.1 * from,
        len: window.kernel.1 * from,
    };
    let pixels = || (0..shape.output.0).flat_map(|oy| (0..shape.output.1).map(move |ox| (oy, ox)));
    let class = Class {
        reads: pixels().map(|(oy, ox)| (oy * frame.whole.1 + ox) * window.stride * from).collect(),
        writes: pixels().map(|(oy, ox)| oy * shape.output.1 + ox).collect(),
        runs: (0..window.kernel.0).map(run).collect(),
    };
    let mut by_tap = Buffer::<f32>::take(shape.weight_len());
    tap_input_output(weight, to, from, shape.taps(), &mut by_tap);
    run_all(set, frame, vec![class], &by_tap, to, shape.output.0 * shape.output.1, x, false, y);
}

/// `dx` from `dy`, added to what `dx` holds if `add`: see [`crate::cpu::conv::reference::backward_data`].
pub(crate) fn backward_data<S: Stored>(
    set: InstructionSet,
    shape: &ConvShape,
    dy: &[S],
    weight: &[f32],
    add: bool,
    dx: &mut [MaybeUninit<S>],
) {
    let (from, to, window) = (shape.channels_out, shape.channels_in, shape.window);
    let stride = window.stride;
    // Input row iy meets tap r at output row (iy + padding - r) / stride, if that is whole. The frame reaches from the
    // smallest such row, which may be negative, to the largest.
    let reach = |kernel: usize, extent: usize| {
        let before = (kernel - 1).saturating_sub(window.padding).div_ceil(stride);
        (before, before + (extent - 1 + window.padding) / stride + 1)
    };
    let (before_rows, rows) = reach(window.kernel.0, shape.input.0);
    let (before_columns, columns) = reach(window.kernel.1, shape.input.1);
    let before = before_rows.max(before_columns);
    let whole = (rows + before - before_rows, columns + before - before_columns);
    // At least the image itself, which may have rows that no input pixel saw.
    let whole = (whole.0.max(before + shape.output.0), whole.1.max(before + shape.output.1));
    let frame = Frame { image: shape.output, before, whole, channels: from };
    let mut classes = Vec::with_capacity(stride * stride);
    for py in 0..stride.min(shape.input.0) {
        for px in 0..stride.min(shape.input.1) {
            let taps = |parity: usize, kernel: usize| {
                (0..kernel).filter(move |r| (parity + window.padding + stride * kernel - r).is_multiple_of(stride))
            };
            // Where tap r of the class's first pixel reads, in frame coordinates: never negative by the choice of `before`.
            let at = |parity: usize, r: usize| (parity + window.padding + stride * before - r) / stride;
            let mut runs = Vec::new();
            for r in taps(py, window.kernel.0) {
                for s in taps(px, window.kernel.1) {
                    let offset = (at(py, r) * frame.whole.1 + at(px, s)) * from;
                    runs.push(Run { offset, row: (r * window.kernel.1 + s) * from, len: from });
                }
            }
            let pixels = || {
                let columns = move || (px..shape.input.1).step_by(stride);
                (py..shape.input.0).step_by(stride).flat_map(move |iy| columns().map(move |ix| (iy, ix)))
            };
            classes.push(Class {
                reads: pixels().map(|(iy, ix)| (iy / stride * frame.whole.1 + ix / stride) * from).collect(),
                writes: pixels().map(|(iy, ix)| iy * shape.input.1 + ix).collect(),
                runs,
            });
        }
    }
    let mut by_tap = Buffer::<f32>::take(shape.weight_len());
    tap_output_input(weight, from, to, shape.taps(), false, &mut by_tap);
    run_all(set, frame, classes, &by_tap, to, shape.input.0 * shape.input.1, dy, add, dx);
}

#[allow(clippy::too_many_arguments, reason = "the one place where the parts of a convolution come together")]
fn run_all<S: Stored>(
    set: InstructionSet,
    frame: Frame,
    classes: Vec<Class>,
    by_tap: &[f32],
    to: usize,
    output_pixels: usize,
    x: &[S],
    add: bool,
    y: &mut [MaybeUninit<S>],
) {
    let panel = panel(set, to);
    let rows = by_tap.len() / to;
    let mut weights = Buffer::<f32>::take(by_tap.len());
    panels(by_tap, to, panel, &mut weights);
    for class in &classes {
        // What the inner loop relies on: no run leaves the frame or the weights, no pixel the output.
        let farthest = class.reads.iter().max().copied().unwrap_or(0);
        assert!(class.runs.iter().all(|run| farthest + run.offset + run.len <= frame.len()), "run leaves the frame");
        assert!(class.runs.iter().all(|run| run.row + run.len <= rows), "run leaves the weights");
        assert!(class.writes.iter().all(|&pixel| pixel < output_pixels), "pixel leaves the output");
    }
    let image_len = frame.image.0 * frame.image.1 * frame.channels;
    assert!(y.len() == x.len() / image_len * output_pixels * to, "output length");
    let gather = Gather { frame, classes, weights: &weights, rows, to, panel, add };
    x.par_chunks_exact(image_len).zip(y.par_chunks_exact_mut(output_pixels * to)).for_each(|(image, y)| {
        let y = Shared::output(y);
        // SAFETY: the image has the frame's length, the ranges were asserted above, and `y` is this task's own.
        unsafe {
            if let Some(image) = S::as_f32(image).filter(|_| gather.frame.is_bare()) {
                gather_image(set, &gather, image.as_ptr(), y);
            } else {
                let mut framed = Buffer::<f32>::take(gather.frame.len());
                gather.frame.fill(image, &mut framed);
                gather_image(set, &gather, framed.as_ptr(), y);
            }
        }
    });
}

dispatch! {
    /// All output pixels of one image.
    fn gather_image<S>(gather: &Gather<'_>, x: *const f32, y: Shared<S>) = gather_image_body
}

#[inline(always)]
unsafe fn gather_image_body<V: Vector, S: Stored>(gather: &Gather<'_>, x: *const f32, y: Shared<S>) {
    let mut k = 0;
    while k < gather.to {
        for class in &gather.classes {
            // SAFETY: the panel `k..` lies inside weights and outputs; the rest is the caller's contract.
            unsafe {
                if gather.panel == 2 * V::LANES {
                    gather_panel::<V, S, 2>(gather, class, k, x, y);
                } else {
                    gather_panel::<V, S, 1>(gather, class, k, x, y);
                }
            }
        }
        k += gather.panel;
    }
}

#[inline(always)]
unsafe fn gather_panel<V: Vector, S: Stored, const NR: usize>(
    gather: &Gather<'_>,
    class: &Class,
    k: usize,
    x: *const f32,
    y: Shared<S>,
) {
    // SAFETY: panel `k / panel` of the weights starts here.
    let weights = unsafe { gather.weights.as_ptr().add(k * gather.rows) };
    let (reads, writes) = (class.reads.as_slice(), class.writes.as_slice());
    macro_rules! tile {
        ($rows:literal, $t:ident) => {
            // SAFETY: pixels `t` to `t + $rows` lie within the class; its reads, runs and writes were asserted to stay
            // inside frame, weights and output.
            unsafe {
                let mut acc = [[V::splat(0.0); NR]; $rows];
                for run in &class.runs {
                    let mut pixels = [x; $rows];
                    for i in 0..$rows {
                        pixels[i] = x.add(*reads.get_unchecked($t + i) + run.offset);
                    }
                    reduce::<V, $rows, NR>(&mut acc, pixels, weights.add(run.row * NR * V::LANES), run.len);
                }
                for i in 0..$rows {
                    for j in 0..NR {
                        let at = *writes.get_unchecked($t + i) * gather.to + k + j * V::LANES;
                        let y = y.at(at);
                        S::store(if gather.add { acc[i][j].add(S::load::<V>(y)) } else { acc[i][j] }, y);
                    }
                }
            }
        };
    }
    tiles!(V::TILE_ROWS, t, reads.len(), tile);
}
