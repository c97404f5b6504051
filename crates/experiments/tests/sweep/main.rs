//! Sweeps: every cell once, whoever runs it and whatever happens to them.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod cells;
mod final_runs;
mod processes;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const SWEEP: &str = env!("CARGO_BIN_EXE_sweep");

/// Six cells of six steps.
const STUDY: &str = "experiment = \"demo\"\nseeds = [1, 2]\nfinal_seeds = [7, 8]\n\
    [fixed]\ntrain = { epochs = 1, batch_size = 8 }\ndata = { limit_train = 60, limit_valid = 20 }\n\
    [[rows]]\nrow = \"sgd\"\naxes.learning_rate = [0.01, 0.05, 0.1]\n";

fn sweep(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(SWEEP);
    command.arg("study.toml").args(["--threads", "1"]).args(arguments).current_dir(folder);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn study(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("study.toml"), text).unwrap();
    folder
}

#[track_caller]
fn ends_with(output: &Output, status: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{out}{err}");
    assert!(!err.contains("panicked"), "{err}");
    (out, err)
}

/// Changes a JSON file.
fn edit(file: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let mut value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    change(&mut value);
    fs::write(file, value.to_string()).unwrap();
}

/// The final weights of each cell.
fn weights(folder: &Path) -> BTreeMap<String, String> {
    let cells = fs::read_dir(folder.join("runs/studies/study")).unwrap().filter_map(|cell| {
        let cell = cell.unwrap();
        let summary: serde_json::Value =
            serde_json::from_slice(&fs::read(cell.path().join("summary.json")).ok()?).unwrap();
        assert_eq!(summary["split"], "valid", "a cell read the test images");
        Some((cell.file_name().into_string().unwrap(), summary["weights_sha256"].as_str()?.to_owned()))
    });
    cells.collect()
}
