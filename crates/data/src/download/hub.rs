//! Downloads the same images from the Hugging Face hub, through candle-datasets' helper.

use std::fs;
use std::path::Path;

use candle_datasets::hub::from_hub;
use hf_hub::HFClientSync;

use crate::{Error, Result};

/// Downloads the parquet files of `id` through the hub's cache and stores their images below `target` in the layout of the published
/// archive.
///
/// The helper returns readers, not files. The archive's layout keeps every pixel and opens faster than parquet.
pub(super) fn fetch(id: &str, name: &str, target: &Path) -> Result<()> {
    let failed = |problem: String| Error::Download {
        url: format!("hub data set {id}"),
        problem: problem.split_whitespace().collect::<Vec<_>>().join(" "),
        path: target.to_path_buf(),
        contents: crate::catalog::belongs_there(name),
    };
    let client = HFClientSync::new().map_err(|e| failed(e.to_string()))?;
    let readers = from_hub(&client, id.to_string()).map_err(|e| failed(e.to_string()))?;
    let (folder, files) = crate::cifar::archive_files(&readers, name, Path::new(id))?;
    let hidden = target.with_file_name(format!(".{name}.unpacking"));
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
    files.iter().try_for_each(|(name, bytes)| fs::write(dir.join(name), bytes))
}
