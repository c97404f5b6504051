//! Weight gradient: products of transformed inputs and gradients, summed over tiles.

use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use super::PRIVATE_CHANNELS;
use super::finish::finish_row_of;
use super::tile::{Grid, read_gradient, read_input};
use crate::InstructionSet;
use crate::cpu::conv::packing::output_input_tap;
use crate::cpu::memory::Buffer;
use crate::cpu::simd::Stored;
use crate::cpu::simd::microkernel::accumulate;
use crate::cpu::simd::{Shared, Vector, dispatch, lanes};
use crate::plan::ConvShape;

/// Tiles per private block: its inputs and gradients at all points stay in a core's cache.
pub(super) const PRIVATE_TILES: usize = 32;
/// Maximum size in bytes of all partial sums of the private form: they are written and read once more at the end.
const SUM_BYTES: usize = 8 << 20;
/// Tiles per piece of a private block, which another thread may take over; products are divided into pieces of similar cost.
pub(super) const PIECE_TILES: usize = 4;
const PIECE: usize = 1 << 17;
/// Tiles of a chunk in the phased form.
pub(super) const PHASED_TILES: usize = 256;
/// Tasks per point in the phased form, by rows: 36 points alone are too few for many threads.
pub(super) const PHASED_GROUPS: usize = 4;
/// Rows of a group are a multiple of this, the rows of the largest register tile.
const GROUP_ROWS: usize = 12;

struct Sums<'a, S> {
    set: InstructionSet,
    grid: Grid,
    inputs: usize,
    outputs: usize,
    /// Both rounded up to whole vectors, as in the Winograd domain.
    padded_inputs: usize,
    padded_outputs: usize,
    x: &'a [S],
    dy: &'a [S],
    zeros: &'a [S],
}

/// `dw` from `x` and `dy`: see [`crate::cpu::conv::reference::backward_weight`].
pub(crate) fn backward_weight<S: Stored>(
    set: InstructionSet,
    side: usize,
    shape: &ConvShape,
    x: &[S],
    dy: &[S],
    dw: &mut [MaybeUninit<f32>],
) {
    let (inputs, outputs) = (shape.channels_in, shape.channels_out);
    assert!(x.len() == shape.x_len() && dy.len() == shape.y_len(), "activation lengths");
    let [padded_inputs, padded_outputs] = [inputs, outputs].map(|channels| channels.next_multiple_of(lanes(set)));
    let grid =
        Grid { batch: shape.batch, input: shape.input, output: shape.output, padding: shape.window.padding, side };
    let zeros = vec![S::zero(); inputs.max(outputs)];
    let sums = Sums { set, grid, inputs, outputs, padded_inputs, padded_outputs, x, dy, zeros: &zeros };
    let private = inputs * outputs <= PRIVATE_CHANNELS;
    let parts = if private { parts(grid.tiles(), grid.points(), inputs * padded_outputs) } else { 1 };
    let mut products = Buffer::<f32>::take(parts * grid.points() * inputs * padded_outputs);
    if private {
        sums.private(Shared::new(&mut products), parts)
    } else {
        sums.phased(Shared::new(&mut products))
    }
    let mut by_tap = Buffer::<f32>::take(9 * inputs * padded_outputs);
    let (from, to) = (Shared::new(&mut products), Shared::new(&mut by_tap));
    (0..inputs).into_par_iter().for_each(|row| {
        // SAFETY: `products` holds `parts` sums, `by_tap` nine taps; every row writes elements of its own.
        unsafe { finish_row_of(set, side, inputs, padded_outputs, parts, from, to, row) };
    });
    output_input_tap(&by_tap, padded_outputs, outputs, inputs, 9, dw);
}

/// Number of partial sums of the private form: enough for 32 threads, but at least 256 tiles each and at most `SUM_BYTES` in
/// total; at least four. It depends only on the problem, so that the order of additions does not depend on the number of
/// threads.
pub(super) fn parts(tiles: usize, points: usize, matrix: usize) -> usize {
    (tiles / 256).min(SUM_BYTES / (points * matrix * size_of::<f32>())).clamp(4, 32)
}

/// The tiles of one part.
pub(super) fn part_tiles(tiles: usize, parts: usize, part: usize) -> Range<usize> {
    tiles * part / parts..tiles * (part + 1) / parts
}

/// Points of a block multiplied as one piece of work: all of them if there are many parts.
pub(super) fn points_at_once(parts: usize, points: usize, matrix: usize) -> usize {
    if parts == 32 { points } else { PIECE.div_ceil(PRIVATE_TILES * matrix) }
}

/// The rows of one group of the phased form.
pub(super) fn group_rows(inputs: usize, group: usize) -> Range<usize> {
    let start = |group: usize| match group {
        PHASED_GROUPS => inputs,
        _ => inputs * group / PHASED_GROUPS / GROUP_ROWS * GROUP_ROWS,
    };
    start(group)..start(group + 1)
}

impl<S: Stored> Sums<'_, S> {
    /// One task sums each part of the tiles, block by block. Threads without a part help with the points of a block; sums are
    /// always in the order of the tiles.
    fn private(&self, products: Shared, parts: usize) {
        let (tiles, points) = (self.grid.tiles(), self.grid.points());
        let at_once = points_at_once(parts, points, self.inputs * self.padded_outputs);
        (0..parts).into_par_iter().with_max_len(1).for_each(|part| {
            let mut v = Buffer::<f32>::take(points * PRIVATE_TILES * self.padded_inputs);
            let mut d = Buffer::<f32>::take(points * PRIVATE_TILES * self.padded_outputs);
            let (v, d) = (Shared::new(&mut v), Shared::new(&mut d));
            let range = part_tiles(tiles, parts, part);
            // SAFETY: part `part` of the products is this task's own.
            let products =
                |point: usize| unsafe { products.at((part * points + point) * self.inputs * self.padded_outputs) };
            if range.is_empty() {
                for point in 0..points {
                    // SAFETY: a whole matrix of this part.
                    unsafe { products(point).write_bytes(0, self.inputs * self.padded_outputs) };
                }
            }
            for first in range.clone().step_by(PRIVATE_TILES) {
                let last = range.end.min(first + PRIVATE_TILES);
                let transform = |at: usize| {
                    // SAFETY: lengths were asserted; the scratch is this part's own and holds a block of tiles.
                    unsafe {
                        let last = last.min(at + PIECE_TILES);
                        gather(self.set, self, at, last, first, PRIVATE_TILES, v, d);
                    }
                };
                let multiply = |point: usize| {
                    // SAFETY: as above; every point has a sum of its own.
                    unsafe {
                        let v = v.at(point * PRIVATE_TILES * self.padded_inputs);
                        let d = d.at(point * PRIVATE_TILES * self.padded_outputs);
                        let (rows, add) = (0..self.inputs, first > range.start);
                        let (v_step, outputs) = (self.padded_inputs, self.padded_outputs);
                        add_point(self.set, v_step, outputs, rows, v, d, products(point), last - first, add);
                    }
                };
                if at_once < points {
                    let pieces = (last - first).div_ceil(PIECE_TILES);
                    (0..pieces).into_par_iter().for_each(|piece| transform(first + piece * PIECE_TILES));
                    (0..points).into_par_iter().with_min_len(at_once).for_each(multiply);
                } else {
                    (first..last).step_by(PIECE_TILES).for_each(transform);
                    (0..points).for_each(multiply);
                }
            }
        });
    }

    /// Phase by phase over chunks of tiles, with the points divided among threads; each point is summed in tile order.
    fn phased(&self, products: Shared) {
        let (tiles, points) = (self.grid.tiles(), self.grid.points());
        let chunk = tiles.min(PHASED_TILES);
        let mut v = Buffer::<f32>::take(points * chunk * self.padded_inputs);
        let mut d = Buffer::<f32>::take(points * chunk * self.padded_outputs);
        let (v, d) = (Shared::new(&mut v), Shared::new(&mut d));
        for first in (0..tiles).step_by(chunk) {
            let last = tiles.min(first + chunk);
            (first..last).into_par_iter().with_min_len(4).for_each(|tile| {
                // SAFETY: as in `private`; a task has its own tile, and the phases follow one another.
                unsafe {
                    gather(self.set, self, tile, tile + 1, first, chunk, v, d);
                }
            });
            (0..points * PHASED_GROUPS).into_par_iter().for_each(|task| {
                let (point, rows) = (task / PHASED_GROUPS, group_rows(self.inputs, task % PHASED_GROUPS));
                // SAFETY: as in `private`; a task has its own rows of a point, and the phases follow one another.
                unsafe {
                    let (v, d) = (v.at(point * chunk * self.padded_inputs), d.at(point * chunk * self.padded_outputs));
                    let sum = products.at(point * self.inputs * self.padded_outputs);
                    add_point(
                        self.set,
                        self.padded_inputs,
                        self.padded_outputs,
                        rows,
                        v,
                        d,
                        sum,
                        last - first,
                        first > 0,
                    );
                }
            });
        }
    }
}

dispatch! {
    /// Transforms tiles `first..last` of `x` into `v` and of `dy` into `d`: (point, tile - base of `block`, channel).
    fn gather<S>(
        sums: &Sums<'_, S>, first: usize, last: usize, base: usize, block: usize, v: Shared, d: Shared,
    ) = gather_body
}

#[inline(always)]
unsafe fn gather_body<V: Vector, S: Stored>(
    sums: &Sums<'_, S>,
    first: usize,
    last: usize,
    base: usize,
    block: usize,
    v: Shared,
    d: Shared,
) {
    let (grid, inputs, outputs) = (&sums.grid, sums.inputs, sums.outputs);
    let (x, dy, zeros) = (sums.x.as_ptr(), sums.dy.as_ptr(), sums.zeros.as_ptr());
    for tile in first..last {
        // SAFETY: `tile - base < block`, so the tile's rows lie inside the scratch; lengths were asserted by the caller.
        unsafe {
            let (v_row, d_row) = (sums.padded_inputs, sums.padded_outputs);
            let (v, d) = (v.at((tile - base) * v_row), d.at((tile - base) * d_row));
            if grid.side == 4 {
                read_input::<V, S, 6>(grid, x, zeros, inputs, tile, v, block * v_row);
                read_gradient::<V, S, 6, 4>(grid, dy, zeros, outputs, tile, d, block * d_row);
            } else {
                read_input::<V, S, 4>(grid, x, zeros, inputs, tile, v, block * v_row);
                read_gradient::<V, S, 4, 2>(grid, dy, zeros, outputs, tile, d, block * d_row);
            }
        }
    }
}

dispatch! {
    /// At one point, for the inputs in `rows`: `sum[i, o] (+)= sum over tiles of v[tile, i] * d[tile, o]`; rows of `v` are
    /// `v_step` apart.
    fn add_point(
        v_step: usize, outputs: usize, rows: Range<usize>, v: *const f32, d: *const f32, sum: *mut f32, tiles: usize,
        add: bool,
    ) = add_point_body
}

#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "extents of three matrices")]
unsafe fn add_point_body<V: Vector>(
    v_step: usize,
    outputs: usize,
    rows: Range<usize>,
    v: *const f32,
    d: *const f32,
    sum: *mut f32,
    tiles: usize,
    add: bool,
) {
    // SAFETY: `rows` lie inside the inputs.
    let (v, sum) = unsafe { (v.add(rows.start), sum.add(rows.start * outputs)) };
    let count = rows.len();
    let mut o = 0;
    while o < outputs {
        let left = outputs - o;
        // SAFETY: the panel `o..` lies inside the rows of `d` and `sum`.
        unsafe {
            let (d, sum) = (d.add(o), sum.add(o));
            if V::LANES == 16 && left >= 64 {
                accumulate::<V, 4>(v, v_step, d, outputs, sum, outputs, count, tiles, add);
                o += 4 * V::LANES;
            } else if left >= 2 * V::LANES {
                accumulate::<V, 2>(v, v_step, d, outputs, sum, outputs, count, tiles, add);
                o += 2 * V::LANES;
            } else {
                accumulate::<V, 1>(v, v_step, d, outputs, sum, outputs, count, tiles, add);
                o += V::LANES;
            }
        }
    }
}
