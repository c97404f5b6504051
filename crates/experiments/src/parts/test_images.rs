//! The test images, which nobody opens before a run is done.

use std::sync::Arc;

use lookahead_data::{Dataset, Loader};
use lookahead_runs::Position;

use super::data::in_order;
use crate::config::Config;
use crate::error::{Error, Result};

/// Test images under seal: what is inside can be reached by [`open`](Self::open) alone, which asks for a run that is done.
///
/// Code that tunes has none: [`Data::new`](super::Data::new) makes none where `data.test` is false.
#[derive(Debug, Clone)]
pub struct TestImages(Arc<dyn Dataset>);

impl TestImages {
    pub(super) fn sealed(images: Arc<dyn Dataset>) -> Self {
        Self(images)
    }

    /// The loader of the images, in order, for a run of `config` that stands `at` its end.
    ///
    /// # Errors
    /// [`Error::TestTooEarly`] where epochs are left; those of the pipeline and the loader.
    pub fn open(&self, config: &Config, at: &Position) -> Result<Loader> {
        let epochs = config.train.epochs_begun();
        if at.epoch < epochs {
            return Err(Error::TestTooEarly { done: at.epoch, epochs });
        }
        in_order(&self.0, config, config.train.batch_size / config.train.accumulate)
    }
}
