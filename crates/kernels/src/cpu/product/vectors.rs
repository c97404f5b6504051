//! `y = a b + bias` on vectors. The second factor is packed in panels of two vectors of columns; a block of a panel stays in
//! the first-level cache while it is multiplied with tiles of rows.

use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use crate::InstructionSet;
use crate::cpu::memory::Buffer;
use crate::cpu::product::{Order, ProductShape, share, tile_of};
use crate::cpu::simd::microkernel::reduce;
use crate::cpu::simd::{Shared, Stored, Vector, dispatch, lanes};

/// Rows of a panel that are summed in registers before the sums go to memory.
const BLOCK: usize = 256;
/// Maximum number of rows per task: with a block of columns, they stay in the second-level cache.
const TASK_ROWS: usize = 192;

/// See [`crate::cpu::product::reference::product`].
pub(crate) fn product(
    set: InstructionSet,
    shape: ProductShape,
    (a, b, order): (&[f32], &[f32], Order),
    bias: Option<&[f32]>,
    y: &mut [MaybeUninit<f32>],
) {
    let ProductShape { rows, inner, columns } = shape;
    assert!(a.len() == rows * inner && b.len() == inner * columns && y.len() == rows * columns, "lengths");
    assert!(bias.is_none_or(|bias| bias.len() == columns), "bias");
    if y.is_empty() {
        return;
    }
    let second = Panels::new(set, (inner, columns), (b, order), bias);
    // Choose tasks so that all threads have work: no sum depends on the division.
    let (threads, panels) = (rayon::current_num_threads(), second.count());
    let blocks = rows.div_ceil(TASK_ROWS).max(1);
    let groups = (2 * threads).div_ceil(blocks).min(panels);
    let product = Product { a: Shared::input(a), second: &second, y: Shared::output(y) };
    (0..blocks * groups).into_par_iter().with_max_len(1).for_each(|task| {
        let rows = share(rows, blocks, task / groups);
        let panels = share(panels, groups, task % groups);
        // SAFETY: lengths were asserted; rows and panels lie within the extents, and no other task writes them.
        unsafe { multiply(set, product, rows, panels) };
    });
}

/// The second factor of a product, packed, and the initial values of the sums.
pub(crate) struct Panels {
    inner: usize,
    columns: usize,
    /// Columns, padded to whole vectors.
    padded: usize,
    /// Columns of a panel: two vectors.
    panel: usize,
    packed: Buffer<f32>,
    /// The bias or zeros, a value for each of `padded`.
    start: Vec<f32>,
}

impl Panels {
    /// Packs `b` of (inner, columns), for vectors of `set`.
    pub(crate) fn new(
        set: InstructionSet,
        (inner, columns): (usize, usize),
        (b, order): (&[f32], Order),
        bias: Option<&[f32]>,
    ) -> Self {
        let (panel, padded) = (2 * lanes(set), columns.next_multiple_of(lanes(set)));
        let mut packed = Buffer::<f32>::take(inner * padded);
        pack(&[b], order, (inner, columns, padded), panel, &mut packed);
        let mut start = vec![0.0; padded];
        if let Some(bias) = bias {
            start[..columns].copy_from_slice(bias);
        }
        Self { inner, columns, padded, panel, packed, start }
    }

    pub(crate) fn count(&self) -> usize {
        self.padded.div_ceil(self.panel)
    }
}

/// A product that several tasks compute.
#[derive(Clone, Copy)]
pub(crate) struct Product<'a> {
    pub(crate) a: Shared,
    pub(crate) second: &'a Panels,
    pub(crate) y: Shared,
}

/// Panels of `panel` columns, (panel, inner, panel), the last one as wide as what is left of `padded`; zeros beyond the columns.
///
/// `b` may come in pieces that follow one another, each of whole rows in memory.
pub(crate) fn pack(
    b: &[&[f32]],
    order: Order,
    (inner, columns, padded): (usize, usize, usize),
    panel: usize,
    packed: &mut [f32],
) {
    let len: usize = b.iter().map(|piece| piece.len()).sum();
    assert!(len == inner * columns && packed.len() == inner * padded, "panels");
    assert!(order == Order::Rows || b.len() == 1, "pieces");
    if packed.is_empty() {
        return;
    }
    packed.par_chunks_mut(inner * panel).enumerate().for_each(|(index, packed)| {
        let width = panel.min(padded - index * panel);
        let (first, taken) = (index * panel, width.min(columns - index * panel));
        match order {
            Order::Rows => {
                if taken < width {
                    packed.fill(0.0);
                }
                let rows = b.iter().flat_map(|piece| piece.chunks_exact(columns));
                for (row, to) in rows.zip(packed.chunks_exact_mut(width)) {
                    to[..taken].copy_from_slice(&row[first..][..taken]);
                }
            }
            Order::Columns => {
                transpose(width, |column| (column < taken).then(|| &b[0][(first + column) * inner..][..inner]), packed)
            }
        }
    });
}

/// Most rows that are transposed at once.
const MOST_ROWS: usize = 64;
/// Elements of a row that are transposed at once: a cache line.
const LINE: usize = 16;

/// Writes these rows of equal length as columns: `to` is (length, `count`). A row that is missing is zeros.
///
/// Lines of all rows are copied side by side first: rows that are a power of two apart would push each other out of the cache.
pub(crate) fn transpose<'a>(count: usize, row: impl Fn(usize) -> Option<&'a [f32]>, to: &mut [f32]) {
    assert!(count <= MOST_ROWS, "{count} rows");
    let mut lines = [[0.0; LINE]; MOST_ROWS];
    for (block, to) in to.chunks_mut(LINE * count).enumerate() {
        let len = to.len() / count;
        for (index, line) in lines[..count].iter_mut().enumerate() {
            match row(index) {
                Some(row) => line[..len].copy_from_slice(&row[LINE * block..][..len]),
                None => line.fill(0.0),
            }
        }
        for (at, to) in to.chunks_exact_mut(count).enumerate() {
            for (to, line) in to.iter_mut().zip(&lines) {
                *to = line[at];
            }
        }
    }
}

dispatch! {
    /// See [`multiply_rows`].
    fn multiply(product: Product<'_>, rows: Range<usize>, panels: Range<usize>) = multiply_rows
}

/// These rows of these panels.
///
/// # Safety
///
/// The panels must have been packed for `V`'s instruction set and belong to the second factor. The rows must lie within `a` and `y`; nobody
/// may write those of `a`, or touch those of `y`, meanwhile.
#[inline(always)]
pub(crate) unsafe fn multiply_rows<V: Vector>(product: Product<'_>, rows: Range<usize>, panels: Range<usize>) {
    let (inner, padded) = (product.second.inner, product.second.padded);
    let mut block = 0;
    loop {
        let len = BLOCK.min(inner - block);
        for panel in panels.clone() {
            let column = panel * 2 * V::LANES;
            // SAFETY: the caller's contract.
            unsafe {
                if padded - column >= 2 * V::LANES {
                    panel_rows::<V, 2>(product, rows.clone(), column, (block, len));
                } else {
                    panel_rows::<V, 1>(product, rows.clone(), column, (block, len));
                }
            }
        }
        block += len;
        if block >= inner {
            return;
        }
    }
}

#[inline(always)]
unsafe fn panel_rows<V: Vector, const NR: usize>(
    product: Product<'_>,
    rows: Range<usize>,
    column: usize,
    (block, len): (usize, usize),
) {
    let Panels { inner, columns, packed, start, .. } = product.second;
    let (inner, columns) = (*inner, *columns);
    for index in 0..rows.len().div_ceil(V::TILE_ROWS) {
        let tile = share(rows.len(), rows.len().div_ceil(V::TILE_ROWS), index);
        let row = rows.start + tile.start;
        macro_rules! tile {
            ($rows:literal) => {
                // SAFETY: the tile's rows lie within `a` and `y`, its panel within the packed columns; only lanes within the
                // columns are read from and written to the output.
                unsafe {
                    let y = product.y.at(row * columns + column);
                    let left = columns - column;
                    let mut acc = [[V::splat(0.0); NR]; $rows];
                    for i in 0..$rows {
                        for j in 0..NR {
                            acc[i][j] = match block {
                                0 => V::load(start.as_ptr().add(column + j * V::LANES)),
                                _ => f32::load_left::<V>(
                                    y.add(i * columns + j * V::LANES),
                                    left - j * V::LANES,
                                ),
                            };
                        }
                    }
                    let mut factors = [std::ptr::null(); $rows];
                    for i in 0..$rows {
                        factors[i] = product.a.at((row + i) * inner + block).cast_const();
                    }
                    let panel = packed.as_ptr().add(column * inner + block * NR * V::LANES);
                    reduce::<V, $rows, NR>(&mut acc, factors, panel, len);
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

#[cfg(test)]
mod tests {
    #[test]
    fn rows_become_columns() {
        // More than two lines of three rows, and one more element.
        let rows: Vec<Vec<f32>> = (0..3).map(|row| (0..33).map(|at| (100 * row + at) as f32).collect()).collect();
        let mut to = [f32::NAN; 3 * 33];
        super::transpose(3, |row| Some(&rows[row]), &mut to);
        assert_eq!(to[..6], [0.0, 100.0, 200.0, 1.0, 101.0, 201.0]);
        assert_eq!(to[3 * 32..], [32.0, 132.0, 232.0]);
        assert!(to.iter().enumerate().all(|(at, value)| *value == rows[at % 3][at / 3]));
    }
}
