//! Convolution: the reference, and the fast versions that are tested against it.
#![allow(unsafe_code, reason = "vector instructions and output memory that is written before it is read")]
#![allow(clippy::needless_range_loop, reason = "register tiles are indexed by constants, which iterators hide")]

#[cfg(test)]
mod balance;
pub(crate) mod depthwise;
pub(crate) mod direct;
mod epilogue;
mod packing;
pub(crate) mod reference;
pub(crate) mod winograd;

pub(crate) use epilogue::Epilogue;
