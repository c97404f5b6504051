//! The test part of the data, which only a finished run can open.

use lookahead_runs::Position;

use crate::config::Config;
use crate::error::{Error, Result};

/// A sealed test part. Only [`open`](Self::open) gives access to it, and it requires a finished run.
///
/// Tuning code has no test part: data built with `data.test = false` lacks it.
#[derive(Debug, Clone)]
pub struct Sealed<T>(T);

impl<T> Sealed<T> {
    pub(super) fn new(part: T) -> Self {
        Self(part)
    }

    /// The part, for a run of `config` whose position `at` is its end.
    ///
    /// # Errors
    /// [`Error::TestTooEarly`] if epochs are left.
    pub fn open(&self, config: &Config, at: &Position) -> Result<&T> {
        let epochs = config.train.epochs_begun();
        if at.epoch < epochs {
            return Err(Error::TestTooEarly { done: at.epoch, epochs });
        }
        Ok(&self.0)
    }
}
