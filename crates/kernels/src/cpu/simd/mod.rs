//! Kernels written once and run with the instructions at hand.
#![allow(unsafe_code, reason = "vector instructions")]
#![allow(clippy::needless_range_loop, reason = "register tiles are indexed by constants, which iterators hide")]

mod arithmetic;
pub(crate) mod functions;
pub(crate) mod microkernel;
#[cfg(target_arch = "aarch64")]
mod neon;
mod stored;
mod vector;

pub(crate) use arithmetic::Arithmetic;
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Lanes8Neon;
pub(crate) use stored::Stored;
pub(crate) use vector::{Array8, Shared, Vector, dispatch, lanes, panel_vectors};
#[cfg(target_arch = "x86_64")]
pub(crate) use vector::{Lanes8, Lanes16};
