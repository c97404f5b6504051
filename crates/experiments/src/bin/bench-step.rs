//! Measures training-step throughput: `just bench-step --help`.

use std::process::ExitCode;

use clap::Parser;
use lookahead_experiments::{BenchFlags, bench_step, exit_with};

fn main() -> ExitCode {
    exit_with(bench_step(&BenchFlags::parse()))
}
