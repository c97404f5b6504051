//! The kernels of f32 and bf16: the vector kernels of the selected instruction set, if the shape allows.

use std::mem::MaybeUninit;

use crate::cpu::activation;
use crate::cpu::batch_norm::{self, Affine, GradientTerms, Mask, Moments, Sums};
use crate::cpu::choose::Kernels;
use crate::cpu::conv::{Epilogue, depthwise, direct, reference, winograd};
use crate::cpu::cross_entropy::{self, Row, Targets};
use crate::cpu::lstm::{self, Gradients, Passed, Window, Written};
use crate::cpu::pool;
use crate::cpu::product::{self, OfColumns, Order, ProductShape};
use crate::cpu::row_norm::{self, Layer, ParameterGradients, RowMoments};
use crate::cpu::simd::Stored;
use crate::plan::{ConvShape, PoolShape};
use crate::settings::{conv_algorithm, instruction_set};
use crate::{Activation, ConvAlgorithm, InstructionSet};

/// The tile side of the selected Winograd algorithm; `None` for direct convolution.
fn winograd_side() -> Option<usize> {
    match conv_algorithm::current() {
        ConvAlgorithm::Winograd4 => Some(4),
        ConvAlgorithm::Winograd2 => Some(2),
        ConvAlgorithm::Direct => None,
    }
}

/// The instruction set, unless it is the reference.
fn vectors() -> Option<InstructionSet> {
    Some(instruction_set::current()).filter(|set| *set != InstructionSet::Reference)
}

impl<S: Stored> Kernels for S {
    fn conv2d_forward(shape: &ConvShape, x: &[S], weight: &[f32], epilogue: Epilogue<'_, S>, y: &mut [MaybeUninit<S>]) {
        match (vectors(), winograd_side()) {
            (Some(set), _) if depthwise::takes(shape) => depthwise::forward(set, shape, x, weight, epilogue, y),
            (Some(set), Some(side)) if winograd::takes(shape) => {
                winograd::forward(set, side, shape, x, weight, epilogue, y);
            }
            (Some(set), _) if direct::takes(shape) => direct::forward(set, shape, x, weight, epilogue, y),
            _ => reference::forward(shape, x, weight, epilogue, y),
        }
    }

    fn conv2d_backward_data(shape: &ConvShape, dy: &[S], weight: &[f32], add: bool, dx: &mut [MaybeUninit<S>]) {
        match (vectors(), winograd_side()) {
            (Some(set), _) if depthwise::takes(shape) => depthwise::backward_data(set, shape, dy, weight, add, dx),
            (Some(set), Some(side)) if winograd::takes(shape) => {
                winograd::backward_data(set, side, shape, dy, weight, add, dx);
            }
            (Some(set), _) if direct::takes(shape) => {
                direct::backward_data(set, shape, dy, weight, add, dx);
            }
            _ => reference::backward_data(shape, dy, weight, add, dx),
        }
    }

    fn conv2d_backward_weight(shape: &ConvShape, x: &[S], dy: &[S], dw: &mut [MaybeUninit<f32>]) {
        match (vectors(), winograd_side()) {
            (Some(set), _) if depthwise::takes(shape) => depthwise::backward_weight(set, shape, x, dy, dw),
            (Some(set), Some(side)) if winograd::takes(shape) => {
                winograd::backward_weight(set, side, shape, x, dy, dw);
            }
            (Some(set), _) if direct::takes(shape) => direct::backward_weight(set, shape, x, dy, dw),
            _ => reference::backward_weight(shape, x, dy, dw),
        }
    }

    fn moments(x: &[S], channels: usize) -> Moments {
        match vectors() {
            Some(set) => batch_norm::vectors::moments(set, x, channels),
            None => batch_norm::reference::moments(x, channels),
        }
    }

    fn normalise(
        x: &[S],
        affine: &Affine<f32>,
        residual: Option<&[S]>,
        after: Option<Activation>,
        y: &mut [MaybeUninit<S>],
        mask: Option<&mut [MaybeUninit<u8>]>,
    ) {
        match vectors() {
            Some(set) => batch_norm::vectors::apply(set, x, affine, residual, after, y, mask),
            None => batch_norm::reference::apply(x, affine, residual, after, y, mask),
        }
    }

    fn gradient_sums(x: &[S], center: &[f32], mask: Mask<'_, f32>, dy: &[S]) -> Sums {
        match vectors() {
            Some(set) => batch_norm::vectors::gradient_sums(set, x, center, mask, dy),
            None => batch_norm::reference::gradient_sums(x, center, mask, dy),
        }
    }

    fn normalise_backward(
        x: &[S],
        terms: &GradientTerms<f32>,
        mask: Mask<'_, f32>,
        dy: &[S],
        dx: &mut [MaybeUninit<S>],
        residual: Option<&mut [MaybeUninit<S>]>,
    ) {
        match vectors() {
            Some(set) => batch_norm::vectors::backward(set, x, terms, mask, dy, dx, residual),
            None => batch_norm::reference::backward(x, terms, mask, dy, dx, residual),
        }
    }

    fn largest(shape: &PoolShape, x: &[S], y: &mut [MaybeUninit<S>], winners: &mut [MaybeUninit<u8>]) {
        match vectors() {
            Some(set) => pool::vectors::largest(set, shape, x, y, winners),
            None => pool::reference::largest(shape, x, y, winners),
        }
    }

    fn spread(shape: &PoolShape, dy: &[S], winners: &[u8], dx: &mut [MaybeUninit<S>]) {
        match vectors() {
            Some(set) => pool::vectors::spread(set, shape, dy, winners, dx),
            None => pool::reference::spread(shape, dy, winners, dx),
        }
    }

    fn activate(activation: Activation, x: &[S], y: &mut [MaybeUninit<S>]) {
        match vectors() {
            Some(set) => activation::vectors::forward(set, activation, x, y),
            None => activation::reference::forward(activation, x, y),
        }
    }

    fn activate_backward(activation: Activation, x: &[S], dy: &[S], dx: &mut [MaybeUninit<S>]) {
        match vectors() {
            Some(set) => activation::vectors::backward(set, activation, x, dy, dx),
            None => activation::reference::backward(activation, x, dy, dx),
        }
    }

    fn cross_entropy(logits: &[S], targets: Targets<'_, f32>, classes: usize, smoothing: f64, rows: &mut [Row]) {
        match vectors() {
            Some(set) => cross_entropy::vectors::forward(set, logits, targets, classes, smoothing, rows),
            None => cross_entropy::reference::forward(logits, targets, classes, smoothing, rows),
        }
    }

    fn cross_entropy_backward(
        logits: &[S],
        targets: Targets<'_, f32>,
        classes: usize,
        smoothing: f64,
        upstream: f64,
        rows: &[Row],
        d_logits: &mut [MaybeUninit<S>],
    ) {
        use crate::cpu::cross_entropy::{reference, vectors as fast};
        match vectors() {
            Some(set) => fast::backward(set, logits, targets, classes, smoothing, upstream, rows, d_logits),
            None => reference::backward(logits, targets, classes, smoothing, upstream, rows, d_logits),
        }
    }

    fn row_norm(layer: &Layer<'_, f32>, x: &[S], moments: &mut [RowMoments<f32>], y: &mut [MaybeUninit<S>]) {
        match vectors() {
            Some(set) => row_norm::vectors::forward(set, layer, x, moments, y),
            None => row_norm::reference::forward(layer, x, moments, y),
        }
    }

    fn row_norm_backward(
        layer: &Layer<'_, f32>,
        x: &[S],
        moments: &[RowMoments<f32>],
        dy: &[S],
        trained: bool,
        dx: &mut [MaybeUninit<S>],
    ) -> ParameterGradients {
        match vectors() {
            Some(set) => row_norm::vectors::backward(set, layer, x, moments, dy, trained, dx),
            None => row_norm::reference::backward(layer, x, moments, dy, trained, dx),
        }
    }

    fn product(
        shape: ProductShape,
        factors: (&[f32], &[f32], Order),
        bias: Option<&[f32]>,
        y: &mut [MaybeUninit<f32>],
    ) {
        match vectors() {
            Some(set) => product::product(set, shape, factors, bias, y),
            None => product::reference::product(shape, factors, bias, y),
        }
    }

    fn product_of_columns(extents: (usize, usize), a: &[f32], products: &mut [OfColumns<'_, f32>]) {
        match vectors() {
            Some(set) => product::product_of_columns(set, extents, a, products),
            None => product::reference::product_of_columns(extents, a, products),
        }
    }

    fn lstm_forward(window: &Window<'_, f32>, written: Written<'_, f32>) {
        match vectors() {
            Some(set) => lstm::forward(set, window, written),
            None => lstm::reference::forward(window, written),
        }
    }

    fn lstm_backward(window: &Window<'_, f32>, passed: &Passed<'_, f32>, gradients: Gradients<'_, f32>) {
        match vectors() {
            Some(set) => lstm::backward(set, window, passed, gradients),
            None => lstm::reference::backward(window, passed, gradients),
        }
    }
}
