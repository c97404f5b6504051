//! A tensor as a matrix whose columns are channels, for batch norm's kernels.

use crate::InstructionSet;
use crate::cpu::simd::lanes;

/// Elements per task: small enough for a core's cache while the columns are processed group by group. Independent of the
/// number of threads.
const TASK_ELEMENTS: usize = 1 << 16;
/// Maximum row width for processing several vectors at once.
const WIDEST: usize = 1 << 12;

/// A tensor as a matrix whose rows are whole vectors, plus a remainder.
///
/// A row is one pixel if its channels fill vectors, otherwise the smallest number of pixels that does. The per-channel
/// numbers are repeated along it. The remainder, less than a row, is processed number by number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows {
    /// Numbers per row: a multiple of the channels and of the vectors processed at once.
    pub(super) width: usize,
    /// Vectors processed at once: 4 or 1.
    pub(super) vectors: usize,
    channels: usize,
    /// Numbers in all rows.
    pub(super) len: usize,
}

impl Rows {
    pub(super) fn new(set: InstructionSet, channels: usize, len: usize) -> Self {
        let lanes = lanes(set);
        let wide = least_common_multiple(channels, 4 * lanes);
        let (width, vectors) =
            if wide <= channels.max(WIDEST) { (wide, 4) } else { (least_common_multiple(channels, lanes), 1) };
        Self { width, vectors, channels, len: len / width * width }
    }

    /// Elements of a task: whole rows.
    pub(super) fn task(&self) -> usize {
        (TASK_ELEMENTS / self.width).max(1) * self.width
    }

    /// Per-channel numbers, repeated to the width of a row.
    pub(super) fn widened(&self, values: &[f32]) -> Vec<f32> {
        values.iter().copied().cycle().take(self.width).collect()
    }

    /// Adds the tasks' pairs of columns of sums in their order, and folds the columns to channels.
    pub(super) fn total(&self, tasks: Vec<Sums>) -> Sums {
        let mut columns = Sums::zeros(self.width);
        for task in tasks {
            for column in 0..self.width {
                columns.first[column] += task.first[column];
                columns.second[column] += task.second[column];
            }
        }
        let mut total = Sums::zeros(self.channels);
        for column in 0..self.width {
            total.first[column % self.channels] += columns.first[column];
            total.second[column % self.channels] += columns.second[column];
        }
        total
    }
}

/// Two sums of every column or channel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sums {
    pub(crate) first: Vec<f64>,
    pub(crate) second: Vec<f64>,
}

impl Sums {
    pub(crate) fn zeros(len: usize) -> Self {
        Self { first: vec![0.0; len], second: vec![0.0; len] }
    }
}

fn least_common_multiple(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_whole_pixels_and_whole_vectors() {
        for channels in (1..200).chain([256, 300, 512, 1009, 2048, 5000]) {
            let rows = Rows::new(InstructionSet::Portable, channels, 7 * channels * 1000 + 3 * channels);
            assert!(rows.width.is_multiple_of(channels) && rows.width.is_multiple_of(8 * rows.vectors), "{channels}");
            assert!(rows.task().is_multiple_of(rows.width) && rows.len.is_multiple_of(rows.width));
        }
        assert_eq!(Rows::new(InstructionSet::Portable, 16, 1 << 20).width, 32);
        assert_eq!(Rows::new(InstructionSet::Portable, 24, 1 << 20).width, 96);
        assert_eq!(Rows::new(InstructionSet::Portable, 64, 1 << 20).width, 64);
    }
}
