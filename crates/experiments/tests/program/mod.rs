//! A program as somebody runs it.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::Path;
use std::process::{Command, Output};

/// Small enough for a test: 4 steps of ResNet-20, on all images.
pub(crate) const SMALL: &[&str] = &[
    "--optimizers",
    "sgd",
    "--seeds",
    "1",
    "--epochs",
    "1",
    "--batch-size",
    "16",
    "--limit-train",
    "64",
    "--limit-valid",
    "32",
    "--set",
    "data.held_out=0",
];

/// Runs a program in `folder` without network: proxies and hub point at a closed port.
pub(crate) fn run(program: &str, folder: &Path, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env_remove("LOOKAHEAD_DATA")
        .envs(["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "HF_ENDPOINT"].map(|name| (name, "http://127.0.0.1:9")))
        .output()
        .unwrap()
}

pub(crate) fn demo(folder: &Path, arguments: &[&str]) -> Output {
    run(env!("CARGO_BIN_EXE_demo"), folder, &[SMALL, arguments].concat())
}

/// The last line of standard error, once the status and the absence of panics are checked.
#[allow(dead_code, reason = "each test file is a crate of its own, and some need only what succeeds")]
#[track_caller]
pub(crate) fn fails_with(output: &Output, status: i32) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    let line = text.lines().find(|line| line.starts_with("error: ")).unwrap_or_default().to_owned();
    assert!(!line.is_empty(), "no line starts with `error: `: {text}");
    assert!(output.stdout.is_empty(), "a table was printed");
    line
}
