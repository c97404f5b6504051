//! The experiment on CIFAR-100: `just cifar100 --help`.

use std::process::ExitCode;

use lookahead_experiments::Experiment;

fn main() -> ExitCode {
    lookahead_experiments::main(Experiment::Cifar100)
}
