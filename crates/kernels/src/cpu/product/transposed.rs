//! `y = a^T b` on vectors, for weight gradients: an outer product for every row of both factors, summed over the rows.

use rayon::prelude::*;

use crate::InstructionSet;
use crate::cpu::memory::Buffer;
use crate::cpu::product::{OfColumns, Order, pack, share, tile_of};
use crate::cpu::simd::microkernel::outer;
use crate::cpu::simd::{Shared, Stored, Vector, dispatch, lanes};

/// Rows of the result that a task forms: a multiple of the tiles' rows.
const SLAB: usize = 48;
/// Outer products that are summed in registers before the sums go to memory.
const BLOCK: usize = 512;

/// See [`crate::cpu::product::reference::product_of_columns`].
pub(crate) fn product_of_columns(
    set: InstructionSet,
    (rows, inner): (usize, usize),
    a: &[f32],
    products: &mut [OfColumns<'_, f32>],
) {
    assert!(a.len() == rows * inner, "lengths");
    products.iter().for_each(|product| product.check(rows, inner));
    let lanes = lanes(set);
    let products: Vec<Packed> = products
        .iter_mut()
        .map(|OfColumns { b, columns, y }| {
            let padded = columns.next_multiple_of(lanes);
            let mut packed = Buffer::<f32>::take(inner * padded);
            pack(b, Order::Rows, (inner, *columns, padded), 2 * lanes, &mut packed);
            Packed { columns: *columns, padded, packed, y: Shared::output(y) }
        })
        .collect();
    (0..rows.div_ceil(SLAB)).into_par_iter().with_max_len(1).for_each(|index| {
        let first = index * SLAB;
        let count = SLAB.min(rows - first);
        let mut slab = Buffer::<f32>::take(BLOCK * SLAB);
        let mut block = 0;
        loop {
            let len = BLOCK.min(inner - block);
            // The task's columns of a block of `a`, contiguous.
            for (row, to) in slab.chunks_exact_mut(SLAB).take(len).enumerate() {
                to[..count].copy_from_slice(&a[(block + row) * rows + first..][..count]);
            }
            for product in &products {
                let sum = Sum { inner, product, first, count, slab: &slab, block, len };
                // SAFETY: lengths were asserted: the slab holds `len` rows, the panels `inner`; these rows of `y` are this task's own.
                unsafe { sum_block(set, &sum) };
            }
            block += len;
            if block >= inner {
                break;
            }
        }
    });
}

/// A second factor in panels, and where the product goes.
struct Packed {
    columns: usize,
    padded: usize,
    packed: Buffer<f32>,
    y: Shared,
}

/// One block of a task.
struct Sum<'a> {
    inner: usize,
    product: &'a Packed,
    /// Rows of `y`: the first, and how many.
    first: usize,
    count: usize,
    /// (len, `SLAB`).
    slab: &'a [f32],
    /// First row of both factors, and how many; sums are added to what is there from the second block on.
    block: usize,
    len: usize,
}

dispatch! {
    /// All tiles of a block.
    fn sum_block(sum: &Sum<'_>) = sum_block_body
}

#[inline(always)]
unsafe fn sum_block_body<V: Vector>(sum: &Sum<'_>) {
    let padded = sum.product.padded;
    let mut column = 0;
    while column < padded {
        // SAFETY: the caller's contract.
        unsafe {
            if padded - column >= 2 * V::LANES {
                sum_panel::<V, 2>(sum, column);
                column += 2 * V::LANES;
            } else {
                sum_panel::<V, 1>(sum, column);
                column += V::LANES;
            }
        }
    }
}

#[inline(always)]
unsafe fn sum_panel<V: Vector, const NR: usize>(sum: &Sum<'_>, column: usize) {
    let Packed { columns, packed, y, .. } = sum.product;
    let columns = *columns;
    for index in 0..sum.count.div_ceil(V::TILE_ROWS) {
        let tile = share(sum.count, sum.count.div_ceil(V::TILE_ROWS), index);
        macro_rules! tile {
            ($rows:literal) => {
                // SAFETY: the tile's rows lie within the slab and `y`, its panel within the packed columns; only lanes within
                // the columns are read from and written to the output.
                unsafe {
                    let y = y.at((sum.first + tile.start) * columns + column);
                    let left = columns - column;
                    let mut acc = [[V::splat(0.0); NR]; $rows];
                    if sum.block > 0 {
                        for i in 0..$rows {
                            for j in 0..NR {
                                let from = y.add(i * columns + j * V::LANES);
                                acc[i][j] = f32::load_left::<V>(from, left - j * V::LANES);
                            }
                        }
                    }
                    let a = sum.slab.as_ptr().add(tile.start);
                    let width = NR * V::LANES;
                    let b = packed.as_ptr().add(column * sum.inner + sum.block * width);
                    outer::<V, $rows, NR>(&mut acc, a, SLAB, b, width, sum.len);
                    for i in 0..$rows {
                        for j in 0..NR {
                            let to = y.add(i * columns + j * V::LANES);
                            f32::store_left(acc[i][j], to, left - j * V::LANES);
                        }
                    }
                }
            };
        }
        tile_of!(tile.len(), V::TILE_ROWS, tile);
    }
}
