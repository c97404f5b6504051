//! Learning-rate range test: `just lr-find --help`.

use std::process::ExitCode;

use lookahead_experiments::{RangeFlags, exit_with, find_learning_rate};

fn main() -> ExitCode {
    exit_with(find_learning_rate(&RangeFlags::parse_arguments()))
}
