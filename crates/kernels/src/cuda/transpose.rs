//! The launch of a batched transposition; the kernel is in `transpose.cu`.

use crate::cuda::call::{Call, Pointer, int};
use crate::cuda::source::{ElementType, File, Source};

/// The side of the tile that a block transposes, the source's `SIDE`.
const SIDE: usize = 32;

/// Maximum number of blocks in a grid's last two directions; with more tiles of rows or batches, a block takes several.
const MOST: usize = 65_535;

/// (batch, rows, columns) at `from` to (batch, columns, rows) at `to`, of elements of `bytes` bytes: 1, 2, 4 or 8.
///
/// `None` for elements of another size.
pub(crate) fn transpose(
    bytes: usize,
    (batch, rows, columns): (usize, usize, usize),
    from: Pointer,
    to: Pointer,
) -> Option<Call> {
    if !matches!(bytes, 1 | 2 | 4 | 8) {
        return None;
    }
    let source = Source::of(File::Transpose(8 * bytes as u32), ElementType::F32);
    let arguments = vec![from.into(), to.into(), int(batch), int(rows), int(columns)];
    let lines = rows.div_ceil(SIDE).clamp(1, MOST);
    let grid = (columns.div_ceil(SIDE).max(1) as u32, lines as u32, batch.clamp(1, MOST) as u32);
    Some(Call { source, kernel: "transpose", grid, together: false, arguments })
}
