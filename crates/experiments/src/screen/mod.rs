//! Output for the user during a run.

mod counting;
mod line;
mod progress;
mod terminal;
pub mod tui;

pub(crate) use counting::Counting;
pub(crate) use terminal::width;

pub use progress::{Progress, RunProgress};
