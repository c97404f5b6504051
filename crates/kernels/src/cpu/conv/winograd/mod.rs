//! Winograd convolution for 3x3 filters and stride 1: forward, data gradient and weight gradient from one family.
//!
//! An output tile of M x M comes from an input tile of (M + 2) x (M + 2): both are carried into a domain of (M + 2)^2 points,
//! where the convolution is one matrix product over the channels per point, and the result is carried back. The data
//! gradient is the same with the filter turned and transposed. For the weight gradient the tile of `dy` is the filter, and
//! the products are summed over tiles.
//!
//! Small channel counts work tile block by tile block in a core's own cache (private); large ones a phase at a time over a
//! chunk of tiles, the points spread over the threads, so that a point's weights stay in a core's cache (phased).
//! The bound between them was found by measurement, on processors with 2 MB of second-level cache a core.

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

/// Channels from which on the transforms, which work on whole vectors, are worth their while.
const LEAST_CHANNELS: usize = 12;

/// Whether this family computes such a convolution: 3x3, stride 1, not too few channels, padding up to 2.
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

/// Products of channels up to which a block of tiles and its products stay in a core's cache with the weights streaming by.
const PRIVATE_CHANNELS: usize = 128 * 128;
