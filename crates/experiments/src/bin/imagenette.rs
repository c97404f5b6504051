//! The experiment on Imagenette or a folder of class folders: `just imagenette --help`.

use std::process::ExitCode;

use lookahead_experiments::Experiment;

fn main() -> ExitCode {
    lookahead_experiments::main(Experiment::Imagenette)
}
