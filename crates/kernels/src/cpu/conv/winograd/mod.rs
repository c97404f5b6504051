//! Winograd convolution for 3x3 filters and stride 1: forward, data gradient and weight gradient from one family.
//!
//! An output tile of M x M depends on an input tile of (M + 2) x (M + 2). Input and filter are transformed to a domain of
//! (M + 2)^2 points, where the convolution is one matrix product over the channels per point, and the result is transformed
//! back. The data gradient is the same with the filter rotated and transposed. For the weight gradient, the tile of `dy` is
//! the filter, and the products are summed over tiles.
//!
//! With few channels, a task processes one block of tiles at a time in a core's cache (private). With many, all threads
//! process a chunk of tiles phase by phase, with the points divided among them, so that a point's weights stay in a core's
//! cache (phased). The bound between the two was measured on processors with 2 MB of second-level cache per core.

mod filters;
mod finish;
mod forward;
mod tile;
mod transform;
mod weight;
#[cfg(test)]
mod weight_work;

use crate::plan::ConvShape;

pub(crate) use forward::{backward_data, forward};
pub(crate) use weight::backward_weight;
#[cfg(test)]
pub(super) use weight_work::work as weight_gradient_work;

/// Minimum number of channels for which the transforms, which work on whole vectors, pay off.
const LEAST_CHANNELS: usize = 12;

/// Whether this family supports the convolution: 3x3, stride 1, enough channels, padding up to 2.
pub(crate) fn takes(shape: &ConvShape) -> bool {
    let window = shape.window;
    window.kernel == (3, 3)
        && window.stride == 1
        && window.padding <= 2
        && window.dilation == 1
        && shape.groups == 1
        && shape.channels_in >= LEAST_CHANNELS
        && shape.channels_out >= LEAST_CHANNELS
        && shape.batch > 0
}

/// Maximum product of channel counts for which a block of tiles and its products stay in a core's cache while the weights
/// are streamed.
const PRIVATE_CHANNELS: usize = 128 * 128;
