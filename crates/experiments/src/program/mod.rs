//! The programs.

mod bench_step;
mod check;
mod data;
mod download;
mod exit;
mod experiment;
mod fetch;
mod flags;
mod lr_find;
mod origin;
mod puzzle;
mod range;
mod runs;
mod sweep;
mod text;
mod threads;

pub use bench_step::{BenchFlags, bench_step};
pub use data::{Place, data_root, open as open_data};
pub use exit::exit_with;
pub use experiment::{main, run};
pub use fetch::{FetchFlags, fetch};
pub use flags::{Flags, Seeds};
pub use lr_find::{RangeFlags, lr_find};
pub use puzzle::{PuzzleFlags, puzzle};
pub use sweep::{Shard, SweepFlags, sweep};
