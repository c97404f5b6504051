//! The exit status of a program.

use std::process::ExitCode;

use lookahead_report::console::note;

use crate::error::Result;

/// Prints an error in one line and turns it into the exit status of [`Error::exit_status`](crate::Error::exit_status).
pub fn exit_with(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&format!("error: {}", error.to_string().replace('\n', " ")));
            ExitCode::from(error.exit_status())
        }
    }
}
