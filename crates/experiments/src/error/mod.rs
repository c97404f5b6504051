//! Errors of the experiments and of everything below them.

mod hints;
mod loss;
mod status;

use std::path::PathBuf;

use self::hints::{data_hint, hint_for, hint_without_fresh};
pub use self::loss::LossOf;
use crate::config::ConfigError;
use crate::study::StudyError;

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an experiment stopped.
///
/// Each variant has one [exit status](Error::exit_status).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration breaks a rule.
    #[error(transparent)]
    Config(#[from] ConfigError),

    /// A study's file breaks a rule.
    #[error(transparent)]
    Study(#[from] StudyError),

    /// Cells of a sweep that failed; the others are done.
    #[error("{failed} of {cells} cells failed: {names}; {how} to retry them")]
    CellsFailed {
        /// Number of cells that failed.
        failed: usize,
        /// Number of all cells.
        cells: usize,
        /// Their names.
        names: String,
        /// What to do: `run the same command again`.
        how: &'static str,
    },

    /// Cells of a sweep that this process left to others, which do not train them now.
    #[error(
        "{left} of {cells} cells are left to other processes; once these have ended, the command without --shard trains what \
         remains"
    )]
    CellsLeft {
        /// Number of cells that are not finished.
        left: usize,
        /// Number of all cells.
        cells: usize,
    },

    /// A study's sweep is not finished, so no setting can be chosen.
    #[error("{left} of {cells} cells are not finished; run `just sweep` with this study first")]
    SweepFirst {
        /// Number of cells that are not finished.
        left: usize,
        /// Number of all cells.
        cells: usize,
    },

    /// Runs of a study, whose results it compares, were trained on different data.
    #[error(
        "{} and {} were trained on different data (digests {first_sha256} and {other_sha256}) and cannot be compared; delete \
         the folders of one of the two, then run `just sweep` with this study to train them again",
        first.display(),
        other.display()
    )]
    DifferentData {
        /// The folder of one run.
        first: PathBuf,
        /// SHA-256 of its data.
        first_sha256: String,
        /// The folder of another.
        other: PathBuf,
        /// SHA-256 of its data.
        other_sha256: String,
    },

    /// Every trial of a row of a study diverged, so no setting can be chosen for it.
    #[error(
        "there is no setting to choose for `{row}`: all of its {trials} trials diverged; change the row's axes, such as \
         the range of its learning rates, or remove the row"
    )]
    AllDiverged {
        /// The row.
        row: String,
        /// Number of its trials.
        trials: usize,
    },

    /// A process of a sweep ended early.
    #[error("a process of the sweep {how}; run the same command to resume")]
    Part {
        /// `ended with status 3 (its error is above)` or `was killed by signal 9`.
        how: String,
        /// Its exit status; for a signal that of a shell, 128 and the signal's number.
        status: u8,
    },

    /// SLURM did not accept a job.
    #[error("{reason}; the script was written: submit it with `sbatch` on a machine with SLURM")]
    Submit {
        /// The system's or `sbatch`'s report.
        reason: String,
    },

    /// A device that this build or this machine lacks.
    #[error("device `{device}`: {reason}")]
    Device {
        /// The device as it was spelt.
        device: String,
        /// What is missing.
        reason: String,
    },

    /// The device's memory ran out.
    #[error("device `{device}` is out of memory with batches of {batch_size} ({reason}); {hint}")]
    OutOfMemory {
        /// The device as it was spelt.
        device: String,
        /// Images or sequences of the batch that was tried.
        batch_size: usize,
        /// The driver's report.
        reason: String,
        /// What to try.
        hint: String,
    },

    /// A run folder cannot be used, or output cannot be written.
    #[error("{0}{hint}", hint = hint_for(.0))]
    Runs(#[from] lookahead_runs::Error),

    /// The same, in a program that has no flag `--fresh`.
    #[error("{0}{hint}", hint = hint_without_fresh(.0))]
    RunFolder(#[source] lookahead_runs::Error),

    /// A data set is missing; the message says how to get it.
    #[error("{hint}")]
    DataMissing {
        /// The path that was tried and the ways to get the data.
        hint: String,
    },

    /// The data crate's report.
    #[error("{0}{hint}", hint = data_hint(.0))]
    Data(#[from] lookahead_data::Error),

    /// Images that `data --check` cannot read and has listed.
    #[error("{broken} of {checked} images in {folder} cannot be read")]
    BrokenImages {
        /// Number of images that cannot be read.
        broken: usize,
        /// Number of all images.
        checked: usize,
        /// The folder.
        folder: String,
    },

    /// The disk has no room for the decoded photographs.
    #[error(
        "decoding {images} images takes about {needed_mb} MB in {folder}, where {free_mb} MB are free; free some space, \
         choose another folder with --cache, or decode without a cache with --set data.cache_side=0"
    )]
    NoRoom {
        /// The folder for the decoded photographs.
        folder: String,
        /// Number of photographs to decode.
        images: usize,
        /// Required space in millions of bytes.
        needed_mb: u64,
        /// Free space in millions of bytes.
        free_mb: u64,
    },

    /// A loss became infinite or not a number.
    #[error("{of} is {loss}")]
    NotFinite {
        /// The loss.
        of: LossOf,
        /// Its value.
        loss: f64,
    },

    /// The test part was requested by a run that is not finished.
    #[error("only a finished run may read the test part; this run has finished {done} of {epochs} epochs")]
    TestTooEarly {
        /// Finished epochs.
        done: usize,
        /// All epochs of the run.
        epochs: usize,
    },

    /// The test part was requested, but there is none.
    #[error("there is no test part: the data has none, or `data.test` is false")]
    NoTest,

    /// The data loader ended in the middle of a step.
    #[error("the epoch ended before step {step} had a full batch")]
    EndOfData {
        /// The step, from 0.
        step: usize,
    },

    /// A run ended with a loss that is infinite or not a number.
    #[error("{run} diverged: {of} is {loss}; {checkpoint}; {hint}")]
    Diverged {
        /// The run's name.
        run: String,
        /// The loss that is not finite.
        of: LossOf,
        /// Its value.
        loss: f64,
        /// Where the last good checkpoint is.
        checkpoint: String,
        /// What to try.
        hint: String,
    },

    /// Ctrl-C or SIGTERM; the state is saved.
    #[error("{run} was interrupted after step {step} and saved; run the same command, without --fresh, to resume")]
    Interrupted {
        /// The run's name.
        run: String,
        /// Steps done.
        step: usize,
    },

    /// Ctrl-C or SIGTERM before a run's first step, or in a program that is more than one run.
    #[error("{what} was interrupted: {remedy}")]
    Stopped {
        /// What was stopped.
        what: String,
        /// What to do.
        remedy: &'static str,
    },

    /// The kernel crate's report.
    #[error(transparent)]
    Kernels(#[from] lookahead_kernels::Error),

    /// The optimizer crate's report.
    #[error(transparent)]
    Optim(#[from] lookahead_optim::Error),

    /// The model crate's report.
    #[error(transparent)]
    Model(#[from] lookahead_models::Error),

    /// candle's report.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
