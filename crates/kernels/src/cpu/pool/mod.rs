//! Max pools whose windows do not overlap: the definition, and the fast form that is held against it.
#![allow(unsafe_code, reason = "vector instructions")]

pub(crate) mod reference;
pub(crate) mod vectors;
