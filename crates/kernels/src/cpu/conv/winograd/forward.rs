//! Forward pass and data gradient.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::PRIVATE_CHANNELS;
use super::filters::transform_weights;
use super::tile::{Grid, read_input, write_output};

use crate::InstructionSet;
use crate::cpu::conv::epilogue::{Epilogue, Target};
use crate::cpu::conv::packing::{tap_input_output, tap_output_input};
use crate::cpu::memory::Buffer;
use crate::cpu::simd::Stored;
use crate::cpu::simd::microkernel::multiply;
use crate::cpu::simd::{Shared, Vector, dispatch, lanes, panel_vectors};
use crate::plan::ConvShape;

/// Tiles per private block: a multiple of the register tile's rows. 36 * 36 * (C + K) floats fit a core's cache.
const PRIVATE_TILES: usize = 36;
/// Tiles per private block if the weights are large: more tiles per read of the weights.
const PRIVATE_TILES_WIDE: usize = 60;
/// Tiles per chunk in the phased form: a point's 256 x C inputs, C x K weights and 256 x K products fit a core's cache.
const PHASED_TILES: usize = 256;

/// Padding between points, in elements. The extents are often powers of two, and points at such distances would share the
/// same few cache lines.
const POINT_GAP: usize = 16;

/// Transformed tiles: (point, tile, channel), the points `step` apart.
#[derive(Debug, Clone, Copy)]
struct Tiles {
    at: Shared,
    step: usize,
}

/// One convolution in the Winograd domain: sums `from` channels to `to` channels.
struct Product<'a, S> {
    set: InstructionSet,
    grid: Grid,
    from: usize,
    to: usize,
    /// Both rounded up to whole vectors, as in the Winograd domain.
    padded_from: usize,
    padded_to: usize,
    x: &'a [S],
    /// Transformed weights: (point, panel of `padded_to`, `from`, panel), panels of two vectors and perhaps a last one of one.
    weights: &'a [f32],
    zeros: &'a [S],
    /// Added to every pixel: `padded_to` numbers.
    bias: &'a [f32],
    y: Target<S>,
}

/// `y` from `x`: see [`crate::cpu::conv::reference::forward`].
pub(crate) fn forward<S: Stored>(
    set: InstructionSet,
    side: usize,
    shape: &ConvShape,
    x: &[S],
    weight: &[f32],
    epilogue: Epilogue<'_, S>,
    y: &mut [MaybeUninit<S>],
) {
    let (from, to) = (shape.channels_in, shape.channels_out);
    assert!(y.len() == shape.y_len(), "output length");
    let mut by_tap = Buffer::<f32>::take(9 * from * to);
    tap_input_output(weight, to, from, 9, &mut by_tap);
    let grid =
        Grid { batch: shape.batch, input: shape.input, output: shape.output, padding: shape.window.padding, side };
    convolve(set, grid, from, to, x, &by_tap, epilogue.bias, Target::output(y, epilogue));
}

/// `dx` from `dy`: the same convolution with the filter rotated by 180 degrees and its channels exchanged; added to `dx` if
/// `add`.
pub(crate) fn backward_data<S: Stored>(
    set: InstructionSet,
    side: usize,
    shape: &ConvShape,
    dy: &[S],
    weight: &[f32],
    add: bool,
    dx: &mut [MaybeUninit<S>],
) {
    let (from, to) = (shape.channels_out, shape.channels_in);
    assert!(dx.len() == shape.x_len(), "output length");
    let mut by_tap = Buffer::<f32>::take(9 * from * to);
    tap_output_input(weight, from, to, 9, true, &mut by_tap);
    let padding = 2 - shape.window.padding;
    let grid = Grid { batch: shape.batch, input: shape.output, output: shape.input, padding, side };
    convolve(set, grid, from, to, dy, &by_tap, None, Target::gradient(dx, add));
}

#[allow(clippy::too_many_arguments, reason = "extents, two operands and a result")]
fn convolve<S: Stored>(
    set: InstructionSet,
    grid: Grid,
    from: usize,
    to: usize,
    x: &[S],
    by_tap: &[f32],
    bias: Option<&[f32]>,
    y: Target<S>,
) {
    assert!(x.len() == grid.batch * grid.input.0 * grid.input.1 * from, "input length");
    assert!(by_tap.len() == 9 * from * to, "weight length");
    let [padded_from, padded_to] = [from, to].map(|channels| channels.next_multiple_of(lanes(set)));
    let mut weights = Buffer::<f32>::take(grid.points() * from * padded_to);
    let target = Shared::new(&mut weights);
    (0..from).into_par_iter().with_min_len(4).for_each(|row| {
        // SAFETY: the buffers have the lengths the body needs, and every row writes elements of its own.
        unsafe { transform_weights(set, grid.side, from, to, by_tap.as_ptr(), target, row) };
    });
    let zeros = vec![S::zero(); from];
    let mut padded_bias = vec![0.0; padded_to];
    if let Some(bias) = bias {
        padded_bias[..to].copy_from_slice(bias);
    }
    let product = Product {
        set,
        grid,
        from,
        to,
        padded_from,
        padded_to,
        x,
        weights: &weights,
        zeros: &zeros,
        bias: &padded_bias,
        y,
    };
    if from * to <= PRIVATE_CHANNELS { product.private() } else { product.phased() }
}

impl<S: Stored> Product<'_, S> {
    fn scratch(&self, tiles: usize, channels: usize) -> Buffer<f32> {
        Buffer::take(self.grid.points() * (tiles * channels + POINT_GAP))
    }

    fn tiles(&self, scratch: &mut Buffer<f32>, tiles: usize, channels: usize) -> Tiles {
        Tiles { at: Shared::new(scratch), step: tiles * channels + POINT_GAP }
    }

    /// Block by block: a task transforms its tiles, multiplies at all points and transforms back.
    fn private(&self) {
        let tiles = self.grid.tiles();
        let block = if self.from * self.to <= 64 * 64 { PRIVATE_TILES } else { PRIVATE_TILES_WIDE };
        (0..tiles.div_ceil(block)).into_par_iter().for_each(|index| {
            let (first, last) = (index * block, tiles.min((index + 1) * block));
            let mut v = self.scratch(block, self.padded_from);
            let mut m = self.scratch(block, self.padded_to);
            let (v, m) = (self.tiles(&mut v, block, self.padded_from), self.tiles(&mut m, block, self.padded_to));
            // SAFETY: the lengths were asserted in `convolve`; the scratch is this task's own and holds `block` tiles;
            // tiles `first..last` belong to this task alone.
            unsafe {
                gather(self.set, self, first, last, first, v);
                for point in 0..self.grid.points() {
                    multiply_point(self.set, self, point, last - first, v, m);
                }
                scatter(self.set, self, first, last, first, m);
            }
        });
    }

    /// Phase by phase over chunks of tiles: transform, multiply with the points spread over threads, transform back.
    fn phased(&self) {
        let tiles = self.grid.tiles();
        let chunk = tiles.min(PHASED_TILES);
        let points = self.grid.points();
        let mut v = self.scratch(chunk, self.padded_from);
        let mut m = self.scratch(chunk, self.padded_to);
        let (v, m) = (self.tiles(&mut v, chunk, self.padded_from), self.tiles(&mut m, chunk, self.padded_to));
        for first in (0..tiles).step_by(chunk) {
            let last = tiles.min(first + chunk);
            (first..last).into_par_iter().with_min_len(4).for_each(|tile| {
                // SAFETY: as in `private`; a task has its own tile, and the phases follow one another.
                unsafe {
                    gather(self.set, self, tile, tile + 1, first, v);
                }
            });
            (0..points).into_par_iter().for_each(|point| {
                // SAFETY: as in `private`; a task has its own point, and the phases follow one another.
                unsafe {
                    multiply_point(self.set, self, point, last - first, v, m);
                }
            });
            (first..last).into_par_iter().with_min_len(4).for_each(|tile| {
                // SAFETY: as in `private`; a task has its own tile, and the phases follow one another.
                unsafe {
                    scatter(self.set, self, tile, tile + 1, first, m);
                }
            });
        }
    }
}

dispatch! {
    /// Transforms input tiles `first..last` into `v`: (point, tile - base of `block`, channel).
    fn gather<S>(product: &Product<'_, S>, first: usize, last: usize, base: usize, v: Tiles) = gather_body
}

#[inline(always)]
unsafe fn gather_body<V: Vector, S: Stored>(
    product: &Product<'_, S>,
    first: usize,
    last: usize,
    base: usize,
    v: Tiles,
) {
    let (grid, channels) = (&product.grid, product.from);
    let (x, zeros) = (product.x.as_ptr(), product.zeros.as_ptr());
    for tile in first..last {
        // SAFETY: `tile - base` is below the tiles of the scratch, so the tile's rows lie inside `v`; lengths were asserted in `convolve`.
        unsafe {
            let to = v.at.at((tile - base) * product.padded_from);
            if grid.side == 4 {
                read_input::<V, S, 6>(grid, x, zeros, channels, tile, to, v.step);
            } else {
                read_input::<V, S, 4>(grid, x, zeros, channels, tile, to, v.step);
            }
        }
    }
}

dispatch! {
    /// At one point: `m[tile, k] = sum over c of v[tile, c] * weights[c, k]` for `count` tiles.
    fn multiply_point<S>(
        product: &Product<'_, S>, point: usize, count: usize, v: Tiles, m: Tiles,
    ) = multiply_point_body
}

#[inline(always)]
unsafe fn multiply_point_body<V: Vector, S: Stored>(
    product: &Product<'_, S>,
    point: usize,
    count: usize,
    v: Tiles,
    m: Tiles,
) {
    let (from, v_step, m_step) = (product.from, product.padded_from, product.padded_to);
    let mut k = 0;
    while k < m_step {
        let vectors = panel_vectors(V::LANES, m_step, k);
        // SAFETY: point, tiles and panel lie inside the three arrays, whose lengths are points * step and
        // points * from * padded channels.
        unsafe {
            let v = v.at.at(point * v.step);
            let m = m.at.at(point * m.step + k);
            let weights = product.weights.as_ptr().add((point * m_step + k) * from);
            if vectors == 2 {
                multiply::<V, 2>(v, v_step, weights, m, m_step, count, from);
            } else {
                multiply::<V, 1>(v, v_step, weights, m, m_step, count, from);
            }
        }
        k += vectors * V::LANES;
    }
}

dispatch! {
    /// Transforms products of tiles `first..last` back and writes them to `y`.
    fn scatter<S>(product: &Product<'_, S>, first: usize, last: usize, base: usize, m: Tiles) = scatter_body
}

#[inline(always)]
unsafe fn scatter_body<V: Vector, S: Stored>(
    product: &Product<'_, S>,
    first: usize,
    last: usize,
    base: usize,
    m: Tiles,
) {
    let (grid, channels) = (&product.grid, product.to);
    for tile in first..last {
        // SAFETY: as in `gather_body`; no other task writes the pixels of this tile.
        unsafe {
            let from = m.at.at((tile - base) * product.padded_to);
            let (bias, y) = (product.bias.as_ptr(), product.y);
            if grid.side == 4 {
                write_output::<V, S, 6, 4>(grid, from, m.step, channels, tile, bias, y);
            } else {
                write_output::<V, S, 4, 2>(grid, from, m.step, channels, tile, bias, y);
            }
        }
    }
}
