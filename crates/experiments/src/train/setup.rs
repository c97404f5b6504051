//! What a run is trained with, built from its configuration.

use candle_core::Device;
use lookahead_data::{Loader, Normalize};
use lookahead_models::ResNet;
use lookahead_optim::Optimizer;

use super::gradients::Task;
use crate::config::{ConfigError, RunConfig};
use crate::error::{Error, Result};
use crate::parts::{self, Data, Schedules, TestImages};

/// Everything a run needs, ready to train.
#[derive(Debug)]
pub struct Setup<'a> {
    /// The run.
    pub run: &'a RunConfig,
    /// The network.
    pub model: ResNet,
    /// The row's optimizer, over the parameters of the network.
    pub optimizer: Box<dyn Optimizer>,
    /// Learning rate and momentum by the step.
    pub schedules: Schedules,
    /// Training images.
    pub train: Loader,
    /// Images to validate on after each epoch.
    pub valid: Loader,
    /// The test images, for when the run is done.
    pub test: Option<TestImages>,
    /// Bytes to numbers.
    pub normalize: Normalize,
    /// Where the network is.
    pub device: &'a Device,
    /// Whole batches of an epoch.
    pub steps_per_epoch: usize,
}

impl<'a> Setup<'a> {
    /// Builds what `run` says, on `device`.
    ///
    /// # Errors
    /// A batch larger than the data; what the parts report.
    pub fn new(run: &'a RunConfig, data: &Data, device: &'a Device) -> Result<Self> {
        let config = &run.config;
        let train = data.train_loader(config, run.seed)?;
        let steps_per_epoch = train.batches_per_epoch() / config.train.accumulate;
        if steps_per_epoch == 0 {
            return Err(Error::Config(ConfigError::OutOfRange {
                key: "train.batch_size".to_owned(),
                rule: "no larger than the number of training images".into(),
                value: format!("{} with {} images", config.train.batch_size, data.train.len()),
            }));
        }
        let model = parts::model(&config.model, data.train.classes().len(), run.seed, device)?;
        let optimizer = parts::optimizer(&run.row, model.parameters(), model.buffers())?;
        let peak = run.row.inner.learning_rate();
        let schedules = Schedules::new(&config.schedule, peak, config.train.epochs, steps_per_epoch)?;
        let valid = data.valid_loader(config)?;
        let (test, normalize) = (data.test.clone(), data.normalize);
        Ok(Self { run, model, optimizer, schedules, train, valid, test, normalize, device, steps_per_epoch })
    }

    /// The task whose gradients a step takes.
    pub fn task(&self) -> Task<'_> {
        Task { model: &self.model, train: &self.run.config.train, normalize: &self.normalize, device: self.device }
    }
}
