//! Batch norm's four passes: the reference, and the fast version that is tested against it.
#![allow(unsafe_code, reason = "vector instructions and output memory that is written before it is read")]
#![allow(clippy::needless_range_loop, reason = "register tiles are indexed by constants, which iterators hide")]

use crate::Activation;

mod backward;
mod forward;
mod mask;
pub(crate) mod reference;
mod rows;

/// The fast version.
pub(crate) mod vectors {
    pub(crate) use super::backward::{backward, gradient_sums};
    pub(crate) use super::forward::{apply, moments};
}
pub(crate) use rows::Sums;

/// Per-channel numbers of one normalisation pass, in double precision.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moments {
    pub(crate) mean: Vec<f64>,
    /// Biased: divided by the count.
    pub(crate) variance: Vec<f64>,
}

/// `(x - center) * scale + shift`, channel by channel.
#[derive(Debug, Clone)]
pub(crate) struct Affine<T> {
    pub(crate) center: Vec<T>,
    pub(crate) scale: Vec<T>,
    pub(crate) shift: Vec<T>,
}

/// The per-channel numbers of batch norm's input gradient.
#[derive(Debug, Clone)]
pub(crate) struct GradientTerms<T> {
    pub(crate) center: Vec<T>,
    pub(crate) scale: Vec<T>,
    pub(crate) slope: Vec<T>,
    pub(crate) offset: Vec<T>,
}

/// How the activation after a batch norm masks a gradient, without reading the output again.
///
/// Without a residual, the activation's argument is recomputed from the input, which is read anyway. With a residual, which
/// only a rectifier follows, one bit per element is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mask<'a, T> {
    /// No activation: the gradient passes unchanged.
    Open,
    /// The derivative of this activation at this affine map of the layer's input.
    Through(Activation, &'a Affine<T>),
    /// The gradient where the element's bit is set, 0 elsewhere; element `i` has bit `i % 8` of byte `i / 8`.
    Bits(&'a [u8]),
}

/// Number of bytes for the bits of `len` elements.
pub(crate) fn mask_bytes(len: usize) -> usize {
    len.div_ceil(8)
}
