//! The experiment on ImageNet: `just imagenet --help`.

use std::process::ExitCode;

use lookahead_experiments::Experiment;

fn main() -> ExitCode {
    lookahead_experiments::main(Experiment::Imagenet)
}
