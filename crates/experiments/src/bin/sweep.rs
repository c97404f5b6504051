//! Trains a study's settings and ranks them by held-out images: `just sweep --help`.

use std::process::ExitCode;

use clap::Parser;
use lookahead_experiments::{SweepFlags, exit_with, sweep};

fn main() -> ExitCode {
    exit_with(sweep(&SweepFlags::parse()))
}
