//! The experiment on the embedded data set: `just demo --help`.

use std::process::ExitCode;

use lookahead_experiments::Experiment;

fn main() -> ExitCode {
    lookahead_experiments::main(Experiment::Demo)
}
