//! Training: the loop, and what it is made of.

mod evaluate;
mod gradients;
mod interrupt;
mod judge;
mod losses;
mod memory;
mod run;
mod setup;
mod sheet;
mod summary;
#[cfg(test)]
mod tests;
mod views;
mod watch;

pub use evaluate::{Evaluation, evaluate};
pub use gradients::{Gradients, Task};
pub use interrupt::Interrupt;
pub(crate) use memory::{peak_mib, reset_peak};
pub use run::{LoopOptions, train, train_from};
pub use setup::Setup;
pub use watch::{Unwatched, Watch};
