//! Divides a convolution into tasks, depending only on the problem, not on the number of threads.

use super::Frame;

/// Minimum number of tasks, if there are enough rows.
const TASKS: usize = 16;
/// Output pixels per task for small images, which are combined so that each read of the weights serves this many pixels.
const TASK_PIXELS: usize = 64;
/// Maximum number of elements of a frame, so that it stays in a core's cache.
const FRAME_LEN: usize = 1 << 17;

/// One task: some images, or some rows of one image.
pub(super) struct Task {
    pub(super) image: usize,
    pub(super) images: usize,
    /// First row of every class, and the number of rows.
    pub(super) first_row: usize,
    pub(super) rows: usize,
}

/// The division into tasks.
pub(super) struct Cut {
    batch: usize,
    /// Images per task; 1 if a task is part of an image.
    pub(super) images: usize,
    /// Rows of a class in a task.
    pub(super) rows: usize,
    /// Tasks that share an image.
    parts: usize,
    /// Distance between framed images of a task, in elements.
    pub(super) framed_len: usize,
}

impl Cut {
    /// The division for classes with this many rows and columns. Each row reads `reach` rows of the frame, `read_step` apart. A
    /// bare frame is the image itself and is not copied.
    pub(super) fn new(
        batch: usize,
        (rows, columns): (usize, usize),
        frame: &Frame,
        read_step: usize,
        reach: usize,
        bare: bool,
    ) -> Self {
        let images = (TASK_PIXELS / (rows * columns)).min(batch / TASKS).max(1);
        let whole_rows = rows;
        let mut rows = rows;
        if images == 1 {
            rows = rows.div_ceil(TASKS.div_ceil(batch.max(1))).max((TASK_PIXELS / 2).div_ceil(columns)).min(rows);
            if !bare {
                rows = rows.min((FRAME_LEN / (read_step * frame.row_len())).max(1));
            }
            // The same number of parts, of equal size.
            rows = whole_rows.div_ceil(whole_rows.div_ceil(rows));
        }
        let framed_rows = if bare { frame.whole.0 } else { frame.whole.0.min((rows - 1) * read_step + reach) };
        let framed_len = framed_rows * frame.row_len();
        Self { batch, images, rows, parts: whole_rows.div_ceil(rows), framed_len }
    }

    pub(super) fn tasks(&self) -> usize {
        self.batch.div_ceil(self.images) * self.parts
    }

    pub(super) fn task(&self, index: usize) -> Task {
        let image = index / self.parts * self.images;
        let images = self.images.min(self.batch - image);
        Task { image, images, first_row: index % self.parts * self.rows, rows: self.rows }
    }
}
