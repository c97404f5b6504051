//! The part of a run folder that holds tensors, and what is written while a run trains. Everything else of a run folder's
//! formats is in `lookahead-runs`.

mod checkpoint;
mod environment;
mod journal;
mod weights;

pub(crate) use checkpoint::{resume, save, save_weights};
pub use environment::environment;
pub(crate) use environment::kernels;
pub(crate) use journal::Journal;
pub use weights::weights_digest;
