//! Forward pass and data gradient: every output pixel gathers from the image.
//!
//! As in the direct engine, the data gradient of stride s has s * s classes of pixels, each with its own taps.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::{Line, pack};
use crate::InstructionSet;
use crate::cpu::conv::epilogue::{Epilogue, Target};
use crate::cpu::simd::Stored;
use crate::cpu::simd::{Vector, dispatch, lanes};
use crate::plan::ConvShape;

/// Output pixels computed together.
const BLOCK: usize = 4;
/// Approximate number of elements that a task writes.
const TASK_ELEMENTS: usize = 1 << 16;

/// Output pixels with the same taps.
struct Class {
    /// First output column, and how many columns.
    first: usize,
    columns: usize,
    lines: Vec<Line>,
    /// Taps of every line.
    width: usize,
}

/// A whole convolution, ready to run row by row.
struct Gather<'a> {
    input: (usize, usize),
    output: (usize, usize),
    channels: usize,
    /// Channels filled up to whole vectors.
    padded: usize,
    /// Distance between pixels of a class, in the read image and in the output.
    read_step: usize,
    write_step: usize,
    /// By position modulo `write_step`, row by row.
    classes: Vec<Vec<Class>>,
    /// (tap, `padded`).
    weights: &'a [f32],
    /// Initial value of every sum: `padded` numbers.
    start: &'a [f32],
}

/// `y` from `x`: see [`crate::cpu::conv::reference::forward`].
pub(crate) fn forward<S: Stored>(
    set: InstructionSet,
    shape: &ConvShape,
    x: &[S],
    weight: &[f32],
    epilogue: Epilogue<'_, S>,
    y: &mut [MaybeUninit<S>],
) {
    let (window, channels) = (shape.window, shape.channels_in);
    let padded = channels.next_multiple_of(lanes(set));
    let (height, width) = window.kernel;
    let joined = window.dilation == 1 && matches!((width, window.stride), (3 | 5, 1 | 2));
    let line_width = if joined { width } else { 1 };
    let place = |tap: usize| (tap * window.dilation) as isize - window.padding as isize;
    let mut lines = Vec::with_capacity(shape.taps() / line_width);
    for r in 0..height {
        for s in (0..width).step_by(line_width) {
            lines.push(Line { row: place(r), column: place(s), weight: r * width + s });
        }
    }
    let order: Vec<usize> = (0..shape.taps()).collect();
    let mut start = vec![0.0; padded];
    start[..channels].copy_from_slice(epilogue.bias.unwrap_or(&vec![0.0; channels]));
    let class = Class { first: 0, columns: shape.output.1, lines, width: line_width };
    let gather = Gather {
        input: shape.input,
        output: shape.output,
        channels,
        padded,
        read_step: window.stride,
        write_step: 1,
        classes: vec![vec![class]],
        weights: &pack(weight, shape.taps(), &order, padded),
        start: &start,
    };
    assert!(y.len() == shape.y_len(), "output length");
    gather.run(set, shape.batch, x, Target::output(y, epilogue));
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
    let (window, channels) = (shape.window, shape.channels_in);
    let padded = channels.next_multiple_of(lanes(set));
    let stride = window.stride as isize;
    // The taps of pixels at position `parity`, from left to right, and where each reads.
    let taps = |parity: usize, kernel: usize| -> Vec<(usize, isize)> {
        let reached = move |tap: usize| (parity + window.padding) as isize - (tap * window.dilation) as isize;
        (0..kernel)
            .rev()
            .map(|tap| (tap, reached(tap)))
            .filter(|(_, at)| at.rem_euclid(stride) == 0)
            .map(|(tap, at)| (tap, at / stride))
            .collect()
    };
    let mut order = Vec::with_capacity(shape.taps());
    let mut classes = Vec::new();
    for py in 0..window.stride.min(shape.input.0) {
        let mut row = Vec::new();
        for px in 0..window.stride.min(shape.input.1) {
            let columns = taps(px, window.kernel.1);
            let joined = window.dilation == 1 && matches!(columns.len(), 2 | 3 | 5);
            let width = if joined { columns.len() } else { 1 };
            let mut lines = Vec::new();
            for (r, y) in taps(py, window.kernel.0) {
                for line in columns.chunks(width) {
                    lines.push(Line { row: y, column: line[0].1, weight: order.len() });
                    order.extend(line.iter().map(|(s, _)| r * window.kernel.1 + s));
                }
            }
            let columns = (shape.input.1 - px).div_ceil(window.stride);
            row.push(Class { first: px, columns, lines, width });
        }
        classes.push(row);
    }
    let gather = Gather {
        input: shape.output,
        output: shape.input,
        channels,
        padded,
        read_step: 1,
        write_step: window.stride,
        classes,
        weights: &pack(weight, shape.taps(), &order, padded),
        start: &vec![0.0; padded],
    };
    assert!(dx.len() == shape.x_len(), "output length");
    gather.run(set, shape.batch, dy, Target::gradient(dx, add));
}

impl Gather<'_> {
    fn run<S: Stored>(&self, set: InstructionSet, batch: usize, x: &[S], y: Target<S>) {
        let image_len = self.input.0 * self.input.1 * self.channels;
        let row_len = self.output.1 * self.channels;
        assert!(x.len() == batch * image_len, "input length");
        let taps = self.weights.len() / self.padded;
        for class in self.classes.iter().flatten() {
            assert!(class.lines.iter().all(|line| line.weight + class.width <= taps), "line leaves the weights");
            assert!(class.first + (class.columns - 1) * self.write_step < self.output.1, "pixel leaves the output");
        }
        let zeros = vec![S::zero(); self.channels];
        let rows = (TASK_ELEMENTS / row_len).clamp(1, self.output.0);
        let parts = self.output.0.div_ceil(rows);
        (0..batch * parts).into_par_iter().for_each(|task| {
            let (image, part) = (task / parts, task % parts);
            let x = &x[image * image_len..][..image_len];
            let mut inputs = Vec::new();
            for row in part * rows..self.output.0.min((part + 1) * rows) {
                // SAFETY: the row lies within the output and is this task's own; lengths were asserted above.
                unsafe {
                    gather_row(set, self, row, x, &zeros, &mut inputs, y.from((image * self.output.0 + row) * row_len))
                };
            }
        });
    }
}

dispatch! {
    /// One row of the output.
    fn gather_row<S>(
        gather: &Gather<'_>, row: usize, x: &[S], zeros: &[S], inputs: &mut Vec<(*const S, usize)>, y: Target<S>,
    ) = gather_row_body
}

#[inline(always)]
unsafe fn gather_row_body<V: Vector, S: Stored>(
    gather: &Gather<'_>,
    row: usize,
    x: &[S],
    zeros: &[S],
    inputs: &mut Vec<(*const S, usize)>,
    y: Target<S>,
) {
    for class in &gather.classes[row % gather.write_step] {
        let mut column = 0;
        while column < class.columns {
            // SAFETY: the caller's contract; the columns lie within the class.
            unsafe {
                match (class.width, gather.read_step) {
                    (2, _) => gather_block::<V, S, 2, 1>(gather, class, (row, column), x, zeros, inputs, y),
                    (3, 1) => gather_block::<V, S, 3, 1>(gather, class, (row, column), x, zeros, inputs, y),
                    (3, _) => gather_block::<V, S, 3, 2>(gather, class, (row, column), x, zeros, inputs, y),
                    (5, 1) => gather_block::<V, S, 5, 1>(gather, class, (row, column), x, zeros, inputs, y),
                    (5, _) => gather_block::<V, S, 5, 2>(gather, class, (row, column), x, zeros, inputs, y),
                    _ => gather_block::<V, S, 1, 0>(gather, class, (row, column), x, zeros, inputs, y),
                }
            }
            column += BLOCK;
        }
    }
}

/// Up to [`BLOCK`] pixels of a row from pixel `column` of the class on. Lines are `WIDTH` taps wide, pixels `STEP` apart; lines
/// of one tap share nothing, and any step will do.
#[inline(always)]
unsafe fn gather_block<V: Vector, S: Stored, const WIDTH: usize, const STEP: usize>(
    gather: &Gather<'_>,
    class: &Class,
    (row, column): (usize, usize),
    x: &[S],
    zeros: &[S],
    inputs: &mut Vec<(*const S, usize)>,
    y: Target<S>,
) {
    let channels = gather.channels;
    // Inputs that a line needs for the block.
    let across = if WIDTH == 1 { BLOCK } else { (BLOCK - 1) * STEP + WIDTH };
    let step = if WIDTH == 1 { gather.read_step } else { 1 };
    inputs.clear();
    for line in &class.lines {
        let at = (row / gather.write_step * gather.read_step) as isize + line.row;
        if at < 0 || at as usize >= gather.input.0 {
            continue;
        }
        let image_row = &x[at as usize * gather.input.1 * channels..][..gather.input.1 * channels];
        let first = (column * gather.read_step) as isize + line.column;
        for index in 0..across {
            let at = first + (index * step) as isize;
            let inside = at >= 0 && (at as usize) < gather.input.1;
            // SAFETY: the pixel lies inside the row.
            let pixel = if inside { unsafe { image_row.as_ptr().add(at as usize * channels) } } else { zeros.as_ptr() };
            inputs.push((pixel, line.weight));
        }
    }
    let count = BLOCK.min(class.columns - column);
    let mut c = 0;
    while c < channels {
        let left = channels - c;
        // SAFETY: `c` is below `channels`: inputs and outputs have `left` elements from there on, weights and starts whole vectors.
        unsafe {
            let mut acc = [V::load(gather.start.as_ptr().add(c)); BLOCK];
            let mut input = inputs.as_ptr();
            let end = input.add(inputs.len());
            while input < end {
                let weights = gather.weights.as_ptr().add((*input).1 * gather.padded + c);
                let mut taps = [V::splat(0.0); WIDTH];
                for s in 0..WIDTH {
                    taps[s] = V::load(weights.add(s * gather.padded));
                }
                for index in 0..across {
                    let from = (*input.add(index)).0.add(c);
                    let value = S::load_left::<V>(from, left);
                    for b in 0..BLOCK {
                        let tap = if WIDTH == 1 { index.wrapping_sub(b) } else { index.wrapping_sub(b * STEP) };
                        if tap < WIDTH {
                            acc[b] = value.fma(taps[tap], acc[b]);
                        }
                    }
                }
                input = input.add(across);
            }
            for b in 0..BLOCK {
                if b < count {
                    let pixel = class.first + (column + b) * gather.write_step;
                    y.store(acc[b], pixel * channels + c, left);
                }
            }
        }
        c += V::LANES;
    }
}
