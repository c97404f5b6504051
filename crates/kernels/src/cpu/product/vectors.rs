//! `y = a b + bias` on vectors. The second factor is packed in panels of two vectors of columns; a block of a panel stays in
//! the first-level cache while it is multiplied with tiles of rows.

use std::mem::MaybeUninit;

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
    let lanes = lanes(set);
    let padded = columns.next_multiple_of(lanes);
    let mut packed = Buffer::<f32>::take(inner * padded);
    pack(b, order, (inner, columns, padded), 2 * lanes, &mut packed);
    let mut start = vec![0.0; padded];
    if let Some(bias) = bias {
        start[..columns].copy_from_slice(bias);
    }
    // Choose tasks so that all threads have work: no sum depends on the division.
    let (threads, panels) = (rayon::current_num_threads(), padded.div_ceil(2 * lanes));
    let blocks = rows.div_ceil(TASK_ROWS).max(1);
    let groups = (2 * threads).div_ceil(blocks).min(panels);
    let y = Shared::output(y);
    (0..blocks * groups).into_par_iter().with_max_len(1).for_each(|task| {
        let rows = share(rows, blocks, task / groups);
        let panels = share(panels, groups, task % groups);
        let task = Task { inner, columns, padded, a, packed: &packed, start: &start, y };
        // SAFETY: lengths were asserted; rows and panels lie within the extents, and no other task writes them.
        unsafe { multiply(set, &task, rows.start, rows.end, panels.start, panels.end) };
    });
}

/// Panels of `panel` columns, (panel, inner, panel), the last one as wide as what is left of `padded`; zeros beyond the columns.
pub(crate) fn pack(
    b: &[f32],
    order: Order,
    (inner, columns, padded): (usize, usize, usize),
    panel: usize,
    packed: &mut [f32],
) {
    assert!(b.len() == inner * columns && packed.len() == inner * padded, "panels");
    if packed.is_empty() {
        return;
    }
    packed.par_chunks_mut(inner * panel).enumerate().for_each(|(index, packed)| {
        let width = panel.min(padded - index * panel);
        let (first, taken) = (index * panel, width.min(columns - index * panel));
        if taken < width {
            packed.fill(0.0);
        }
        match order {
            Order::Rows => {
                for (row, to) in b.chunks_exact(columns).zip(packed.chunks_exact_mut(width)) {
                    to[..taken].copy_from_slice(&row[first..][..taken]);
                }
            }
            // A few rows of the panel at a time, which stay in the cache.
            Order::Columns => {
                for (block, to) in packed.chunks_mut(16 * width).enumerate() {
                    for column in 0..taken {
                        let from = &b[(first + column) * inner + 16 * block..][..to.len() / width];
                        for (from, to) in from.iter().zip(to[column..].iter_mut().step_by(width)) {
                            *to = *from;
                        }
                    }
                }
            }
        }
    });
}

/// Data shared by all tasks.
struct Task<'a> {
    inner: usize,
    columns: usize,
    padded: usize,
    a: &'a [f32],
    packed: &'a [f32],
    /// Initial values of the sums, padded to whole vectors.
    start: &'a [f32],
    y: Shared,
}

dispatch! {
    /// Rows from `first` to `last` of the panels from `panel` to `end`.
    fn multiply(task: &Task<'_>, first: usize, last: usize, panel: usize, end: usize) = multiply_body
}

#[inline(always)]
unsafe fn multiply_body<V: Vector>(task: &Task<'_>, first: usize, last: usize, panel: usize, end: usize) {
    let mut block = 0;
    loop {
        let len = BLOCK.min(task.inner - block);
        for panel in panel..end {
            let column = panel * 2 * V::LANES;
            // SAFETY: the caller's contract.
            unsafe {
                if task.padded - column >= 2 * V::LANES {
                    panel_rows::<V, 2>(task, (first, last), column, (block, len));
                } else {
                    panel_rows::<V, 1>(task, (first, last), column, (block, len));
                }
            }
        }
        block += len;
        if block >= task.inner {
            return;
        }
    }
}

#[inline(always)]
unsafe fn panel_rows<V: Vector, const NR: usize>(
    task: &Task<'_>,
    (first, last): (usize, usize),
    column: usize,
    (block, len): (usize, usize),
) {
    let count = last - first;
    for index in 0..count.div_ceil(V::TILE_ROWS) {
        let tile = share(count, count.div_ceil(V::TILE_ROWS), index);
        let row = first + tile.start;
        macro_rules! tile {
            ($rows:literal) => {
                // SAFETY: the tile's rows lie within `a` and `y`, its panel within the packed columns; only lanes within the
                // columns are read from and written to the output.
                unsafe {
                    let y = task.y.at(row * task.columns + column);
                    let left = task.columns - column;
                    let mut acc = [[V::splat(0.0); NR]; $rows];
                    for i in 0..$rows {
                        for j in 0..NR {
                            acc[i][j] = match block {
                                0 => V::load(task.start.as_ptr().add(column + j * V::LANES)),
                                _ => f32::load_left::<V>(
                                    y.add(i * task.columns + j * V::LANES),
                                    left - j * V::LANES,
                                ),
                            };
                        }
                    }
                    let mut rows = [task.a.as_ptr(); $rows];
                    for i in 0..$rows {
                        rows[i] = task.a.as_ptr().add((row + i) * task.inner + block);
                    }
                    let panel = task.packed.as_ptr().add(column * task.inner + block * NR * V::LANES);
                    reduce::<V, $rows, NR>(&mut acc, rows, panel, len);
                    for i in 0..$rows {
                        for j in 0..NR {
                            let to = y.add(i * task.columns + j * V::LANES);
                            f32::store_left(acc[i][j], to, left - j * V::LANES);
                        }
                    }
                }
            };
        }
        tile_of!(tile.len(), V::TILE_ROWS, tile);
    }
}
