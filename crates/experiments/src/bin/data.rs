//! Downloads, verifies and unpacks a data set: `just data --help`.

use std::process::ExitCode;

use clap::Parser;
use lookahead_experiments::{FetchFlags, exit_with, fetch};

fn main() -> ExitCode {
    exit_with(fetch(&FetchFlags::parse()))
}
