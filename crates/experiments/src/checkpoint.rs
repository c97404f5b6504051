//! Checkpoints: everything a run needs to go on as if it had never stopped.
//!
//! `checkpoint/latest.json` names a safetensors file (fast weights, buffers, optimizer state with slow weights and counters)
//! and holds its digest and the position in the run. Both are written to temporary names and renamed, the tensors first;
//! `previous.json` is the checkpoint before. A reader takes the first of the two whose digests hold.
//! `best.safetensors` and `final.safetensors` hold evaluation weights and buffers under torchvision's names.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{Tensor, Var};
use lookahead_optim::Optimizer;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::summary::TimeSplit;
use crate::{atomic, digest};

/// Where a run stands, and the sums it carries.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Epochs done.
    pub epoch: usize,
    /// Steps done in the epoch under way.
    pub step_in_epoch: usize,
    /// Steps done in all.
    pub step: usize,
    /// Sum of the epoch's training losses.
    pub epoch_loss: f64,
    /// Sum of the training losses since the last line of `metrics.jsonl`.
    pub logged_loss: f64,
    /// How many they are.
    pub logged_steps: usize,
    /// Mean training loss of the last whole epoch.
    pub train_loss: f64,
    /// Best validation accuracy so far, percent; negative before the first validation.
    pub best_top1: f64,
    /// The epoch it was reached at, from 1.
    pub best_epoch: usize,
    /// Whole bytes of `metrics.jsonl`.
    pub metrics_bytes: u64,
    /// Seconds so far.
    pub time: TimeSplit,
    /// Peak resident memory so far, MiB.
    pub peak_rss_mb: u64,
}

/// The content of `latest.json` and `previous.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Manifest {
    /// The safetensors file beside it.
    file: String,
    /// Its SHA-256.
    sha256: String,
    /// Digest of the data the run is on.
    data_sha256: String,
    position: Position,
}

/// A manifest with the digest of its own text.
#[derive(Debug, Serialize, Deserialize)]
struct Sealed {
    manifest: Manifest,
    manifest_sha256: String,
}

/// The checkpoint folder of a run.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
    data_sha256: String,
}

/// A checkpoint that was loaded.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Where the run stands.
    pub(crate) position: Position,
    /// What to tell the user: that the latest was damaged and an older one is used.
    pub(crate) notice: Option<String>,
}

impl Checkpoints {
    /// The folder `checkpoint` of `run`, made where it is missing.
    pub(crate) fn open(run: &Path, data_sha256: &str) -> Result<Self> {
        let folder = run.join("checkpoint");
        fs::create_dir_all(&folder).map_err(Error::output("create", &folder))?;
        Ok(Self { folder, data_sha256: data_sha256.to_owned() })
    }

    /// Whether `run` has any checkpoint, whole or not.
    pub(crate) fn any(run: &Path) -> bool {
        [LATEST, PREVIOUS].iter().any(|name| run.join("checkpoint").join(name).exists())
    }

    /// Saves the run as the latest checkpoint; the latest becomes the one before.
    pub(crate) fn save(&self, optimizer: &dyn Optimizer, buffers: &[(String, Var)], position: &Position) -> Result<()> {
        // An epoch's last step and its end are two positions with equal tensors. They need two names: a manifest must
        // find its own file, byte for byte, at every moment.
        let file = format!("step-{:08}-epoch-{}.safetensors", position.step, position.epoch);
        let path = self.folder.join(&file);
        let temporary = self.folder.join(format!("{file}.tmp"));
        lookahead_optim::save_checkpoint(&temporary, optimizer, buffers, &[]).map_err(|error| Error::Output {
            action: "write",
            path: path.clone(),
            source: std::io::Error::other(error),
        })?;
        let synced = fs::File::open(&temporary).and_then(|file| file.sync_all());
        synced.map_err(Error::output("write", &temporary))?;
        let sha256 = digest::of_file(&temporary).map_err(Error::output("read", &temporary))?;
        atomic::rename(&temporary, &path)?;

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

    /// Loads the newest checkpoint whose digests hold into `optimizer` and `buffers`; `None` where the run has none.
    ///
    /// # Errors
    /// [`Error::Damaged`] where there are checkpoints but none is whole; [`Error::DataChanged`] where the data are not
    /// those of the checkpoint.
    pub(crate) fn load(&self, optimizer: &mut dyn Optimizer, buffers: &[(String, Var)]) -> Result<Option<Loaded>> {
        let mut damage: Option<String> = None;
        for name in [LATEST, PREVIOUS] {
            let path = self.folder.join(name);
            let manifest = match self.read(&path) {
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
            lookahead_optim::load_checkpoint(self.folder.join(&manifest.file), optimizer, buffers)?;
            if damage.is_some() {
                // Lest the next save push the good one out by the damaged one.
                let latest = self.folder.join(LATEST);
                fs::remove_file(&latest).map_err(Error::output("remove", &latest))?;
            }
            let notice = damage.map(|reason| {
                format!(
                    "the latest checkpoint is damaged ({reason}); going on from the one before, step {}",
                    manifest.position.step
                )
            });
            return Ok(Some(Loaded { position: manifest.position, notice }));
        }
        match damage {
            None => Ok(None),
            Some(reason) => Err(Error::Damaged {
                path: self.folder.clone(),
                reason: format!("{reason}, and there is no whole checkpoint before it; --fresh starts the run over"),
            }),
        }
    }

    /// The position of the newest whole checkpoint, for messages.
    pub(crate) fn describe_last(&self) -> String {
        match [LATEST, PREVIOUS].iter().find_map(|name| self.read(&self.folder.join(name)).ok().flatten()) {
            Some(manifest) => format!(
                "the last good checkpoint is {} (step {})",
                self.folder.join(manifest.file).display(),
                manifest.position.step
            ),
            None => "there is no checkpoint yet".to_owned(),
        }
    }

    /// Saves evaluation weights and buffers as `<name>.safetensors`.
    pub(crate) fn save_weights(&self, name: &str, tensors: &[(String, Tensor)]) -> Result<()> {
        let path = self.folder.join(format!("{name}.safetensors"));
        let named: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.clone())).collect();
        let bytes =
            safetensors::serialize(named.iter().map(|(name, tensor)| (*name, tensor)), None).map_err(|error| {
                Error::Output { action: "write", path: path.clone(), source: std::io::Error::other(error) }
            })?;
        atomic::write(&path, &bytes)
    }

    /// A manifest whose own digest and whose tensors' digest hold.
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

    /// Removes tensors that neither manifest names, and what a kill left half-written.
    fn remove_unreferenced(&self) {
        let named: Vec<String> = [LATEST, PREVIOUS]
            .iter()
            .filter_map(|name| atomic::read_json::<Sealed>(&self.folder.join(name)).ok().flatten())
            .map(|sealed| sealed.manifest.file)
            .collect();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".tmp") || (name.starts_with("step-") && !named.contains(&name)) {
                // A file that stays only takes room.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

const LATEST: &str = "latest.json";
const PREVIOUS: &str = "previous.json";

fn seal(manifest: &Manifest) -> String {
    let text = serde_json::to_string(manifest).unwrap_or_default();
    digest::of_pieces([text.as_bytes()])
}
