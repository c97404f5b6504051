//! A matrix of pixels by channels, and its division among blocks; the kernels' common code is in `columns.cu`.

use crate::cuda::call::{Argument, Call, Pointer, int};
use crate::cuda::source::{ElementType, File, Source};

/// Number of parts of the rows of all tiles, if there are enough rows: the number of blocks that an H100 runs at a time. Not
/// measured.
const PARTS: usize = 132 * 4;

/// Minimum number of rows per part.
const PART_ROWS: usize = 128;

/// One row per pixel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix {
    pub(crate) rows: usize,
    pub(crate) channels: usize,
    pub(crate) element: ElementType,
    pub(crate) parameter: ElementType,
}

impl Matrix {
    /// Channels per block.
    fn tile(&self) -> usize {
        self.channels.next_power_of_two().min(32)
    }

    fn tiles(&self) -> usize {
        self.channels.div_ceil(self.tile())
    }

    /// Number of parts of the rows, and rows per part: depends only on the extents, so that sums do not depend on the device.
    fn parts(&self) -> (usize, usize) {
        let parts = (PARTS / self.tiles()).max(1).min(self.rows.div_ceil(PART_ROWS)).max(1);
        let rows = self.rows.div_ceil(parts).max(1);
        (self.rows.div_ceil(rows).max(1), rows)
    }

    /// Number of doubles for the partial sums.
    pub(crate) fn partials(&self) -> usize {
        2 * self.parts().0 * self.channels
    }

    pub(crate) fn bytes(&self) -> usize {
        self.rows * self.channels * self.element.bytes()
    }

    /// Elements per access of a thread, as rows and addresses allow: 16 bytes, except for f64.
    pub(crate) fn pack(&self, pointers: &[Pointer]) -> u32 {
        let widest: &[u32] = match self.element {
            ElementType::F32 => &[4],
            ElementType::F64 => &[],
            ElementType::Bf16 => &[8, 4],
        };
        let fits = |pack: &&u32| {
            let bytes = u64::from(**pack) * self.element.bytes() as u64;
            self.channels.is_multiple_of(**pack as usize)
                && pointers.iter().all(|pointer| pointer.0.is_multiple_of(bytes))
        };
        widest.iter().find(fits).copied().unwrap_or(1)
    }

    /// A launch of a kernel in `file`. With `blocks`, the maximum that run at the same time, blocks may wait for one another.
    pub(crate) fn call(
        &self,
        file: File,
        kernel: &'static str,
        blocks: Option<usize>,
        arguments: Vec<Argument>,
    ) -> Call {
        let source = Source { file, element: self.element, parameter: self.parameter };
        let (tiles, parts) = (self.tiles(), self.parts().0);
        // Blocks that wait for one another must all run at the same time: with more tiles and parts, each processes several.
        let (across, down) = match blocks {
            Some(blocks) => {
                let across = tiles.min(blocks.max(1));
                (across, parts.min(blocks / across).max(1))
            }
            None => (tiles, parts),
        };
        Call { source, kernel, grid: (across as u32, down as u32, 1), together: blocks.is_some(), arguments }
    }

    pub(crate) fn extents(&self) -> [Argument; 5] {
        let (parts, rows_per_part) = self.parts();
        [self.rows, self.channels, self.tile(), parts, rows_per_part].map(int)
    }
}
