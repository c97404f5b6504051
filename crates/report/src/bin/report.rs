//! The program `report`: tables and the interactive page from run folders.
//!
//! `just report` reads every experiment in `runs`; `just report runs/cifar10` reads one. It writes the page beside the
//! runs, the table to standard output, and notes on what was left out to standard error. Finished, running and damaged
//! runs may be mixed.

use std::process::ExitCode;

use clap::Parser as _;
use lookahead_report::command::{Arguments, run};
use lookahead_report::console::note;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&format!("error: {}", error.to_string().replace('\n', " ")));
            ExitCode::from(error.exit_status())
        }
    }
}
