//! Selects kernels: the fast ones for f32 and bf16 if the shape allows, otherwise the reference ones.

mod vectors;

use std::mem::MaybeUninit;

use crate::Activation;
use crate::cpu::activation;
use crate::cpu::batch_norm::{self, Affine, GradientTerms, Mask, Moments, Sums};
use crate::cpu::conv::{Epilogue, reference};
use crate::cpu::cross_entropy::{self, Row, Targets};
use crate::cpu::element::Element;
use crate::cpu::lstm::{self, Gradients, Passed, Window, Written};
use crate::cpu::pool;
use crate::cpu::product::{self, OfColumns, Order, ProductShape};
use crate::cpu::row_norm::{self, Layer, ParameterGradients, RowMoments};
use crate::plan::{ConvShape, PoolShape};

/// The kernels of an element type: by default the reference ones, overridden where faster ones exist.
///
/// Activations are channels-last; weights are in candle's order (O, I, Kh, Kw). Kernels write all of their outputs.
pub(crate) trait Kernels: Element {
    fn conv2d_forward(
        shape: &ConvShape,
        x: &[Self],
        weight: &[Self::Accumulator],
        epilogue: Epilogue<'_, Self>,
        y: &mut [MaybeUninit<Self>],
    ) {
        reference::forward(shape, x, weight, epilogue, y);
    }

    /// Adds to the content of `dx` if `add`; all of it must then be initialised.
    fn conv2d_backward_data(
        shape: &ConvShape,
        dy: &[Self],
        weight: &[Self::Accumulator],
        add: bool,
        dx: &mut [MaybeUninit<Self>],
    ) {
        reference::backward_data(shape, dy, weight, add, dx);
    }

    fn conv2d_backward_weight(shape: &ConvShape, x: &[Self], dy: &[Self], dw: &mut [MaybeUninit<Self::Accumulator>]) {
        reference::backward_weight(shape, x, dy, dw);
    }

    fn moments(x: &[Self], channels: usize) -> Moments {
        batch_norm::reference::moments(x, channels)
    }

    fn normalise(
        x: &[Self],
        affine: &Affine<Self::Accumulator>,
        residual: Option<&[Self]>,
        after: Option<Activation>,
        y: &mut [MaybeUninit<Self>],
        mask: Option<&mut [MaybeUninit<u8>]>,
    ) {
        batch_norm::reference::apply(x, affine, residual, after, y, mask);
    }

    /// Per channel, the sums of the masked `dy` and of that times `x - center`.
    fn gradient_sums(x: &[Self], center: &[Self::Accumulator], mask: Mask<'_, Self::Accumulator>, dy: &[Self]) -> Sums {
        batch_norm::reference::gradient_sums(x, center, mask, dy)
    }

    /// `dx = scale * g + slope * (x - center) + offset` of the masked `dy`, `g`; and `g` itself to `residual`.
    fn normalise_backward(
        x: &[Self],
        terms: &GradientTerms<Self::Accumulator>,
        mask: Mask<'_, Self::Accumulator>,
        dy: &[Self],
        dx: &mut [MaybeUninit<Self>],
        residual: Option<&mut [MaybeUninit<Self>]>,
    ) {
        batch_norm::reference::backward(x, terms, mask, dy, dx, residual);
    }

    /// The largest value of each window of a max pool whose windows do not overlap, and its tap.
    fn largest(shape: &PoolShape, x: &[Self], y: &mut [MaybeUninit<Self>], winners: &mut [MaybeUninit<u8>]) {
        pool::reference::largest(shape, x, y, winners);
    }

    fn spread(shape: &PoolShape, dy: &[Self], winners: &[u8], dx: &mut [MaybeUninit<Self>]) {
        pool::reference::spread(shape, dy, winners, dx);
    }

    fn activate(activation: Activation, x: &[Self], y: &mut [MaybeUninit<Self>]) {
        activation::reference::forward(activation, x, y);
    }

    fn activate_backward(activation: Activation, x: &[Self], dy: &[Self], dx: &mut [MaybeUninit<Self>]) {
        activation::reference::backward(activation, x, dy, dx);
    }

    /// The loss of each row, and the values needed for its gradient.
    fn cross_entropy(
        logits: &[Self],
        targets: Targets<'_, Self::Accumulator>,
        classes: usize,
        smoothing: f64,
        rows: &mut [Row],
    ) {
        cross_entropy::reference::forward(logits, targets, classes, smoothing, rows);
    }

    /// The gradient of the logits; `upstream` is the gradient of each row's loss.
    fn cross_entropy_backward(
        logits: &[Self],
        targets: Targets<'_, Self::Accumulator>,
        classes: usize,
        smoothing: f64,
        upstream: f64,
        rows: &[Row],
        d_logits: &mut [MaybeUninit<Self>],
    ) {
        cross_entropy::reference::backward(logits, targets, classes, smoothing, upstream, rows, d_logits);
    }

    /// Layer norm or RMS norm, and the moments of each row that the backward pass needs.
    fn row_norm(
        layer: &Layer<'_, Self::Accumulator>,
        x: &[Self],
        moments: &mut [RowMoments<Self::Accumulator>],
        y: &mut [MaybeUninit<Self>],
    ) {
        row_norm::reference::forward(layer, x, moments, y);
    }

    /// The gradient of the input, and those of the parameters if they are `trained`.
    fn row_norm_backward(
        layer: &Layer<'_, Self::Accumulator>,
        x: &[Self],
        moments: &[RowMoments<Self::Accumulator>],
        dy: &[Self],
        trained: bool,
        dx: &mut [MaybeUninit<Self>],
    ) -> ParameterGradients {
        row_norm::reference::backward(layer, x, moments, dy, trained, dx)
    }

    /// `a b + bias`.
    fn product(
        shape: ProductShape,
        factors: (&[Self::Accumulator], &[Self::Accumulator], Order),
        bias: Option<&[Self::Accumulator]>,
        y: &mut [MaybeUninit<Self::Accumulator>],
    ) {
        product::reference::product(shape, factors, bias, y);
    }

    /// `a^T b` for each of the products.
    fn product_of_columns(
        extents: (usize, usize),
        a: &[Self::Accumulator],
        products: &mut [OfColumns<'_, Self::Accumulator>],
    ) {
        product::reference::product_of_columns(extents, a, products);
    }

    fn lstm_forward(window: &Window<'_, Self::Accumulator>, written: Written<'_, Self::Accumulator>) {
        lstm::reference::forward(window, written);
    }

    fn lstm_backward(
        window: &Window<'_, Self::Accumulator>,
        passed: &Passed<'_, Self::Accumulator>,
        gradients: Gradients<'_, Self::Accumulator>,
    ) {
        lstm::reference::backward(window, passed, gradients);
    }
}

impl Kernels for f64 {}
