//! Downloads the same images from the Hugging Face hub, through candle-datasets' helper.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use candle_datasets::hub::from_hub;
use hf_hub::HFClientSync;

use super::durable;
use crate::error::one_line;
use crate::{Error, Result};

/// Downloads the parquet files of `id` through the hub's cache and stores their images below `target` in the layout of the published
/// archive: first in a hidden folder in `work`, which is on the same file system.
///
/// The helper returns readers, not files. The archive's layout keeps every pixel and opens faster than parquet.
pub(super) fn fetch(id: &str, name: &str, work: &Path, target: &Path) -> Result<()> {
    let failed = |problem: String| Error::Download {
        url: format!("hub data set {id}"),
        problem: one_line(problem),
        path: target.to_path_buf(),
        contents: crate::catalog::belongs_there(name),
    };
    let client = HFClientSync::new().map_err(|e| failed(e.to_string()))?;
    // It opens the files with the parquet crate, which panics on some that are damaged.
    let readers = catch_unwind(AssertUnwindSafe(|| from_hub(&client, id.to_string())));
    let readers = readers.map_err(|_| failed("the hub's client panicked".to_string()))?;
    let readers = readers.map_err(|e| failed(e.to_string()))?;
    let (folder, files) = crate::cifar::archive_files(&readers, name, Path::new(id))?;
    let hidden = work.join(format!(".{name}.unpacking"));
    let stored = store(&hidden, &files).and_then(|()| {
        fs::create_dir_all(target)?;
        fs::rename(&hidden, target.join(folder))
    });
    stored.map_err(|e| Error::io(target, e))
}

fn store(dir: &Path, files: &[(&str, Vec<u8>)]) -> std::io::Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    fs::create_dir_all(dir)?;
    files.iter().try_for_each(|(name, bytes)| fs::write(dir.join(name), bytes))?;
    durable::flush(dir)
}
