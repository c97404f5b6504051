//! Vector types: kernels are written once and compiled for each instruction set.
#![allow(unsafe_code, reason = "vector instructions")]
#![allow(clippy::needless_range_loop, reason = "register tiles are indexed by constants, which iterators hide")]

mod arithmetic;
mod dispatch;
pub(crate) mod functions;
pub(crate) mod microkernel;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
mod shared;
mod stored;
mod vector;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use arithmetic::Arithmetic;
pub(crate) use dispatch::{dispatch, lanes, panel_vectors};
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Lanes8Neon;
pub(crate) use portable::Array8;
pub(crate) use shared::Shared;
pub(crate) use stored::Stored;
pub(crate) use vector::Vector;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Lanes8, Lanes16};
