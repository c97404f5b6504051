//! Checkpoints: everything a run needs to resume as if it had never stopped.
//!
//! `checkpoint/latest.json` names a tensor file and holds its digest and the position in the run. Both files are
//! written atomically, the tensors first. `previous.json` is the checkpoint before. A reader takes the first of the two
//! whose digests match. `best.safetensors` and `final.safetensors` hold evaluation weights and buffers. A finished run
//! keeps only these, and the best ones only if they are not the final ones.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::folder::remove_if_there;
use crate::position::Position;
use crate::{atomic, digest};

/// The content of `latest.json` and `previous.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Manifest {
    /// Name of the tensor file beside it.
    file: String,
    /// SHA-256 of the tensor file.
    sha256: String,
    /// SHA-256 of the run's data.
    data_sha256: String,
    position: Position,
}

/// A manifest with the digest of its text.
#[derive(Debug, Serialize, Deserialize)]
struct Sealed {
    manifest: Manifest,
    manifest_sha256: String,
}

/// The checkpoint folder of a run.
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    data_sha256: String,
}

/// A checkpoint to resume from.
#[derive(Debug)]
pub struct Found {
    /// The position in the run.
    pub position: Position,
    /// Path of the tensor file, whose digest matches.
    pub tensors: PathBuf,
    /// A warning for the user if the latest checkpoint is damaged and the previous one is used.
    pub notice: Option<String>,
}

/// The folder's name.
pub(crate) const FOLDER: &str = "checkpoint";
const LATEST: &str = "latest.json";
const PREVIOUS: &str = "previous.json";

/// Whether `run` has any checkpoint, intact or not.
pub(crate) fn any(run: &Path) -> bool {
    [LATEST, PREVIOUS].iter().any(|name| run.join(FOLDER).join(name).exists())
}

/// Removes the manifests of `run`, without which its tensor files mean nothing.
pub(crate) fn forget(run: &Path) -> Result<()> {
    [LATEST, PREVIOUS].iter().try_for_each(|name| remove_if_there(&run.join(FOLDER).join(name)))
}

impl Checkpoints {
    /// The folder `checkpoint` of `run`, created if it is missing.
    pub(crate) fn open(run: &Path, data_sha256: &str) -> Result<Self> {
        let folder = run.join(FOLDER);
        fs::create_dir_all(&folder).map_err(Error::output("create", &folder))?;
        Ok(Self { folder, data_sha256: data_sha256.to_owned() })
    }

    /// Saves the latest checkpoint; the one before becomes the previous checkpoint. `write` must write the tensors to
    /// the given path atomically.
    ///
    /// # Errors
    /// Errors of `write`; [`Error::Output`] if a file cannot be read, written or renamed.
    pub fn save(&self, position: &Position, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        // An epoch's last step and its end are two positions with equal tensors. They need two names, because each
        // manifest must match its file byte for byte at every moment.
        let file = format!("step-{:08}-epoch-{}.safetensors", position.step, position.epoch);
        let path = self.folder.join(&file);
        write(&path)?;
        let sha256 = digest::of_file(&path).map_err(Error::output("read", &path))?;
        let manifest = Manifest { file, sha256, data_sha256: self.data_sha256.clone(), position: position.clone() };
        let manifest_sha256 = seal(&manifest);
        let latest = self.folder.join(LATEST);
        if latest.exists() {
            atomic::rename(&latest, &self.folder.join(PREVIOUS))?;
        }
        atomic::write_json(&latest, &Sealed { manifest, manifest_sha256 })?;
        self.remove_unreferenced();
        Ok(())
    }

    /// The newest checkpoint whose digests match; `None` if the run has no checkpoint. Removes `latest.json` if it is
    /// damaged and `previous.json` is used.
    ///
    /// # Errors
    /// [`Error::Damaged`] if no checkpoint is intact; [`Error::DataChanged`] if the checkpoint belongs to other data;
    /// [`Error::Output`] if a manifest cannot be read or removed.
    pub fn newest(&self) -> Result<Option<Found>> {
        let mut damage: Option<String> = None;
        for name in [LATEST, PREVIOUS] {
            let manifest = match self.read(&self.folder.join(name)) {
                Ok(None) => continue,
                Ok(Some(manifest)) => manifest,
                Err(Error::Damaged { path, reason }) => {
                    damage.get_or_insert(format!("{}: {reason}", path.display()));
                    continue;
                }
                Err(error) => return Err(error),
            };
            if manifest.data_sha256 != self.data_sha256 {
                return Err(Error::DataChanged {
                    path: self.folder.parent().unwrap_or(&self.folder).to_path_buf(),
                    was: manifest.data_sha256,
                    now: self.data_sha256.clone(),
                });
            }
            if damage.is_some() {
                // Otherwise, the next save would replace the good checkpoint with the damaged one.
                let latest = self.folder.join(LATEST);
                fs::remove_file(&latest).map_err(Error::output("remove", &latest))?;
            }
            let step = manifest.position.step;
            let notice = damage.map(|reason| {
                format!("the latest checkpoint is damaged ({reason}); resuming from the previous one, step {step}")
            });
            let tensors = self.folder.join(&manifest.file);
            return Ok(Some(Found { position: manifest.position, tensors, notice }));
        }
        match damage {
            None => Ok(None),
            Some(reason) => Err(Error::Damaged {
                path: self.folder.clone(),
                reason: format!("{reason}, and there is no intact checkpoint before it"),
            }),
        }
    }

    /// A clause for error messages that names the newest intact checkpoint of fewer than `steps` steps. If the loss
    /// after `steps` steps is not finite, the loss at this checkpoint was.
    pub fn describe_before(&self, steps: usize) -> String {
        let mut whole = [LATEST, PREVIOUS].iter().filter_map(|name| self.read(&self.folder.join(name)).ok().flatten());
        match whole.find(|manifest| manifest.position.step < steps) {
            Some(manifest) => format!(
                "the last good checkpoint is {} (step {})",
                self.folder.join(manifest.file).display(),
                manifest.position.step
            ),
            None => "there is no good checkpoint".to_owned(),
        }
    }

    /// Writes `safetensors`, the content of a weight file, to `<name>.safetensors`.
    ///
    /// # Errors
    /// [`Error::Output`] if the file cannot be written.
    pub fn save_weights(&self, name: &str, safetensors: &[u8]) -> Result<()> {
        atomic::write(&self.folder.join(format!("{name}.safetensors")), safetensors)
    }

    /// Keeps only the weights of a finished run: removes the states for resuming and, if the final weights are the best
    /// ones, `best.safetensors`.
    pub fn keep_weights(&self, final_is_best: bool) {
        // The manifests first, so that none names a missing file. A file that cannot be removed only takes space.
        for name in [LATEST, PREVIOUS] {
            let _ = fs::remove_file(self.folder.join(name));
        }
        self.remove_unreferenced();
        if final_is_best {
            let _ = fs::remove_file(self.folder.join("best.safetensors"));
        }
    }

    /// The manifest, if its own digest and that of its tensors match.
    fn read(&self, path: &Path) -> Result<Option<Manifest>> {
        let Some(Sealed { manifest, manifest_sha256 }) = atomic::read_json(path)? else { return Ok(None) };
        let damaged = |path: &Path, reason: String| Err(Error::Damaged { path: path.to_path_buf(), reason });
        if seal(&manifest) != manifest_sha256 {
            return damaged(path, "its content does not match its digest".to_owned());
        }
        let tensors = self.folder.join(&manifest.file);
        match digest::of_file(&tensors) {
            Ok(sha256) if sha256 == manifest.sha256 => Ok(Some(manifest)),
            Ok(_) => damaged(&tensors, "its content does not match its digest".to_owned()),
            Err(error) => damaged(&tensors, error.to_string()),
        }
    }

    /// Removes tensor files that neither manifest names, and half-written files of a killed process.
    fn remove_unreferenced(&self) {
        let named: Vec<String> = [LATEST, PREVIOUS]
            .iter()
            .filter_map(|name| atomic::read_json::<Sealed>(&self.folder.join(name)).ok().flatten())
            .map(|sealed| sealed.manifest.file)
            .collect();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".tmp") || (name.starts_with("step-") && !named.contains(&name)) {
                // A file that cannot be removed only takes space.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

fn seal(manifest: &Manifest) -> String {
    let text = serde_json::to_string(manifest).unwrap_or_default();
    digest::of_pieces([text.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(step: usize) -> Position {
        Position { step, epoch: step / 10, ..Position::default() }
    }

    fn save(checkpoints: &Checkpoints, step: usize) {
        checkpoints.save(&at(step), |path| atomic::write(path, &[step as u8; 9])).unwrap();
    }

    #[test]
    fn the_two_newest_are_kept_and_the_newest_is_found() {
        let root = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::open(root.path(), "d").unwrap();
        assert!(checkpoints.newest().unwrap().is_none());
        for step in [7, 10, 14] {
            save(&checkpoints, step);
        }
        let found = checkpoints.newest().unwrap().unwrap();
        assert_eq!((found.position, fs::read(found.tensors).unwrap()), (at(14), vec![14; 9]));
        assert_eq!(found.notice, None);
        // Two manifests and their tensors.
        assert_eq!(fs::read_dir(root.path().join(FOLDER)).unwrap().count(), 4);
    }

    #[test]
    fn a_damaged_one_gives_way_to_the_one_before_and_two_are_an_error() {
        let root = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::open(root.path(), "d").unwrap();
        save(&checkpoints, 7);
        save(&checkpoints, 10);
        let folder = root.path().join(FOLDER);
        fs::write(folder.join("step-00000010-epoch-1.safetensors"), "short").unwrap();
        let found = checkpoints.newest().unwrap().unwrap();
        assert!(found.position == at(7) && found.notice.unwrap().contains("from the previous one, step 7"));
        fs::write(folder.join("previous.json"), "{").unwrap();
        assert!(matches!(checkpoints.newest(), Err(Error::Damaged { .. })));
    }

    #[test]
    fn a_finished_run_keeps_its_weights_once() {
        let root = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::open(root.path(), "d").unwrap();
        save(&checkpoints, 7);
        save(&checkpoints, 10);
        let left = |final_is_best| {
            for name in ["best", "final"] {
                checkpoints.save_weights(name, b"weights").unwrap();
            }
            checkpoints.keep_weights(final_is_best);
            let entries = fs::read_dir(root.path().join(FOLDER)).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(left(false), ["best.safetensors", "final.safetensors"]);
        assert_eq!(left(true), ["final.safetensors"]);
        assert!(checkpoints.newest().unwrap().is_none());
    }

    #[test]
    fn other_data_are_refused() {
        let root = tempfile::tempdir().unwrap();
        save(&Checkpoints::open(root.path(), "d").unwrap(), 7);
        let other = Checkpoints::open(root.path(), "e").unwrap();
        assert!(matches!(other.newest(), Err(Error::DataChanged { .. })));
    }
}
