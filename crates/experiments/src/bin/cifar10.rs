//! The experiment on CIFAR-10: `just cifar10 --help`.

use std::process::ExitCode;

use lookahead_experiments::Experiment;

fn main() -> ExitCode {
    lookahead_experiments::main(Experiment::Cifar10)
}
