//! The experiment on language: `just language --help`.

use std::process::ExitCode;

use lookahead_experiments::Experiment;

fn main() -> ExitCode {
    lookahead_experiments::main(Experiment::Language)
}
