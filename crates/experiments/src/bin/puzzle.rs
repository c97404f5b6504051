//! Why did Lookahead/AdamW collapse in the original project? `just puzzle --help`; the answer: docs/ADAMW_PUZZLE.md.

use std::process::ExitCode;

use clap::Parser;
use lookahead_experiments::{PuzzleFlags, exit_with, puzzle};

fn main() -> ExitCode {
    exit_with(puzzle(&PuzzleFlags::parse()))
}
