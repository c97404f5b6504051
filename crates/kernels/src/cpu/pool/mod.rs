//! Max pools with windows that do not overlap: the reference, and the fast version that is tested against it.
#![allow(unsafe_code, reason = "vector instructions")]

pub(crate) mod reference;
pub(crate) mod vectors;
