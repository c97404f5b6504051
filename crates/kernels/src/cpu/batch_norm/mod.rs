//! Batch norm's four passes: the definition, and the fast form that is held against it.
#![allow(unsafe_code, reason = "vector instructions and output memory that is written before it is read")]
#![allow(clippy::needless_range_loop, reason = "register tiles are indexed by constants, which iterators hide")]

pub(crate) mod reference;
pub(crate) mod vectors;

/// Per-channel numbers of one normalisation pass, in double precision.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moments {
    pub(crate) mean: Vec<f64>,
    /// Biased: divided by the count.
    pub(crate) variance: Vec<f64>,
}

/// `y = max((x - center) * scale + shift + residual, floor)`, channel by channel.
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
