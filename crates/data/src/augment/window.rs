//! A rectangle of an image, possibly mirrored or reaching past the border: the common form of crops and flips.
//!
//! Crops and flips move pixels without changing them. They are combined into one window, which is copied once, straight into the batch.

use super::Border;
use crate::{CHANNELS, ImageSize, ImageView};

/// A window on a source: pixel (y, x) of the result is pixel (top + y, left + x) of the source, with columns reversed if `mirrored`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) top: isize,
    pub(crate) left: isize,
    pub(crate) size: ImageSize,
    pub(crate) border: Border,
    pub(crate) mirrored: bool,
}

impl Window {
    /// The whole of an image of `size`.
    pub(crate) fn whole(size: ImageSize) -> Self {
        Self { top: 0, left: 0, size, border: Border::Zero, mirrored: false }
    }

    /// True if the window is the whole source, not mirrored.
    pub(crate) fn is_whole(&self, source: ImageSize) -> bool {
        !self.mirrored && (self.top, self.left, self.size) == (0, 0, source)
    }

    /// The mirrored window.
    pub(crate) fn flipped(self) -> Self {
        Self { mirrored: !self.mirrored, ..self }
    }

    /// Copies the window of `source` into `out`, (H, W, 3) of the window's size.
    pub(crate) fn copy(&self, source: ImageView<'_>, out: &mut [u8]) {
        for (y, out) in out.chunks_exact_mut(self.size.width * CHANNELS).enumerate() {
            match self.border.place(self.top + y as isize, source.size().height) {
                Some(y) => self.copy_row(source.row(y), out),
                None => out.fill(0),
            }
        }
    }

    fn copy_row(&self, row: &[u8], out: &mut [u8]) {
        let source_width = (row.len() / CHANNELS) as isize;
        let width = self.size.width as isize;
        // Columns [first, last) of the unmirrored result lie inside the source.
        let first = (-self.left).clamp(0, width);
        let last = (source_width - self.left).clamp(first, width);
        let inside = &row[((self.left + first).max(0) as usize).min(row.len() / CHANNELS) * CHANNELS..];
        let inside = &inside[..(last - first) as usize * CHANNELS];
        if self.mirrored {
            let target = &mut out[(width - last) as usize * CHANNELS..(width - first) as usize * CHANNELS];
            let reversed = inside.as_chunks::<CHANNELS>().0.iter().rev();
            for (to, from) in target.as_chunks_mut::<CHANNELS>().0.iter_mut().zip(reversed) {
                *to = *from;
            }
        } else {
            out[first as usize * CHANNELS..last as usize * CHANNELS].copy_from_slice(inside);
        }
        for x in (0..first).chain(last..width) {
            let to = if self.mirrored { width - 1 - x } else { x } as usize * CHANNELS;
            let pixel = match self.border.place(self.left + x, source_width as usize) {
                Some(x) => [row[x * CHANNELS], row[x * CHANNELS + 1], row[x * CHANNELS + 2]],
                None => [0; CHANNELS],
            };
            out[to..to + CHANNELS].copy_from_slice(&pixel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;

    /// Pixels numbered as one reads, red 0, 10, 20 .. in 2 rows of 3.
    fn numbered() -> Image {
        Image::new(ImageSize::new(2, 3), (0..6).flat_map(|i| [i * 10, i * 10 + 1, i * 10 + 2]).collect()).unwrap()
    }

    fn reds(window: Window) -> Vec<u8> {
        let mut out = vec![77; window.size.bytes()];
        window.copy(numbered().view(), &mut out);
        assert!(out.chunks_exact(3).all(|p| p == [0; 3] || (p[1] == p[0] + 1 && p[2] == p[0] + 2)), "channels moved");
        out.iter().step_by(3).copied().collect()
    }

    fn window(top: isize, left: isize, height: usize, width: usize) -> Window {
        Window { top, left, size: ImageSize::new(height, width), border: Border::Zero, mirrored: false }
    }

    #[test]
    fn inside_and_over_the_border() {
        assert_eq!(reds(window(0, 1, 2, 2)), [10, 20, 40, 50]);
        assert_eq!(reds(window(-1, -1, 3, 3)), [0, 0, 0, 0, 0, 10, 0, 30, 40]);
        assert_eq!(reds(window(1, 1, 2, 3)), [40, 50, 0, 0, 0, 0]);
        assert_eq!(reds(window(1, 5, 1, 2)), [0, 0]);
    }

    #[test]
    fn mirrored_after_the_cut() {
        assert_eq!(reds(window(0, 1, 2, 2).flipped()), [20, 10, 50, 40]);
        assert_eq!(reds(window(0, -1, 1, 3).flipped()), [10, 0, 0]);
        assert_eq!(reds(Window::whole(ImageSize::new(2, 3)).flipped()), [20, 10, 0, 50, 40, 30]);
    }

    #[test]
    fn reflected_without_repeating_the_edge() {
        let reflect = |w: Window| reds(Window { border: Border::Reflect, ..w });
        assert_eq!(reflect(window(0, -2, 1, 7)), [20, 10, 0, 10, 20, 10, 0]);
        assert_eq!(reflect(window(-1, 0, 4, 1)), [30, 0, 30, 0]);
        assert_eq!(reflect(window(0, -2, 1, 4).flipped()), [10, 0, 10, 20]);
    }
}
