//! TensorBoard's own reader, asked through Python.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What TensorBoard finds in a folder; `None` where there is no TensorBoard.
pub(crate) fn read(folder: &Path) -> Option<Value> {
    let python = std::env::var("LOOKAHEAD_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let here = Command::new(&python).args(["-c", "import tensorboard"]).output();
    if !here.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: `{python}` has no tensorboard; `pip install tensorboard`, or set $LOOKAHEAD_PYTHON");
        return None;
    }
    let output = Command::new(python).args(["-c", include_str!("tensorboard_reader.py")]).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}
