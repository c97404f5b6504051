//! Forward pass and data gradient: every output pixel gathers from a framed image.
//!
//! An output pixel is a sum over runs: contiguous ranges of the framed image times rows of the packed weights. The forward
//! pass has one run per filter row, since the pixels of a row are neighbours. The data gradient of stride s has s * s classes
//! of pixels, by their position modulo s, each with its own taps.

use std::mem::MaybeUninit;

use super::Frame;
use super::engine::{Class, Extents, Run, run_all};
use crate::InstructionSet;
use crate::cpu::conv::epilogue::{Epilogue, Target};
use crate::cpu::conv::packing::{tap_input_output, tap_output_input};
use crate::cpu::simd::Stored;
use crate::plan::ConvShape;

/// `y` from `x`: see [`crate::cpu::conv::reference::forward`].
pub(crate) fn forward<S: Stored>(
    set: InstructionSet,
    shape: &ConvShape,
    x: &[S],
    weight: &[f32],
    epilogue: Epilogue<'_, S>,
    y: &mut [MaybeUninit<S>],
) {
    assert!(x.len() == shape.x_len() && y.len() == shape.y_len(), "activation lengths");
    let (from, to, window) = (shape.group_inputs(), shape.group_outputs(), shape.window);
    let frame = Frame {
        image: shape.input,
        before: window.padding,
        whole: (shape.input.0 + 2 * window.padding, shape.input.1 + 2 * window.padding),
        channels: shape.channels_in,
    };
    // The taps of a filter row are one run if they are contiguous.
    let joined = if shape.groups == 1 && window.dilation == 1 { window.kernel.1 } else { 1 };
    let mut runs = Vec::new();
    for r in 0..window.kernel.0 {
        for s in (0..window.kernel.1).step_by(joined) {
            let offset = r * window.dilation * frame.row_len() + s * window.dilation * frame.channels;
            runs.push(Run { offset, row: (r * window.kernel.1 + s) * from, len: joined * from });
        }
    }
    let class = Class::new((0, 0), shape.output, &runs);
    let (output, read_step, groups) = (shape.output, window.stride, shape.groups);
    let extents = Extents { frame, output, read_step, write_step: 1, groups, from, to };
    let pack = |weight: &[f32], by_tap: &mut [f32]| tap_input_output(weight, to, from, shape.taps(), by_tap);
    run_all(set, extents, vec![class], pack, (x, weight, epilogue.bias), Target::output(y, epilogue));
}

/// `dx` from `dy`, added to what `dx` holds if `add`: see [`crate::cpu::conv::reference::backward_data`].
pub(crate) fn backward_data<S: Stored>(
    set: InstructionSet,
    shape: &ConvShape,
    dy: &[S],
    weight: &[f32],
    add: bool,
    dx: &mut [MaybeUninit<S>],
) {
    assert!(dy.len() == shape.y_len() && dx.len() == shape.x_len(), "activation lengths");
    let (from, to, window) = (shape.group_outputs(), shape.group_inputs(), shape.window);
    let (stride, dilation) = (window.stride, window.dilation);
    // Input row iy meets tap r at output row (iy + padding - r * dilation) / stride, if that is whole. The frame reaches from
    // the smallest such row, which may be negative, to the largest.
    let reach = |kernel: usize, extent: usize| {
        let before = ((kernel - 1) * dilation).saturating_sub(window.padding).div_ceil(stride);
        (before, before + (extent - 1 + window.padding) / stride + 1)
    };
    let (before_rows, rows) = reach(window.kernel.0, shape.input.0);
    let (before_columns, columns) = reach(window.kernel.1, shape.input.1);
    let before = before_rows.max(before_columns);
    let whole = (rows + before - before_rows, columns + before - before_columns);
    // At least the image itself, which may have rows that no input pixel reaches.
    let whole = (whole.0.max(before + shape.output.0), whole.1.max(before + shape.output.1));
    let frame = Frame { image: shape.output, before, whole, channels: shape.channels_out };
    let mut classes = Vec::with_capacity(stride.min(shape.input.0) * stride.min(shape.input.1));
    for py in 0..stride.min(shape.input.0) {
        for px in 0..stride.min(shape.input.1) {
            // Where tap r of the class's first pixel reads, in frame coordinates: never negative by the choice of `before`.
            let at = |parity: usize, tap: usize| {
                let reached = (parity + window.padding + stride * before).checked_sub(tap * dilation)?;
                reached.is_multiple_of(stride).then_some(reached / stride)
            };
            let mut runs = Vec::new();
            for r in 0..window.kernel.0 {
                for s in 0..window.kernel.1 {
                    if let (Some(row), Some(column)) = (at(py, r), at(px, s)) {
                        let offset = row * frame.row_len() + column * frame.channels;
                        runs.push(Run { offset, row: (r * window.kernel.1 + s) * from, len: from });
                    }
                }
            }
            let extent = ((shape.input.0 - py).div_ceil(stride), (shape.input.1 - px).div_ceil(stride));
            classes.push(Class::new((py, px), extent, &runs));
        }
    }
    let extents =
        Extents { frame, output: shape.input, read_step: 1, write_step: stride, groups: shape.groups, from, to };
    let pack = |weight: &[f32], by_tap: &mut [f32]| tap_output_input(weight, from, to, shape.taps(), false, by_tap);
    run_all(set, extents, classes, pack, (dy, weight, None), Target::gradient(dx, add));
}
