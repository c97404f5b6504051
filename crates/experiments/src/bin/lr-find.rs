//! Learning-rate range test: `just lr-find --help`.

use std::process::ExitCode;

use lookahead_experiments::{RangeFlags, exit_with, lr_find};

fn main() -> ExitCode {
    exit_with(lr_find(&RangeFlags::parse_arguments()))
}
