//! Weight gradient: an outer product of input and output pixels, summed over all pixels.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::{Frame, widen};
use crate::InstructionSet;
use crate::cpu::conv::packing::output_input_tap;
use crate::cpu::memory::Buffer;
use crate::cpu::simd::Stored;
use crate::cpu::simd::microkernel::{outer, tiles};
use crate::cpu::simd::{Shared, Vector, dispatch};
use crate::plan::ConvShape;

/// Input channels one task sums for: its part of the gradient, taps x 32 x outputs, lies in a core's cache.
const TASK_CHANNELS: usize = 32;
/// Tasks there are at least, if the images allow; each group of images is a partial sum. Fixed, so that the order of
/// additions does not depend on the threads.
const TASKS: usize = 8;
/// Output pixels summed in registers before the gradient is touched again.
const BATCH_PIXELS: usize = 512;

/// One task: some input channels of some images.
struct Sum<'a> {
    shape: &'a ConvShape,
    frame: Frame,
    first_channel: usize,
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
    let groups = inputs.div_ceil(TASK_CHANNELS);
    let parts = TASKS.div_ceil(groups).min(shape.batch);
    let len = shape.weight_len();
    let mut partial = Buffer::<f32>::take(parts * len);
    let sums = Shared::new(&mut partial);
    (0..groups * parts).into_par_iter().for_each(|task| {
        let (group, part) = (task % groups, task / groups);
        let first_channel = group * TASK_CHANNELS;
        let channels = TASK_CHANNELS.min(inputs - first_channel);
        let whole = (shape.input.0 + 2 * padding, shape.input.1 + 2 * padding);
        let frame = Frame { image: shape.input, before: padding, whole, channels };
        let images = shape.batch * part / parts..shape.batch * (part + 1) / parts;
        let step = BATCH_PIXELS.div_ceil(shape.output.0 * shape.output.1).min(images.len());
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
            let sum = Sum { shape, frame, first_channel, dy, framed: &framed, images: batch.len(), sums, add };
            // SAFETY: lengths were asserted; this task alone has these channels of this part.
            unsafe { sum_batch(set, &sum) };
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
    /// Adds a batch of images to a task's sums.
    fn sum_batch(sum: &Sum<'_>) = sum_batch_body
}

#[inline(always)]
unsafe fn sum_batch_body<V: Vector>(sum: &Sum<'_>) {
    let outputs = sum.shape.channels_out;
    let mut k = 0;
    while k < outputs {
        let left = outputs - k;
        for tap in 0..sum.shape.taps() {
            // SAFETY: the panel `k..` lies inside the output channels; the rest is the caller's contract.
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
