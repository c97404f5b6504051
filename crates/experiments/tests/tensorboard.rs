//! What a run writes for TensorBoard, read by TensorBoard's own reader. Says so when it skips.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[path = "../../runs/tests/reader/mod.rs"]
mod reader;

use std::process::Command;

use reader::read;
use serde_json::{Value, json};

/// A run's own files: everything that the loop tells TensorBoard.
#[test]
fn a_run_of_the_demo_is_listed_with_scalars_text_and_image() {
    let root = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_demo"))
        .args(["--optimizers", "lookahead-sgd", "--seeds", "1", "--epochs", "2", "--batch-size", "16"])
        .args(["--limit-train", "64", "--limit-valid", "32", "--log-every", "2", "--quiet", "--out", "runs"])
        .args(["--set", "data.held_out=0"])
        .current_dir(root.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let folder = root.path().join("runs/demo/lookahead-sgd-keep-s1");
    let Some(found) = read(&folder) else { return };
    let steps = |tag: &str| -> Vec<u64> {
        let points = found["scalars"][tag].as_array().unwrap_or_else(|| panic!("{tag} is not in {found}"));
        points.iter().map(|point| point[1].as_u64().unwrap()).collect()
    };
    for tag in ["train/loss", "train/learning_rate", "train/momentum", "train/images_per_second"] {
        assert_eq!(steps(tag), [1, 3, 5, 7], "{tag}");
    }
    for tag in ["train/epoch_loss", "valid/loss", "valid/top1", "valid/top5", "valid/calibration_error"] {
        assert_eq!(steps(tag), [3, 7], "{tag}");
    }
    let config = found["texts"]["config"][0].as_str().unwrap();
    assert!(config.contains("    sync_period = 5"), "{config}");
    // Sixteen images of 32 pixels, eight in a row, two pixels between them.
    assert_eq!(found["images"]["train/batch"], json!([[0, 270, 66, 270, 66]]));

    let summary: Value = serde_json::from_slice(&std::fs::read(folder.join("summary.json")).unwrap()).unwrap();
    let last = found["scalars"]["valid/top1"][1][2].as_f64().unwrap();
    assert!((last - summary["top1"].as_f64().unwrap()).abs() < 1e-4);
}
