//! The launch of a batched transposition; the kernel is in `transpose.cu`.

use crate::cuda::call::{Call, Pointer, int};
use crate::cuda::source::{ElementType, File, Source};

/// The side of the tile that a block turns around, the source's `SIDE`.
const SIDE: usize = 32;

/// The most blocks a grid may have in its last two directions.
const MOST: usize = 65_535;

/// (batch, rows, columns) at `from` to (batch, columns, rows) at `to`, of elements of `bytes` bytes: 1, 2, 4 or 8.
///
/// None where rows are more than two million, which no image and no filter has.
pub(crate) fn transpose(
    bytes: usize,
    (batch, rows, columns): (usize, usize, usize),
    from: Pointer,
    to: Pointer,
) -> Option<Call> {
    let lines = rows.div_ceil(SIDE);
    if lines > MOST || !matches!(bytes, 1 | 2 | 4 | 8) {
        return None;
    }
    let source = Source::of(File::Transpose(8 * bytes as u32), ElementType::F32);
    let arguments = vec![from.into(), to.into(), int(batch), int(rows), int(columns)];
    let grid = (columns.div_ceil(SIDE).max(1) as u32, lines.max(1) as u32, batch.clamp(1, MOST) as u32);
    Some(Call { source, kernel: "transpose", grid, together: false, arguments })
}
