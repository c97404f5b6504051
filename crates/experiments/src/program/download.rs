//! Downloads, and hints for a machine without a network.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::screen::Progress;

/// Downloads `name` below `root` unless it is present. Returns its folder.
///
/// # Errors
/// [`Error::DataMissing`] with a hint if it cannot be downloaded.
#[cfg(feature = "download")]
pub(crate) fn download(root: &Path, name: &str, progress: &Progress) -> Result<PathBuf> {
    let bar = progress.bytes();
    let downloaded = lookahead_data::download(root, name, &mut |state| {
        bar.set_length(state.total.unwrap_or(state.done));
        bar.set_position(state.done);
        bar.set_message(format!("{} {:?}", state.name, state.phase).to_lowercase());
    });
    bar.finish_and_clear();
    downloaded.map_err(|error| match error {
        reason @ (lookahead_data::Error::Download { .. } | lookahead_data::Error::Checksum { .. }) => {
            Error::DataMissing { hint: format!("{} cannot be downloaded here: {reason}", root.join(name).display()) }
        }
        other => other.into(),
    })
}

/// Returns the folder of `name` if it is present. This build lacks the feature `download`.
#[cfg(not(feature = "download"))]
pub(crate) fn download(root: &Path, name: &str, _progress: &Progress) -> Result<PathBuf> {
    if lookahead_data::is_present(root, name)? {
        return Ok(root.join(name));
    }
    let missing = lookahead_data::Error::Missing { name: name.to_owned(), path: root.join(name) };
    Err(Error::DataMissing {
        hint: format!(
            "{missing}; it cannot be downloaded, because this build lacks the `download` feature: put the files there by hand"
        ),
    })
}
