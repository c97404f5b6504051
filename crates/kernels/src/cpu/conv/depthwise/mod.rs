//! Depthwise convolution on vectors of channels: each channel has its own filter.
//!
//! Every value is read and multiplied only a few times, so memory bandwidth limits the speed. Images are read in place,
//! without a frame, all channels of a few neighbouring pixels at a time. Neighbouring taps of a filter row form a line, whose
//! inputs are shared in registers by neighbouring outputs.

mod gather;
mod weight;

use crate::plan::ConvShape;

pub(crate) use gather::{backward_data, forward};
pub(crate) use weight::backward_weight;

/// Whether this family supports the convolution: as many groups as channels and filters.
pub(crate) fn takes(shape: &ConvShape) -> bool {
    shape.groups > 1 && shape.groups == shape.channels_in && shape.groups == shape.channels_out && shape.batch > 0
}

/// Neighbouring taps of a filter row: where the first one reads, relative to the output pixel's position in the read image,
/// and its weight.
#[derive(Debug, Clone, Copy)]
struct Line {
    row: isize,
    column: isize,
    weight: usize,
}

/// Reorders taps (by their index in the filter) to (tap, channel), with the channels padded with zeros.
fn pack(weight: &[f32], taps: usize, order: &[usize], padded: usize) -> Vec<f32> {
    let mut packed = vec![0.0; order.len() * padded];
    for (packed, tap) in packed.chunks_exact_mut(padded).zip(order) {
        for (packed, filter) in packed.iter_mut().zip(weight.chunks_exact(taps)) {
            *packed = filter[*tap];
        }
    }
    packed
}
