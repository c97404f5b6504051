//! The reference, for every processor.

use super::{Rows, SLACK, Weights};
use crate::CHANNELS;

/// Scales each row: (rows, outputs, 3) with [`SLACK`] after each.
pub(super) fn across(source: Rows<'_>, weights: &Weights, out: &mut [u8]) {
    let stride = weights.starts.len() * CHANNELS + SLACK;
    for (y, out) in out.chunks_exact_mut(stride).take(source.part.size.height).enumerate() {
        let row = &source.from(y)[..source.part.size.width * CHANNELS];
        let pixels = row.as_chunks::<CHANNELS>().0;
        for ((start, pairs), out) in weights.outputs().zip(out.as_chunks_mut::<CHANNELS>().0) {
            let mut sums = [weights.half(); CHANNELS];
            // Weights past the end of the source are 0.
            for (&weight, pixel) in pairs.as_flattened().iter().zip(&pixels[start..]) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(weight) * i32::from(value);
                }
            }
            *out = sums.map(|sum| byte(sum, weights.precision));
        }
    }
}

/// Scales each column of `rows`, (rows, stride) bytes.
pub(super) fn down(rows: &[u8], stride: usize, weights: &Weights, out: &mut [u8]) {
    let width = stride - SLACK;
    for ((start, pairs), out) in weights.outputs().zip(out.chunks_exact_mut(width)) {
        columns(rows, stride, weights, (start, pairs), 0, out);
    }
}

/// One row of [`down`], from column `first` on.
pub(super) fn columns(
    rows: &[u8],
    stride: usize,
    weights: &Weights,
    (start, pairs): (usize, &[[i16; 2]]),
    first: usize,
    out: &mut [u8],
) {
    for (x, out) in out.iter_mut().enumerate().skip(first) {
        let column = rows[start * stride + x..].iter().step_by(stride);
        let products = pairs.as_flattened().iter().zip(column).map(|(&w, &value)| i32::from(w) * i32::from(value));
        *out = byte(weights.half() + products.sum::<i32>(), weights.precision);
    }
}

/// A sum as a byte, clamped: weights are rounded one by one, so they may add up to slightly more than 1.
fn byte(sum: i32, precision: u32) -> u8 {
    (sum >> precision).clamp(0, 255) as u8
}
