//! Weight gradient: products of transformed inputs and gradients, summed over tiles.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::PRIVATE_CHANNELS;
use super::tile::{Grid, read_gradient, read_input};
use super::transform::output;
use crate::InstructionSet;
use crate::cpu::conv::packing::output_input_tap;
use crate::cpu::memory::Buffer;
use crate::cpu::simd::Stored;
use crate::cpu::simd::microkernel::accumulate;
use crate::cpu::simd::{Shared, Vector, dispatch};
use crate::plan::ConvShape;

/// Tiles of a private block: its inputs and gradients at all points stay in a core's cache.
const PRIVATE_TILES: usize = 32;
/// Partial sums of the private form. Fixed, so that the order of additions does not depend on the threads.
const PARTS: usize = 4;
/// Tiles of a chunk in the phased form.
const PHASED_TILES: usize = 256;

struct Sums<'a, S> {
    set: InstructionSet,
    grid: Grid,
    inputs: usize,
    outputs: usize,
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
    assert!(inputs.is_multiple_of(16) && outputs.is_multiple_of(16), "channels");
    let grid =
        Grid { batch: shape.batch, input: shape.input, output: shape.output, padding: shape.window.padding, side };
    let zeros = vec![S::zero(); inputs.max(outputs)];
    let sums = Sums { set, grid, inputs, outputs, x, dy, zeros: &zeros };
    let parts = if inputs * outputs <= PRIVATE_CHANNELS { PARTS } else { 1 };
    let mut products = Buffer::<f32>::take(parts * grid.points() * inputs * outputs);
    if parts > 1 {
        sums.private(Shared::new(&mut products))
    } else {
        sums.phased(Shared::new(&mut products))
    }
    let mut by_tap = Buffer::<f32>::take(9 * inputs * outputs);
    let (from, to) = (Shared::new(&mut products), Shared::new(&mut by_tap));
    (0..inputs).into_par_iter().with_min_len(4).for_each(|row| {
        // SAFETY: `products` holds `parts` sums, `by_tap` nine taps; every row writes elements of its own.
        unsafe { finish(set, side, inputs, outputs, parts, from, to, row) };
    });
    output_input_tap(&by_tap, outputs, inputs, 9, dw);
}

impl<S: Stored> Sums<'_, S> {
    /// Each part of the tiles is summed by one task, block by block.
    fn private(&self, products: Shared) {
        let (tiles, points) = (self.grid.tiles(), self.grid.points());
        (0..PARTS).into_par_iter().for_each(|part| {
            let mut v = Buffer::<f32>::take(points * PRIVATE_TILES * self.inputs);
            let mut d = Buffer::<f32>::take(points * PRIVATE_TILES * self.outputs);
            let (v, d) = (Shared::new(&mut v), Shared::new(&mut d));
            let range = tiles * part / PARTS..tiles * (part + 1) / PARTS;
            // SAFETY: part `part` of the products is this task's own.
            let products = |point: usize| unsafe { products.at((part * points + point) * self.inputs * self.outputs) };
            if range.is_empty() {
                for point in 0..points {
                    // SAFETY: a whole matrix of this part.
                    unsafe { products(point).write_bytes(0, self.inputs * self.outputs) };
                }
            }
            for first in range.clone().step_by(PRIVATE_TILES) {
                let last = range.end.min(first + PRIVATE_TILES);
                // SAFETY: lengths were asserted; the scratch is this task's own and holds a block of tiles.
                unsafe {
                    gather(self.set, self, first, last, first, PRIVATE_TILES, v, d);
                    for point in 0..points {
                        let (v, d) =
                            (v.at(point * PRIVATE_TILES * self.inputs), d.at(point * PRIVATE_TILES * self.outputs));
                        add_point(
                            self.set,
                            self.inputs,
                            self.outputs,
                            v,
                            d,
                            products(point),
                            last - first,
                            first > range.start,
                        );
                    }
                }
            }
        });
    }

    /// Phase by phase over chunks of tiles, the points spread over threads: each point's sum is formed in tile order.
    fn phased(&self, products: Shared) {
        let (tiles, points) = (self.grid.tiles(), self.grid.points());
        let chunk = tiles.min(PHASED_TILES);
        let mut v = Buffer::<f32>::take(points * chunk * self.inputs);
        let mut d = Buffer::<f32>::take(points * chunk * self.outputs);
        let (v, d) = (Shared::new(&mut v), Shared::new(&mut d));
        for first in (0..tiles).step_by(chunk) {
            let last = tiles.min(first + chunk);
            (first..last).into_par_iter().with_min_len(4).for_each(|tile| {
                // SAFETY: as in `private`; a task has its own tile, and the phases follow one another.
                unsafe {
                    gather(self.set, self, tile, tile + 1, first, chunk, v, d);
                }
            });
            (0..points).into_par_iter().for_each(|point| {
                // SAFETY: as in `private`; a task has its own point, and the phases follow one another.
                unsafe {
                    let (v, d) = (v.at(point * chunk * self.inputs), d.at(point * chunk * self.outputs));
                    let sum = products.at(point * self.inputs * self.outputs);
                    add_point(self.set, self.inputs, self.outputs, v, d, sum, last - first, first > 0);
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
            let (v, d) = (v.at((tile - base) * inputs), d.at((tile - base) * outputs));
            if grid.side == 4 {
                read_input::<V, S, 6>(grid, x, zeros, inputs, tile, v, block * inputs);
                read_gradient::<V, S, 6, 4>(grid, dy, zeros, outputs, tile, d, block * outputs);
            } else {
                read_input::<V, S, 4>(grid, x, zeros, inputs, tile, v, block * inputs);
                read_gradient::<V, S, 4, 2>(grid, dy, zeros, outputs, tile, d, block * outputs);
            }
        }
    }
}

dispatch! {
    /// At one point: `sum[i, o] (+)= sum over tiles of v[tile, i] * d[tile, o]`.
    fn add_point(
        inputs: usize, outputs: usize, v: *const f32, d: *const f32, sum: *mut f32, tiles: usize, add: bool,
    ) = add_point_body
}

#[inline(always)]
unsafe fn add_point_body<V: Vector>(
    inputs: usize,
    outputs: usize,
    v: *const f32,
    d: *const f32,
    sum: *mut f32,
    tiles: usize,
    add: bool,
) {
    let mut o = 0;
    while o < outputs {
        let left = outputs - o;
        // SAFETY: the panel `o..` lies inside the rows of `d` and `sum`.
        unsafe {
            let (d, sum) = (d.add(o), sum.add(o));
            if V::LANES == 16 && left >= 64 {
                accumulate::<V, 4>(v, inputs, d, outputs, sum, outputs, inputs, tiles, add);
                o += 4 * V::LANES;
            } else if left >= 2 * V::LANES {
                accumulate::<V, 2>(v, inputs, d, outputs, sum, outputs, inputs, tiles, add);
                o += 2 * V::LANES;
            } else {
                accumulate::<V, 1>(v, inputs, d, outputs, sum, outputs, inputs, tiles, add);
                o += V::LANES;
            }
        }
    }
}

dispatch! {
    /// Adds the parts of one row (input channel) in their order and carries it back to nine taps.
    fn finish(
        side: usize, inputs: usize, outputs: usize, parts: usize, products: Shared, by_tap: Shared, row: usize,
    ) = finish_body
}

#[inline(always)]
unsafe fn finish_body<V: Vector>(
    side: usize,
    inputs: usize,
    outputs: usize,
    parts: usize,
    products: Shared,
    by_tap: Shared,
    row: usize,
) {
    // SAFETY: the caller's contract, by tile size.
    unsafe {
        if side == 4 {
            finish_row::<V, 6>(inputs, outputs, parts, products, by_tap, row);
        } else {
            finish_row::<V, 4>(inputs, outputs, parts, products, by_tap, row);
        }
    }
}

#[inline(always)]
unsafe fn finish_row<V: Vector, const T: usize>(
    inputs: usize,
    outputs: usize,
    parts: usize,
    products: Shared,
    by_tap: Shared,
    row: usize,
) {
    let matrix = inputs * outputs;
    let mut o = 0;
    while o < outputs {
        let at = row * outputs + o;
        // SAFETY: `row < inputs` and `o + LANES <= outputs`: inside (parts, T * T, inputs, outputs) and (9, inputs, outputs).
        unsafe {
            let mut half = [[V::splat(0.0); T]; 3];
            for j in 0..T {
                let mut column = [V::splat(0.0); T];
                for i in 0..T {
                    let mut sum = V::load(products.at((i * T + j) * matrix + at));
                    for part in 1..parts {
                        sum = sum.add(V::load(products.at((part * T * T + i * T + j) * matrix + at)));
                    }
                    column[i] = sum;
                }
                let column = output::<V, T, 3>(column);
                for i in 0..3 {
                    half[i][j] = column[i];
                }
            }
            for i in 0..3 {
                let taps = output::<V, T, 3>(half[i]);
                for j in 0..3 {
                    taps[j].store(by_tap.at((i * 3 + j) * matrix + at));
                }
            }
        }
        o += V::LANES;
    }
}
