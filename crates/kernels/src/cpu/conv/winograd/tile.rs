//! Transforms whole tiles to and from the Winograd domain, all channels of one tile at a time.

use super::transform::{filter, input, output};
use crate::cpu::conv::epilogue::Target;
use crate::cpu::simd::Stored;
use crate::cpu::simd::Vector;

/// The grid of tiles of an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    /// Images.
    pub(super) batch: usize,
    /// Extents of the image that is read.
    pub(super) input: (usize, usize),
    /// Extents of the image that is written (or, for the weight gradient, of `dy`).
    pub(super) output: (usize, usize),
    pub(super) padding: usize,
    /// Outputs per tile in each direction: 2 or 4.
    pub(super) side: usize,
}

impl Grid {
    fn across(&self) -> usize {
        self.output.1.div_ceil(self.side)
    }

    fn per_image(&self) -> usize {
        self.output.0.div_ceil(self.side) * self.across()
    }

    pub(super) fn tiles(&self) -> usize {
        self.batch * self.per_image()
    }

    /// Points of a tile in the transformed domain.
    pub(super) fn points(&self) -> usize {
        (self.side + 2) * (self.side + 2)
    }

    /// Image, first output row and first output column of tile `tile`.
    #[inline(always)]
    fn origin(&self, tile: usize) -> (usize, usize, usize) {
        let (image, within) = (tile / self.per_image(), tile % self.per_image());
        (image, within / self.across() * self.side, within % self.across() * self.side)
    }
}

/// Calls `$rows!` for the rows of a transformed tile, in passes whose values fit the vector's registers. Rows 1 and 2, and
/// rows 3 and 4, share intermediate values.
macro_rules! in_passes {
    ($points:expr, $vector:ty, $rows:ident) => {
        if $points == 4 {
            $rows!(0..4);
        } else if <$vector>::REGISTERS >= 32 {
            $rows!(0..3);
            $rows!(3..6);
        } else {
            $rows!(0..1);
            $rows!(1..3);
            $rows!(3..5);
            $rows!(5..6);
        }
    };
}

/// The input of tile `tile`, transformed: point `p`, channel `c` to `v[p * point_step + c]`.
///
/// # Safety
///
/// `x` must hold `grid.batch` input images of `channels`; `zeros` at least `channels` zeros; `v` must be writable for
/// `channels` elements, filled up to whole vectors, at each of the `T * T` points.
#[inline(always)]
pub(super) unsafe fn read_input<V: Vector, S: Stored, const T: usize>(
    grid: &Grid,
    x: *const S,
    zeros: *const S,
    channels: usize,
    tile: usize,
    v: *mut f32,
    point_step: usize,
) {
    let (image, top, left) = grid.origin(tile);
    let mut pixels = [[zeros; T]; T];
    for i in 0..T {
        let y = (top + i).wrapping_sub(grid.padding);
        if y >= grid.input.0 {
            continue;
        }
        for j in 0..T {
            let column = (left + j).wrapping_sub(grid.padding);
            if column < grid.input.1 {
                // SAFETY: row and column lie inside image `image < batch`.
                pixels[i][j] = unsafe { x.add(((image * grid.input.0 + y) * grid.input.1 + column) * channels) };
            }
        }
    }
    let mut c = 0;
    while c < channels {
        let rest = channels - c;
        // Rows `$from..$to` of the transformed tile, which fit the registers: values for other rows are not computed, and the
        // pixels are read again from the first-level cache.
        macro_rules! rows {
            ($from:literal..$to:literal) => {
                // SAFETY: `c < channels`, and every pixel pointer has `channels` elements, beyond which nothing is read.
                unsafe {
                    let mut half = [[V::splat(0.0); T]; $to - $from];
                    for j in 0..T {
                        let mut column = [V::splat(0.0); T];
                        for i in 0..T {
                            column[i] = S::load_left::<V>(pixels[i][j].add(c), rest);
                        }
                        let column = input::<V, T>(column);
                        for i in $from..$to {
                            half[i - $from][j] = column[i];
                        }
                    }
                    for i in $from..$to {
                        let row = input::<V, T>(half[i - $from]);
                        for j in 0..T {
                            row[j].store(v.add((i * T + j) * point_step + c));
                        }
                    }
                }
            };
        }
        in_passes!(T, V, rows);
        c += V::LANES;
    }
}

/// The gradient tile `tile`, transformed as if it were a filter: point `p`, channel `k` to `d[p * point_step + k]`.
///
/// # Safety
///
/// As [`read_input`], with `dy` holding output images.
#[inline(always)]
pub(super) unsafe fn read_gradient<V: Vector, S: Stored, const T: usize, const M: usize>(
    grid: &Grid,
    dy: *const S,
    zeros: *const S,
    channels: usize,
    tile: usize,
    d: *mut f32,
    point_step: usize,
) {
    let (image, top, left) = grid.origin(tile);
    let mut pixels = [[zeros; M]; M];
    for i in 0..M {
        for j in 0..M {
            if top + i < grid.output.0 && left + j < grid.output.1 {
                let pixel = (image * grid.output.0 + top + i) * grid.output.1 + left + j;
                // SAFETY: the pixel lies inside image `image < batch`.
                pixels[i][j] = unsafe { dy.add(pixel * channels) };
            }
        }
    }
    let mut c = 0;
    while c < channels {
        let rest = channels - c;
        // As in `read_input`.
        macro_rules! rows {
            ($from:literal..$to:literal) => {
                // SAFETY: `c < channels`, and every pixel pointer has `channels` elements, beyond which nothing is read.
                unsafe {
                    let mut half = [[V::splat(0.0); M]; $to - $from];
                    for j in 0..M {
                        let mut column = [V::splat(0.0); M];
                        for i in 0..M {
                            column[i] = S::load_left::<V>(pixels[i][j].add(c), rest);
                        }
                        let column = filter::<V, M, T>(column);
                        for i in $from..$to {
                            half[i - $from][j] = column[i];
                        }
                    }
                    for i in $from..$to {
                        let row = filter::<V, M, T>(half[i - $from]);
                        for j in 0..T {
                            row[j].store(d.add((i * T + j) * point_step + c));
                        }
                    }
                }
            };
        }
        in_passes!(T, V, rows);
        c += V::LANES;
    }
}

/// Transforms products at the points back to `M` x `M` outputs and writes those inside the image, plus a bias.
///
/// # Safety
///
/// `m` must be readable for `channels` elements, filled up to whole vectors, at each of the `T * T` points, and `bias` for so
/// many; `y` must hold `grid.batch` output images, of which no other task writes this tile.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "a strided operand, a bias and a result")]
pub(super) unsafe fn write_output<V: Vector, S: Stored, const T: usize, const M: usize>(
    grid: &Grid,
    m: *const f32,
    point_step: usize,
    channels: usize,
    tile: usize,
    bias: *const f32,
    y: Target<S>,
) {
    let (image, top, left) = grid.origin(tile);
    let rows = M.min(grid.output.0 - top);
    let columns = M.min(grid.output.1 - left);
    let mut c = 0;
    while c < channels {
        let rest = channels - c;
        // Rows `$from..$to` of the outputs, as in `read_input`.
        macro_rules! rows {
            ($($row:literal),*) => {
                // SAFETY: `c < channels`; only pixels inside the image are written, of them only the channels left.
                unsafe {
                    let bias = V::load(bias.add(c));
                    let mut half = [[V::splat(0.0); T]; M];
                    for j in 0..T {
                        let mut column = [V::splat(0.0); T];
                        for i in 0..T {
                            column[i] = V::load(m.add((i * T + j) * point_step + c));
                        }
                        let column = output::<V, T, M>(column);
                        $(half[$row][j] = column[$row];)*
                    }
                    for i in [$($row),*] {
                        if i < rows {
                            let row = output::<V, T, M>(half[i]);
                            let first = ((image * grid.output.0 + top + i) * grid.output.1 + left) * channels + c;
                            for j in 0..M {
                                if j < columns {
                                    y.store(row[j].add(bias), first + j * channels, rest);
                                }
                            }
                        }
                    }
                }
            };
        }
        if M == 2 {
            rows!(0, 1);
        } else if V::REGISTERS >= 32 {
            rows!(0, 1, 2, 3);
        } else {
            rows!(0, 2);
            rows!(1, 3);
        }
        c += V::LANES;
    }
}
