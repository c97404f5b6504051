//! Weight gradient: an outer product of input and output pixels, summed over all pixels.

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
use crate::cpu::simd::{Shared, Vector, dispatch};
use crate::plan::ConvShape;

/// Input channels one task sums for: its part of the gradient, taps x 32 x outputs, lies in a core's cache.
const TASK_CHANNELS: usize = 32;
/// Output channels of a piece of a task's work that another thread may take over.
const PIECE_OUTPUTS: usize = 64;
/// Tasks there are at least, if images and memory allow: as many as 32 threads want. Each group of images is a partial sum; the
/// problem alone decides, so that the order of additions does not depend on the threads.
const TASKS: usize = 32;
/// Bytes that the partial sums may take together: they are written and read once more at the end.
const SUM_BYTES: usize = 8 << 20;
/// Output pixels summed in registers before the gradient is touched again.
const BATCH_PIXELS: usize = 512;

/// How a weight gradient is cut into tasks: groups of input channels times parts of the images.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cut {
    groups: usize,
    parts: usize,
}

impl Cut {
    fn new(shape: &ConvShape) -> Self {
        let groups = shape.channels_in.div_ceil(TASK_CHANNELS);
        let held = SUM_BYTES / (shape.weight_len() * size_of::<f32>());
        Self { groups, parts: TASKS.div_ceil(groups).min(held).min(shape.batch).max(1) }
    }

    /// The input channels and the images of a task.
    fn task(&self, shape: &ConvShape, task: usize) -> (Range<usize>, Range<usize>) {
        let (group, part) = (task % self.groups, task / self.groups);
        let channels = group * TASK_CHANNELS..shape.channels_in.min((group + 1) * TASK_CHANNELS);
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

/// One piece of a task: some input channels, some output channels and some images.
struct Sum<'a> {
    shape: &'a ConvShape,
    frame: Frame,
    first_channel: usize,
    outputs: Range<usize>,
    /// Gradients of this batch.
    dy: &'a [f32],
    /// Framed images of this batch, `frame.len()` apart, only this task's channels.
    framed: &'a [f32],
    images: usize,
    /// (taps, inputs, outputs), of which this task has its channels.
    sums: Shared,
    /// Whether the sums hold something already.
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
    let (inputs, outputs, padding) = (shape.channels_in, shape.channels_out, shape.window.padding);
    let cut = Cut::new(shape);
    let len = shape.weight_len();
    let mut partial = Buffer::<f32>::take(cut.parts * len);
    let sums = Shared::new(&mut partial);
    (0..cut.groups * cut.parts).into_par_iter().with_max_len(1).for_each(|task| {
        let (own, images) = cut.task(shape, task);
        let (first_channel, channels, part) = (own.start, own.len(), task / cut.groups);
        let whole = (shape.input.0 + 2 * padding, shape.input.1 + 2 * padding);
        let frame = Frame { image: shape.input, before: padding, whole, channels };
        let step = batch_images(shape, images.len());
        let mut framed = Buffer::<f32>::take(step * frame.len());
        let mut picked = Buffer::<S>::take(shape.input.0 * shape.input.1 * channels);
        let dy_len = shape.output.0 * shape.output.1 * outputs;
        let mut wide = if S::as_f32(dy).is_some() { None } else { Some(Buffer::<f32>::take(step * dy_len)) };
        for first in images.clone().step_by(step) {
            let batch = first..images.end.min(first + step);
            for (image, framed) in batch.clone().zip(framed.chunks_exact_mut(frame.len())) {
                let image = &x[image * picked.len() / channels * inputs..][..picked.len() / channels * inputs];
                if channels == inputs {
                    frame.fill(image, framed);
                } else {
                    for (from, to) in image.chunks_exact(inputs).zip(picked.chunks_exact_mut(channels)) {
                        to.copy_from_slice(&from[first_channel..][..channels]);
                    }
                    frame.fill(&picked, framed);
                }
            }
            // SAFETY: part `part` of the partial sums holds one gradient.
            let sums = unsafe { sums.from(part * len) };
            let add = first > images.start;
            let dy = &dy[batch.start * dy_len..batch.end * dy_len];
            let dy = match &mut wide {
                None => S::as_f32(dy).unwrap_or_default(),
                Some(wide) => {
                    widen(dy, &mut wide[..dy.len()]);
                    &wide[..dy.len()]
                }
            };
            let (framed, images) = (&framed[..], batch.len());
            pieces(outputs).for_each(|outputs| {
                let sum = Sum { shape, frame, first_channel, outputs, dy, framed, images, sums, add };
                // SAFETY: lengths were asserted; this piece alone has these channels of this part.
                unsafe { sum_batch(set, &sum) };
            });
        }
    });
    let (total, rest) = partial.split_at_mut(len);
    total.par_chunks_mut(1 << 14).enumerate().for_each(|(chunk, total)| {
        for part in rest.chunks_exact(len) {
            for (total, part) in total.iter_mut().zip(&part[chunk << 14..]) {
                *total += part;
            }
        }
    });
    output_input_tap(total, outputs, inputs, shape.taps(), dw);
}

dispatch! {
    /// Adds a batch of images to a piece's sums.
    fn sum_batch(sum: &Sum<'_>) = sum_batch_body
}

#[inline(always)]
unsafe fn sum_batch_body<V: Vector>(sum: &Sum<'_>) {
    let mut k = sum.outputs.start;
    while k < sum.outputs.end {
        let left = sum.outputs.end - k;
        for tap in 0..sum.shape.taps() {
            // SAFETY: the panel `k..` lies inside the piece's output channels; the rest is the caller's contract.
            unsafe {
                if V::LANES == 16 && left >= 4 * V::LANES {
                    sum_tap::<V, 4>(sum, tap, k);
                } else if left >= 2 * V::LANES {
                    sum_tap::<V, 2>(sum, tap, k);
                } else {
                    sum_tap::<V, 1>(sum, tap, k);
                }
            }
        }
        k += if V::LANES == 16 && left >= 4 * V::LANES { 4 } else { left.min(2 * V::LANES) / V::LANES } * V::LANES;
    }
}

/// One tap, one panel of output channels, all channels of the task.
#[inline(always)]
unsafe fn sum_tap<V: Vector, const NR: usize>(sum: &Sum<'_>, tap: usize, k: usize) {
    let (shape, frame) = (sum.shape, &sum.frame);
    let (rows, columns) = shape.output;
    let (window, inputs, outputs) = (shape.window, shape.channels_in, shape.channels_out);
    let (r, s) = (tap / window.kernel.1, tap % window.kernel.1);
    macro_rules! tile {
        ($rows:literal, $t:ident) => {
            // SAFETY: channels `t` to `t + $rows` are this task's; every pixel of the window lies inside the frame, every
            // pixel of `dy` inside its image.
            unsafe {
                let row = (tap * inputs + sum.first_channel + $t) * outputs + k;
                let mut acc = [[V::splat(0.0); NR]; $rows];
                if sum.add {
                    for i in 0..$rows {
                        for j in 0..NR {
                            acc[i][j] = V::load(sum.sums.at(row + i * outputs + j * V::LANES));
                        }
                    }
                }
                let mut framed = sum.framed.as_ptr();
                for image in 0..sum.images {
                    for oy in 0..rows {
                        let from = ((oy * window.stride + r) * frame.whole.1 + s) * frame.channels + $t;
                        let dy = sum.dy.as_ptr().add((image * rows + oy) * columns * outputs + k);
                        let step = window.stride * frame.channels;
                        outer::<V, $rows, NR>(&mut acc, framed.add(from), step, dy, outputs, columns);
                    }
                    framed = framed.add(frame.len());
                }
                for i in 0..$rows {
                    for j in 0..NR {
                        acc[i][j].store(sum.sums.at(row + i * outputs + j * V::LANES));
                    }
                }
            }
        };
    }
    let rows_at_most = if NR == 4 { 6 } else { V::TILE_ROWS };
    tiles!(rows_at_most, t, frame.channels, tile);
}

/// What the kernel does, as work: a chain a task, framing and sums by turns.
#[cfg(test)]
pub(in crate::cpu::conv) fn work(shape: &ConvShape) -> Vec<Chain> {
    let cut = Cut::new(shape);
    let chain = |task: usize| {
        let (channels, images) = cut.task(shape, task);
        let mut chain = Chain::new();
        let step = batch_images(shape, images.len());
        for first in images.clone().step_by(step) {
            let batch = images.end.min(first + step) - first;
            // Two copies of a pixel's channels, each worth some multiplications a channel.
            chain.push(vec![(8 * batch * shape.input.0 * shape.input.1 * channels.len()) as u64]);
            let pixels = batch * shape.output.0 * shape.output.1 * shape.taps() * channels.len();
            chain.push(pieces(shape.channels_out).map(|outputs| (pixels * outputs.len()) as u64).collect());
        }
        chain
    };
    (0..cut.groups * cut.parts).map(chain).collect()
}
