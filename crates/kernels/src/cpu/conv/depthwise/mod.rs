//! Depthwise convolution on vectors of channels: each channel has a filter of its own.
//!
//! Every value is read a few times and multiplied a few times, so memory sets the pace: images are read where they lie, without
//! a frame, all channels of some neighbouring pixels at a time. Taps that are neighbours in a filter row make a line, whose
//! inputs neighbouring outputs share in registers.

mod gather;
mod weight;

use crate::plan::ConvShape;

pub(crate) use gather::{backward_data, forward};
pub(crate) use weight::backward_weight;

/// Whether this family computes such a convolution: as many groups as channels and filters.
pub(crate) fn takes(shape: &ConvShape) -> bool {
    shape.groups > 1 && shape.groups == shape.channels_in && shape.groups == shape.channels_out && shape.batch > 0
}

/// Neighbouring taps of a filter row: where the first one reads, relative to an output pixel's place in the read image, and
/// which weight it meets.
#[derive(Debug, Clone, Copy)]
struct Line {
    row: isize,
    column: isize,
    weight: usize,
}

/// Taps (by their index in the filter) to (tap, channel), the channels filled up with zeros.
fn pack(weight: &[f32], taps: usize, order: &[usize], padded: usize) -> Vec<f32> {
    let mut packed = vec![0.0; order.len() * padded];
    for (packed, tap) in packed.chunks_exact_mut(padded).zip(order) {
        for (packed, filter) in packed.iter_mut().zip(weight.chunks_exact(taps)) {
            *packed = filter[*tap];
        }
    }
    packed
}
