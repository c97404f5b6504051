//! Memory of kernels: outputs that are written before they are read, and buffers that live across steps.
#![allow(unsafe_code, reason = "output memory that is written before it is read")]

mod output;
mod values;
mod workspace;

pub(crate) use output::{as_output, assume_init, assume_init_mut, fill, uninit};
pub(crate) use values::{Place, Values};
pub use workspace::release_workspace;
pub(crate) use workspace::{Buffer, Pooled};
