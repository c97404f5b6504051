//! What the user sees while it runs.

mod progress;
pub mod tui;

pub use progress::{Progress, RunProgress};
