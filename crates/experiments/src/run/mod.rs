//! The parts of a run folder that hold tensors, and the files written during training. All other formats of a run folder
//! are in `lookahead-runs`.

mod checkpoint;
mod environment;
mod journal;
mod weights;

pub(crate) use checkpoint::{resume, save, save_weights};
pub use environment::environment;
pub(crate) use environment::kernels;
pub(crate) use journal::Journal;
pub use weights::weights_digest;
