//! Weight gradient: an outer product of input and output pixels, summed over all pixels.
//!
//! The rows of the product are contiguous in the frame: all channels of a filter row's taps if a task has all channels, which
//! fills register tiles even for the three channels of an image, otherwise the channels of one tap. Gradients whose
//! channels do not fill vectors are copied with padding, so that the inner loops have no remainders.

use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use super::{Frame, widen};
use crate::InstructionSet;
#[cfg(test)]
use crate::cpu::conv::balance::Chain;
use crate::cpu::conv::packing::output_input_tap;
use crate::cpu::memory::Buffer;
use crate::cpu::simd::Stored;
use crate::cpu::simd::microkernel::{outer, tiles};
use crate::cpu::simd::{Shared, Vector, dispatch, lanes};
use crate::plan::ConvShape;

/// Input channels per task: its part of the gradient, taps x 32 x outputs, fits a core's cache.
const TASK_CHANNELS: usize = 32;
/// Output channels per piece of a task, which another thread may take over.
const PIECE_OUTPUTS: usize = 64;
/// Minimum number of tasks, if images and memory allow: enough for 32 threads. Each group of images is a partial sum. The
/// number depends only on the problem, so that the order of additions does not depend on the number of threads.
const TASKS: usize = 32;
/// Maximum size of all partial sums in bytes: they are written and read once more at the end.
const SUM_BYTES: usize = 8 << 20;
/// Output pixels summed in registers before the gradient is updated.
const BATCH_PIXELS: usize = 512;

/// The division of a weight gradient into tasks: slices of the input channels of every group times parts of the images.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cut {
    slices: usize,
    parts: usize,
}

impl Cut {
    /// `padded` is the number of outputs per group, rounded up to whole vectors.
    fn new(shape: &ConvShape, padded: usize) -> Self {
        let slices = shape.group_inputs().div_ceil(TASK_CHANNELS);
        let held = SUM_BYTES / (shape.taps() * shape.channels_in * padded * size_of::<f32>());
        Self { slices, parts: TASKS.div_ceil(slices * shape.groups).min(held).min(shape.batch).max(1) }
    }

    fn tasks(&self, shape: &ConvShape) -> usize {
        self.slices * shape.groups * self.parts
    }

    /// The group and the part of a task.
    fn place(&self, shape: &ConvShape, task: usize) -> (usize, usize) {
        (task / self.slices % shape.groups, task / self.slices / shape.groups)
    }

    /// The input channels within the group and the images of a task.
    fn task(&self, shape: &ConvShape, task: usize) -> (Range<usize>, Range<usize>) {
        let (slice, part) = (task % self.slices, self.place(shape, task).1);
        let channels = slice * TASK_CHANNELS..shape.group_inputs().min((slice + 1) * TASK_CHANNELS);
        (channels, shape.batch * part / self.parts..shape.batch * (part + 1) / self.parts)
    }
}

/// Images of a part that are framed and summed together.
fn batch_images(shape: &ConvShape, part: usize) -> usize {
    BATCH_PIXELS.div_ceil(shape.output.0 * shape.output.1).min(part)
}

/// The output channels of the pieces a batch is cut into.
fn pieces(outputs: usize) -> impl IndexedParallelIterator<Item = Range<usize>> {
    let piece = move |piece: usize| piece * PIECE_OUTPUTS..outputs.min((piece + 1) * PIECE_OUTPUTS);
    (0..outputs.div_ceil(PIECE_OUTPUTS)).into_par_iter().map(piece)
}

/// Rows of the gradient whose inputs are contiguous in the frame.
#[derive(Debug, Clone, Copy)]
struct Strip {
    /// Element of the frame where the first row's input for the first output pixel lies.
    offset: usize,
    /// First row of the sums: tap * inputs + channel.
    row: usize,
    len: usize,
}

/// One piece of a task: some input channels, some output channels and some images.
struct Sum<'a> {
    shape: &'a ConvShape,
    frame: Frame,
    strips: &'a [Strip],
    outputs: Range<usize>,
    /// Gradients of this batch, (pixel, `padded`).
    dy: &'a [f32],
    /// Framed images of this batch, `frame.len()` apart, only this task's channels.
    framed: &'a [f32],
    images: usize,
    /// (taps, inputs, `padded`), of which this task has its channels.
    sums: Shared,
    /// Outputs per group, rounded up to whole vectors.
    padded: usize,
    /// Whether to add to the sums instead of overwriting them.
    add: bool,
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
    let (inputs, outputs, padding) = (shape.group_inputs(), shape.group_outputs(), shape.window.padding);
    let padded = outputs.next_multiple_of(lanes(set));
    let cut = Cut::new(shape, padded);
    let parts = cut.parts;
    let len = shape.taps() * inputs * padded;
    let mut partial = Buffer::<f32>::take(shape.groups * parts * len);
    let sums = Shared::new(&mut partial);
    // Gradients that can be read in place.
    let direct = S::as_f32(dy).filter(|_| shape.groups == 1 && padded == outputs);
    (0..cut.tasks(shape)).into_par_iter().with_max_len(1).for_each(|task| {
        let ((own, images), (group, part)) = (cut.task(shape, task), cut.place(shape, task));
        let (channels, first_channel) = (own.len(), group * inputs + own.start);
        let whole = (shape.input.0 + 2 * padding, shape.input.1 + 2 * padding);
        let frame = Frame { image: shape.input, before: padding, whole, channels };
        let strips = strips(shape, &frame, own.start);
        let pixels = shape.output.0 * shape.output.1;
        let step = batch_images(shape, images.len());
        let mut framed = Buffer::<f32>::take(step * frame.len());
        let mut copied = direct.is_none().then(|| Buffer::<f32>::take(step * pixels * padded));
        let image_len = shape.input.0 * shape.input.1 * shape.channels_in;
        for first in images.clone().step_by(step) {
            let batch = first..images.end.min(first + step);
            for (image, framed) in batch.clone().zip(framed.chunks_exact_mut(frame.len())) {
                let image = &x[image * image_len..][..image_len];
                frame.fill(image, (shape.channels_in, first_channel), 0..whole.0, framed);
            }
            let range = batch.start * pixels * shape.channels_out..batch.end * pixels * shape.channels_out;
            let dy = match (&mut copied, direct) {
                (Some(copied), _) => {
                    let from = dy[range].chunks_exact(shape.channels_out);
                    for (from, to) in from.zip(copied.chunks_exact_mut(padded)) {
                        widen(&from[group * outputs..][..outputs], &mut to[..outputs]);
                        to[outputs..].fill(0.0);
                    }
                    &copied[..batch.len() * pixels * padded]
                }
                (None, direct) => &direct.unwrap_or_default()[range],
            };
            // SAFETY: part `part` of this group's partial sums holds one gradient.
            let sums = unsafe { sums.from((group * parts + part) * len) };
            let add = first > images.start;
            let (framed, strips, images) = (&framed[..], &strips[..], batch.len());
            pieces(padded).for_each(|outputs| {
                let sum = Sum { shape, frame, strips, outputs, dy, framed, images, sums, padded, add };
                // SAFETY: lengths were asserted, strips and windows stay inside the frame; this piece alone has these channels
                // of this part.
                unsafe { sum_batch(set, &sum) };
            });
        }
    });
    let filters = inputs * outputs * shape.taps();
    for (partial, dw) in partial.chunks_exact_mut(parts * len).zip(dw.chunks_exact_mut(filters)) {
        let (total, rest) = partial.split_at_mut(len);
        total.par_chunks_mut(1 << 14).enumerate().for_each(|(chunk, total)| {
            for part in rest.chunks_exact(len) {
                for (total, part) in total.iter_mut().zip(&part[chunk << 14..]) {
                    *total += part;
                }
            }
        });
        output_input_tap(total, padded, outputs, inputs, shape.taps(), dw);
    }
}

/// The rows of a task whose channels begin at `first` of its group.
fn strips(shape: &ConvShape, frame: &Frame, first: usize) -> Vec<Strip> {
    let (window, inputs) = (shape.window, shape.group_inputs());
    let joined = if frame.channels == inputs && window.dilation == 1 { window.kernel.1 } else { 1 };
    let mut strips = Vec::with_capacity(shape.taps() / joined);
    for r in 0..window.kernel.0 {
        for s in (0..window.kernel.1).step_by(joined) {
            let offset = r * window.dilation * frame.row_len() + s * window.dilation * frame.channels;
            let row = (r * window.kernel.1 + s) * inputs + first;
            strips.push(Strip { offset, row, len: joined * frame.channels });
        }
    }
    strips
}

dispatch! {
    /// Adds a batch of images to a task's sums.
    fn sum_batch(sum: &Sum<'_>) = sum_batch_body
}

#[inline(always)]
unsafe fn sum_batch_body<V: Vector>(sum: &Sum<'_>) {
    let mut k = sum.outputs.start;
    while k < sum.outputs.end {
        let left = sum.outputs.end - k;
        for strip in sum.strips {
            // SAFETY: the panel `k..` lies inside the piece's outputs; the rest is the caller's contract.
            unsafe {
                if V::LANES == 16 && left >= 4 * V::LANES {
                    sum_strip::<V, 4>(sum, strip, k);
                } else if left >= 2 * V::LANES {
                    sum_strip::<V, 2>(sum, strip, k);
                } else {
                    sum_strip::<V, 1>(sum, strip, k);
                }
            }
        }
        k += if V::LANES == 16 && left >= 4 * V::LANES { 4 } else { left.min(2 * V::LANES) / V::LANES } * V::LANES;
    }
}

/// One strip, one panel of output channels.
#[inline(always)]
unsafe fn sum_strip<V: Vector, const NR: usize>(sum: &Sum<'_>, strip: &Strip, k: usize) {
    let (frame, padded) = (&sum.frame, sum.padded);
    let (rows, columns) = sum.shape.output;
    let stride = sum.shape.window.stride;
    macro_rules! tile {
        ($rows:literal, $t:ident) => {
            // SAFETY: rows `t` to `t + $rows` are this task's; every pixel of the window lies inside the frame, every
            // pixel of `dy` inside its image.
            unsafe {
                let row = (strip.row + $t) * padded + k;
                let mut acc = [[V::splat(0.0); NR]; $rows];
                if sum.add {
                    for i in 0..$rows {
                        for j in 0..NR {
                            acc[i][j] = V::load(sum.sums.at(row + i * padded + j * V::LANES));
                        }
                    }
                }
                let mut framed = sum.framed.as_ptr();
                for image in 0..sum.images {
                    for oy in 0..rows {
                        let from = oy * stride * frame.row_len() + strip.offset + $t;
                        let dy = sum.dy.as_ptr().add((image * rows + oy) * columns * padded + k);
                        let step = stride * frame.channels;
                        outer::<V, $rows, NR>(&mut acc, framed.add(from), step, dy, padded, columns);
                    }
                    framed = framed.add(frame.len());
                }
                for i in 0..$rows {
                    for j in 0..NR {
                        acc[i][j].store(sum.sums.at(row + i * padded + j * V::LANES));
                    }
                }
            }
        };
    }
    let rows_at_most = if NR == 4 { 6 } else { V::TILE_ROWS };
    tiles!(rows_at_most, t, strip.len, tile);
}

/// The kernel's work for the balance test: one chain per task, alternating framing and sums.
#[cfg(test)]
pub(in crate::cpu::conv) fn work(shape: &ConvShape) -> Vec<Chain> {
    let padded = shape.group_outputs().next_multiple_of(16);
    let cut = Cut::new(shape, padded);
    let chain = |task: usize| {
        let (channels, images) = cut.task(shape, task);
        let mut chain = Chain::new();
        let step = batch_images(shape, images.len());
        for first in images.clone().step_by(step) {
            let batch = images.end.min(first + step) - first;
            // Two copies of a pixel's channels, each worth some multiplications a channel.
            chain.push(vec![(8 * batch * shape.input.0 * shape.input.1 * channels.len()) as u64]);
            let pixels = batch * shape.output.0 * shape.output.1 * shape.taps() * channels.len();
            chain.push(pieces(padded).map(|outputs| (pixels * outputs.len()) as u64).collect());
        }
        chain
    };
    (0..cut.tasks(shape)).map(chain).collect()
}
