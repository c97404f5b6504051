//! Direct convolution on vectors of output channels: any kernel, stride and padding.
//!
//! The forward pass takes any number of input channels and output channels that fill vectors; the data gradient the other
//! way round. Images are copied into a frame of zeros once, so that the inner loops know no edges.

mod gather;
mod weight;

use crate::cpu::simd::Stored;
use crate::plan::ConvShape;

pub(crate) use gather::{backward_data, forward};
pub(crate) use weight::backward_weight;
#[cfg(test)]
pub(super) use weight::work as weight_gradient_work;

/// Whether the forward pass and the weight gradient of such a convolution run here.
pub(crate) fn takes(shape: &ConvShape) -> bool {
    shape.channels_out.is_multiple_of(16) && shape.batch > 0
}

/// Whether its data gradient does.
pub(crate) fn takes_backward_data(shape: &ConvShape) -> bool {
    shape.channels_in.is_multiple_of(16) && shape.batch > 0
}

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

    /// Whether the frame is the image itself.
    fn is_bare(&self) -> bool {
        self.before == 0 && self.whole == self.image
    }

    /// Copies the image into the frame as f32, leaving out what lies beyond it, and clears the rest.
    fn fill<S: Stored>(&self, image: &[S], framed: &mut [f32]) {
        let row_len = self.whole.1 * self.channels;
        let columns = self.image.1.min(self.whole.1 - self.before);
        for (row, framed) in framed.chunks_exact_mut(row_len).enumerate() {
            let source = row.wrapping_sub(self.before);
            if source >= self.image.0 {
                framed.fill(0.0);
                continue;
            }
            let (start, end) = (self.before * self.channels, (self.before + columns) * self.channels);
            framed[..start].fill(0.0);
            widen(&image[source * self.image.1 * self.channels..][..end - start], &mut framed[start..end]);
            framed[end..].fill(0.0);
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
