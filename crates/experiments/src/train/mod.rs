//! Training: the loop and its parts.

mod gradients;
mod interrupt;
mod judge;
mod losses;
mod memory;
mod run;
mod setup;
mod summary;
mod task;
#[cfg(test)]
mod tests;
mod watch;

pub use gradients::Gradients;
pub use interrupt::Interrupt;
pub(crate) use memory::{peak_mib, reset_peak};
pub use run::{LoopOptions, train, train_from};
pub use setup::Setup;
pub use task::{ByClass, Evaluation, Images, Judge, Language, Task, task};
pub use watch::{Unwatched, Watch};
