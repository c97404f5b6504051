//! What the user sees while it runs.

mod counting;
mod progress;
pub mod tui;

pub(crate) use counting::Counting;
pub use progress::{Progress, RunProgress};
