//! The engine of forward pass and data gradient: for each task and panel, tiles of output pixels sum their runs.
//!
//! Very long reductions are split into blocks of weight rows: all pixels of a task process one block before the next, and
//! partial sums are stored in between. Blocks that fit the first-level cache (256 rows), on a Xeon with 2 MB of second-level
//! cache, stride 2 and 64 to 512 channels, were 0 to 13 % faster than no blocks with AVX-512 but 0 to 30 % slower with AVX2.
//! So only reductions that fill much of the second-level cache are split.

use rayon::prelude::*;

use super::Frame;
use super::tasks::{Cut, Task};
use crate::InstructionSet;
use crate::cpu::conv::epilogue::Target;
use crate::cpu::conv::packing::panels;
use crate::cpu::memory::Buffer;
use crate::cpu::simd::Stored;
use crate::cpu::simd::microkernel::{reduce, tiles};
use crate::cpu::simd::{Shared, Vector, dispatch, lanes, panel_vectors};

/// Rows of a block of weights: 2048 of two vectors are 128 or 256 KiB.
const BLOCK_ROWS: usize = 2048;

/// A range of the framed image, relative to an output pixel's position, and the weight rows it is multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Elements from the pixel's position.
    pub(super) offset: usize,
    /// First row of the packed weights.
    pub(super) row: usize,
    /// Elements, and rows.
    pub(super) len: usize,
}

/// Output pixels with the same runs.
pub(super) struct Class {
    /// First output row and column.
    first: (usize, usize),
    /// Rows and columns of such pixels.
    extent: (usize, usize),
    /// The runs that each pixel sums, in blocks of rows; at least one block, which may be empty.
    blocks: Vec<Vec<Run>>,
    /// Per pixel of a task, the element of its framed images that the runs are relative to.
    reads: Vec<usize>,
    /// Per pixel of a task, its first element in the output.
    writes: Vec<usize>,
}

/// The extents of a pass, and the distance between pixels of a class.
pub(super) struct Extents {
    pub(super) frame: Frame,
    /// Extents of the written image.
    pub(super) output: (usize, usize),
    /// Distance between pixels of a class, in the frame and in the output.
    pub(super) read_step: usize,
    pub(super) write_step: usize,
    pub(super) groups: usize,
    /// Channels of a group.
    pub(super) from: usize,
    pub(super) to: usize,
}

/// A whole convolution, ready to run task by task.
struct Gather<'a> {
    extents: Extents,
    classes: Vec<Class>,
    /// Packed weights: (group, panel of `to`, `rows`, panel).
    weights: &'a [f32],
    rows: usize,
    /// `to` filled up to whole vectors.
    padded: usize,
    /// Initial value of every sum: (group, `padded`).
    start: &'a [f32],
}

impl Class {
    pub(super) fn new(first: (usize, usize), extent: (usize, usize), runs: &[Run]) -> Self {
        let mut blocks = vec![Vec::new()];
        let mut left = BLOCK_ROWS;
        for &Run { offset, row, len } in runs {
            let mut done = 0;
            while done < len {
                if left == 0 {
                    blocks.push(Vec::new());
                    left = BLOCK_ROWS;
                }
                let taken = left.min(len - done);
                if let Some(block) = blocks.last_mut() {
                    block.push(Run { offset: offset + done, row: row + done, len: taken });
                }
                (done, left) = (done + taken, left - taken);
            }
        }
        Self { first, extent, blocks, reads: Vec::new(), writes: Vec::new() }
    }

    fn runs(&self) -> impl Iterator<Item = &Run> {
        self.blocks.iter().flatten()
    }

    /// Fills the tables of a task and asserts what the inner loop relies on: no run leaves the frame or the weights, and no
    /// pixel leaves the output.
    fn prepare(&mut self, extents: &Extents, cut: &Cut, rows: usize) {
        let Extents { frame, output, read_step, write_step, groups, from, to } = extents;
        let channels = groups * to;
        for run in self.runs() {
            let (row, column) = (run.offset / frame.row_len(), run.offset % frame.row_len());
            assert!((self.extent.0 - 1) * read_step + row < frame.whole.0, "run leaves the frame");
            let last = (self.extent.1 - 1) * read_step * frame.channels + (groups - 1) * from;
            assert!(last + column + run.len <= frame.row_len(), "run leaves the frame's row");
            assert!(run.row + run.len <= rows, "run leaves the weights");
        }
        let within = |first: usize, extent: usize, output: usize| first + (extent - 1) * write_step < output;
        assert!(within(self.first.0, self.extent.0, output.0), "pixel leaves the output");
        assert!(within(self.first.1, self.extent.1, output.1), "pixel leaves the output's row");
        for image in 0..cut.images {
            for i in 0..cut.rows.min(self.extent.0) {
                for j in 0..self.extent.1 {
                    let read = i * read_step * frame.row_len() + j * read_step * frame.channels;
                    let (row, column) = (self.first.0 + i * write_step, self.first.1 + j * write_step);
                    self.reads.push(image * cut.framed_len + read);
                    self.writes.push(((image * output.0 + row) * output.1 + column) * channels);
                }
            }
        }
    }

    /// Pixels of this class in a task.
    #[inline(always)]
    fn count(&self, task: &Task) -> usize {
        task.images * self.extent.0.saturating_sub(task.first_row).min(task.rows) * self.extent.1
    }
}

/// Runs all classes over all images: `y` from `x`.
///
/// `pack` reorders the filters of a group to rows (tap, summed channel) of output channels.
pub(super) fn run_all<S: Stored>(
    set: InstructionSet,
    extents: Extents,
    mut classes: Vec<Class>,
    pack: impl Fn(&[f32], &mut [f32]),
    (x, weight, bias): (&[S], &[f32], Option<&[f32]>),
    y: Target<S>,
) {
    let Extents { frame, output, groups, to, .. } = extents;
    let panel = 2 * lanes(set);
    let last = (to - 1) / panel * panel;
    let last_width = panel_vectors(lanes(set), to, last) * lanes(set);
    let padded = last + last_width;
    let filters = weight.len() / groups;
    let rows = filters / to;
    let mut weights = Buffer::<f32>::take(groups * rows * padded);
    let mut by_tap = Buffer::<f32>::take(filters);
    for (weight, packed) in weight.chunks_exact(filters).zip(weights.chunks_exact_mut(rows * padded)) {
        pack(weight, &mut by_tap);
        panels(&by_tap, to, panel, last_width, packed);
    }
    let mut start = vec![0.0; groups * padded];
    for (start, bias) in start.chunks_exact_mut(padded).zip(bias.unwrap_or_default().chunks_exact(to)) {
        start[..to].copy_from_slice(bias);
    }

    let image_len = frame.image.0 * frame.image.1 * frame.channels;
    let bare = frame.is_bare() && S::as_f32(x).is_some();
    let reach = classes.iter().flat_map(Class::runs).map(|run| run.offset / frame.row_len() + 1).max().unwrap_or(1);
    let (class_rows, class_columns) = classes.first().map_or((1, 1), |class| class.extent);
    let batch = x.len() / image_len;
    let cut = Cut::new(batch, (class_rows, class_columns), &frame, extents.read_step, reach, bare);
    for class in &mut classes {
        class.prepare(&extents, &cut, rows);
    }
    let channels = groups * to;
    let waiting = classes.iter().filter(|class| class.blocks.len() > 1).map(|class| class.reads.len()).max();
    let gather = Gather { extents, classes, weights: &weights, rows, padded, start: &start };
    (0..cut.tasks()).into_par_iter().for_each(|index| {
        let task = cut.task(index);
        let mut sums = waiting.map(|pixels| Buffer::<f32>::take(pixels * panel));
        let sums = Shared::new(sums.as_deref_mut().unwrap_or_default());
        let first_row = task.first_row * gather.extents.read_step;
        // SAFETY: images, rows and pixels of a task are its own and lie within the output; the tables were made for as many
        // pixels as a task has at most, and proved to stay inside frame, weights and output.
        unsafe {
            let y = y.from((task.image * output.0 + task.first_row * gather.extents.write_step) * output.1 * channels);
            let images = &x[task.image * image_len..(task.image + task.images) * image_len];
            if let Some(images) = S::as_f32(images).filter(|_| bare) {
                gather_task(set, &gather, &task, images.as_ptr().add(first_row * frame.row_len()), y, sums);
            } else {
                let mut framed = Buffer::<f32>::take(task.images * cut.framed_len);
                let rows = first_row..frame.whole.0.min(first_row + cut.framed_len / frame.row_len());
                for (image, framed) in images.chunks_exact(image_len).zip(framed.chunks_exact_mut(cut.framed_len)) {
                    frame.fill(image, (frame.channels, 0), rows.clone(), framed);
                }
                gather_task(set, &gather, &task, framed.as_ptr(), y, sums);
            }
        }
    });
}

dispatch! {
    /// All output pixels of one task.
    fn gather_task<S>(gather: &Gather<'_>, task: &Task, x: *const f32, y: Target<S>, sums: Shared) = gather_task_body
}

#[inline(always)]
unsafe fn gather_task_body<V: Vector, S: Stored>(
    gather: &Gather<'_>,
    task: &Task,
    x: *const f32,
    y: Target<S>,
    sums: Shared,
) {
    let Extents { groups, from, to, .. } = gather.extents;
    for group in 0..groups {
        let mut k = 0;
        while k < to {
            let vectors = panel_vectors(V::LANES, to, k);
            for class in &gather.classes {
                let count = class.count(task);
                // SAFETY: the panel `k..` lies inside weights and outputs; the rest is the caller's contract.
                unsafe {
                    let (x, y) = (x.add(group * from), y.from(group * to + k));
                    if vectors == 2 {
                        gather_panel::<V, S, 2>(gather, class, (group, k), count, x, y, sums);
                    } else {
                        gather_panel::<V, S, 1>(gather, class, (group, k), count, x, y, sums);
                    }
                }
            }
            k += vectors * V::LANES;
        }
    }
}

#[inline(always)]
unsafe fn gather_panel<V: Vector, S: Stored, const NR: usize>(
    gather: &Gather<'_>,
    class: &Class,
    (group, k): (usize, usize),
    count: usize,
    x: *const f32,
    y: Target<S>,
    sums: Shared,
) {
    // SAFETY: weights and starts of the panel that begins at channel `k`.
    let (weights, start) = unsafe {
        let first = group * gather.padded + k;
        (gather.weights.as_ptr().add(first * gather.rows), gather.start.as_ptr().add(first))
    };
    let (reads, writes) = (class.reads.as_slice(), class.writes.as_slice());
    let channels = gather.extents.to - k;
    for (index, block) in class.blocks.iter().enumerate() {
        let (first, last) = (index == 0, index + 1 == class.blocks.len());
        macro_rules! tile {
            ($rows:literal, $t:ident) => {
                // SAFETY: pixels `t` to `t + $rows` lie within the tables; reads, runs and writes were proved to stay inside
                // frame, weights and output, and only lanes within the channels are read from and written to the output.
                unsafe {
                    let mut acc = [[V::splat(0.0); NR]; $rows];
                    for i in 0..$rows {
                        for j in 0..NR {
                            acc[i][j] = match first {
                                true => V::load(start.add(j * V::LANES)),
                                false => V::load(sums.at((($t + i) * NR + j) * V::LANES)),
                            };
                        }
                    }
                    for run in block {
                        let mut pixels = [x; $rows];
                        for i in 0..$rows {
                            pixels[i] = x.add(*reads.get_unchecked($t + i) + run.offset);
                        }
                        reduce::<V, $rows, NR>(&mut acc, pixels, weights.add(run.row * NR * V::LANES), run.len);
                    }
                    for i in 0..$rows {
                        for j in 0..NR {
                            let sum = acc[i][j];
                            if !last {
                                sum.store(sums.at((($t + i) * NR + j) * V::LANES));
                                continue;
                            }
                            let at = *writes.get_unchecked($t + i) + j * V::LANES;
                            y.store(sum, at, channels - j * V::LANES);
                        }
                    }
                }
            };
        }
        tiles!(V::TILE_ROWS, t, count, tile);
    }
}
