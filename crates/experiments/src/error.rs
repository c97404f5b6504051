//! What can go wrong, and the exit status a program answers with.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::ConfigError;

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

    /// A device was asked for that this build or this machine lacks.
    #[error("device `{device}`: {reason}")]
    Device {
        /// The device as it was spelt.
        device: String,
        /// What is missing.
        reason: String,
    },

    /// The device's memory ran out.
    #[error("device `{device}` has too little memory for batches of {batch_size} images ({reason}); {hint}")]
    OutOfMemory {
        /// The device as it was spelt.
        device: String,
        /// Images of the batch that was tried.
        batch_size: usize,
        /// The driver's word.
        reason: String,
        /// What to try.
        hint: String,
    },

    /// A file of the output could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Output {
        /// `write`, `read`, `create` or `rename`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },

    /// Another process works in the run folder.
    #[error("{} is in use by another process; wait for it, or give another --out", path.display())]
    Locked {
        /// The run folder.
        path: PathBuf,
    },

    /// The run folder holds a run of another configuration.
    #[error(
        "{} was started with another configuration: `{key}` was {was}, now {now}; give another --out, \
         or --fresh to throw the old run away",
        path.display()
    )]
    ConfigChanged {
        /// The run folder.
        path: PathBuf,
        /// The first key that differs.
        key: String,
        /// Its value in the folder.
        was: String,
        /// Its value now.
        now: String,
    },

    /// A file of a run folder cannot be what this program wrote.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// A data set is missing; the text says how to get it.
    #[error("{hint}")]
    DataMissing {
        /// The path looked at and the ways to get the data.
        hint: String,
    },

    /// A data set differs from the one a run was started on.
    #[error(
        "the data changed since {} was started (digest {was}, now {now}); restore the data, \
         or give --fresh to start over",
        path.display()
    )]
    DataChanged {
        /// The run folder.
        path: PathBuf,
        /// Digest in the checkpoint.
        was: String,
        /// Digest of the data as they are.
        now: String,
    },

    /// The data crate's report.
    #[error(transparent)]
    Data(#[from] lookahead_data::Error),

    /// The loss became infinite or not a number.
    #[error("{run} diverged: the loss of step {step} is {loss}; {checkpoint}; {hint}")]
    Diverged {
        /// The run's name.
        run: String,
        /// The step whose loss is not finite, from 0.
        step: usize,
        /// The loss.
        loss: f64,
        /// Where the last good checkpoint is.
        checkpoint: String,
        /// What to try.
        hint: String,
    },

    /// Ctrl-C or SIGTERM; the state is saved.
    #[error("{run} interrupted after step {step}, all saved; the same command goes on from there")]
    Interrupted {
        /// The run's name.
        run: String,
        /// Steps done.
        step: usize,
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

impl Error {
    /// The exit status of a program that ends with this error.
    ///
    /// | status | meaning |
    /// | --- | --- |
    /// | 1 | a fault of the program or its libraries |
    /// | 2 | bad usage or configuration, output that cannot be written |
    /// | 3 | data missing or damaged |
    /// | 4 | training diverged |
    /// | 130 | interrupted, resumable |
    ///
    /// ```
    /// use lookahead_experiments::Error;
    /// assert_eq!(Error::Interrupted { run: "sgd-s1".into(), step: 7 }.exit_status(), 130);
    /// ```
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Kernels(
                lookahead_kernels::Error::Environment { .. } | lookahead_kernels::Error::InstructionSet(_),
            )
            | Self::Device { .. }
            | Self::OutOfMemory { .. }
            | Self::Output { .. }
            | Self::Locked { .. }
            | Self::ConfigChanged { .. } => 2,
            Self::Damaged { .. } | Self::DataMissing { .. } | Self::DataChanged { .. } => 3,
            Self::Data(error) => u8::try_from(error.exit_code()).unwrap_or(1),
            Self::Diverged { .. } => 4,
            Self::Interrupted { .. } => 130,
            Self::Kernels(_) | Self::Optim(_) | Self::Model(_) | Self::Candle(_) => 1,
        }
    }

    /// Makes an [`Error::OutOfMemory`] of what a GPU's driver reports through candle; any other error stays what it is.
    ///
    /// ```
    /// use lookahead_experiments::Error;
    ///
    /// let driver = candle_core::Error::Msg("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")".into());
    /// let error = Error::from(driver).told_of_batch("cuda:0", 512);
    /// assert!(error.to_string().ends_with("try --batch-size 256"));
    /// let other = Error::from(candle_core::Error::Msg("a fault".into())).told_of_batch("cuda:0", 512);
    /// assert_eq!(other.to_string(), "a fault");
    /// ```
    #[must_use]
    pub fn told_of_batch(self, device: &str, batch_size: usize) -> Self {
        let text = self.to_string();
        // candle and its layers hand the driver's error on as text.
        if !text.contains("OUT_OF_MEMORY") && !text.contains("ALLOC_FAILED") {
            return self;
        }
        let hint = match batch_size / 2 {
            0 => "try a smaller model".to_owned(),
            half => format!("try --batch-size {half}"),
        };
        let reason = text.lines().next().unwrap_or_default().to_owned();
        Self::OutOfMemory { device: device.to_owned(), batch_size, reason, hint }
    }

    /// An [`Error::Output`] for `path`; made to be given to `map_err`.
    pub fn output(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::Output { action, path, source }
    }
}
