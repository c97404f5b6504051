//! Direct convolution on vectors of output channels: any kernel, stride, padding, dilation, groups and channels.
//!
//! Weights are packed in panels of two vectors of output channels, the last one padded with zeros; results for the padding
//! are computed but not written. Images are copied once into a frame of zeros, so that the inner loops have no edge cases.

mod engine;
mod gather;
mod tasks;
mod weight;

use std::ops::Range;

use crate::cpu::simd::Stored;
use crate::plan::ConvShape;

pub(crate) use gather::{backward_data, forward};
pub(crate) use weight::backward_weight;
#[cfg(test)]
pub(super) use weight::work as weight_gradient_work;

/// Whether this family supports the convolution: all except those with padding many times the image.
pub(crate) fn takes(shape: &ConvShape) -> bool {
    let padding = shape.window.padding;
    shape.batch > 0 && padding <= MOST_PADDING.max(2 * shape.input.0.min(shape.input.1))
}

/// Maximum padding for which any image gets a frame.
const MOST_PADDING: usize = 32;

/// An image in a frame of zeros.
#[derive(Debug, Clone, Copy)]
struct Frame {
    /// Extents of the image.
    image: (usize, usize),
    /// Rows above and columns left of it.
    before: usize,
    /// Extents of the whole frame.
    whole: (usize, usize),
    channels: usize,
}

impl Frame {
    fn len(&self) -> usize {
        self.whole.0 * self.whole.1 * self.channels
    }

    fn row_len(&self) -> usize {
        self.whole.1 * self.channels
    }

    /// Whether the frame is the image itself.
    fn is_bare(&self) -> bool {
        self.before == 0 && self.whole == self.image
    }

    /// Copies rows `rows` of the frame from the image as f32, without pixels outside the frame, and clears the rest.
    ///
    /// The image has `step` channels; the frame holds those from `first` on.
    fn fill<S: Stored>(&self, image: &[S], (step, first): (usize, usize), rows: Range<usize>, framed: &mut [f32]) {
        let columns = self.image.1.min(self.whole.1 - self.before);
        let (start, end) = (self.before * self.channels, (self.before + columns) * self.channels);
        for (row, framed) in rows.zip(framed.chunks_exact_mut(self.row_len())) {
            let source = row.wrapping_sub(self.before);
            if source >= self.image.0 {
                framed.fill(0.0);
                continue;
            }
            framed[..start].fill(0.0);
            framed[end..].fill(0.0);
            let (image, framed) = (&image[source * self.image.1 * step..], &mut framed[start..end]);
            if step == self.channels {
                widen(&image[..end - start], framed);
            } else {
                for (from, to) in image.chunks_exact(step).zip(framed.chunks_exact_mut(self.channels)) {
                    widen(&from[first..][..self.channels], to);
                }
            }
        }
    }
}

/// Copies activations as f32.
fn widen<S: Stored>(from: &[S], to: &mut [f32]) {
    match S::as_f32(from) {
        Some(from) => to.copy_from_slice(from),
        None => {
            for (to, from) in to.iter_mut().zip(from) {
                *to = from.to_f32();
            }
        }
    }
}
