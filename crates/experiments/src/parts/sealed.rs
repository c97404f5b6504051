//! The test part of the data, which nobody opens before a run is done.

use lookahead_runs::Position;

use crate::config::Config;
use crate::error::{Error, Result};

/// A test part under seal: what is inside can be reached by [`open`](Self::open) alone, which asks for a run that is done.
///
/// Code that tunes has none: data that are made where `data.test` is false lack the part.
#[derive(Debug, Clone)]
pub struct Sealed<T>(T);

impl<T> Sealed<T> {
    pub(super) fn new(part: T) -> Self {
        Self(part)
    }

    /// The part, for a run of `config` that stands `at` its end.
    ///
    /// # Errors
    /// [`Error::TestTooEarly`] where epochs are left.
    pub fn open(&self, config: &Config, at: &Position) -> Result<&T> {
        let epochs = config.train.epochs_begun();
        if at.epoch < epochs {
            return Err(Error::TestTooEarly { done: at.epoch, epochs });
        }
        Ok(&self.0)
    }
}
