//! What a run is trained with, built from its configuration.

use std::time::Instant;

use candle_core::{Device, Var};
use lookahead_data::{Batch, Loader, Normalize};
use lookahead_optim::Optimizer;
use lookahead_runs::TimeSplit;

use super::gradients::{Gradients, Task};
use crate::config::{ConfigError, ModelConfig, RunConfig};
use crate::error::{Error, Result};
use crate::parts::{self, Data, Network, Schedules, TestImages};

/// Everything a run needs, ready to train.
#[derive(Debug)]
pub struct Setup<'a> {
    /// The run.
    pub run: &'a RunConfig,
    /// The network.
    pub model: Box<dyn Network>,
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
    /// Steps of the whole run.
    pub total_steps: usize,
    /// Seconds that the network took to be made, its whitening included: part of a run's time.
    pub seconds: f64,
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
        let clock = Instant::now();
        let model = parts::model(config, data, run.seed, device)?;
        let seconds = clock.elapsed().as_secs_f64();
        let total_steps = config.train.total_steps(steps_per_epoch);
        let optimizer = parts::optimizer(&run.row, model.parameters(), model.buffers(), total_steps)?;
        let peak = run.row.inner.learning_rate();
        let schedules = Schedules::new(&config.schedule, peak, total_steps, steps_per_epoch)?;
        let valid = data.valid_loader(config)?;
        let (test, normalize) = (data.test.clone(), data.normalize);
        Ok(Self {
            run,
            model,
            optimizer,
            schedules,
            train,
            valid,
            test,
            normalize,
            device,
            steps_per_epoch,
            total_steps,
            seconds,
        })
    }

    /// What step `step` leaves as it is: the bias of a whitening, once it has been trained for its epochs.
    fn frozen(&self, step: usize) -> Vec<Var> {
        match self.run.config.model {
            ModelConfig::SpeedNet(parts) if step >= parts.whitening_bias_epochs * self.steps_per_epoch => {
                let is_bias = |(name, _): &(String, Var)| name == "whiten.bias";
                self.model.parameters().into_iter().filter(is_bias).map(|(_, var)| var).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The gradients of step `step`, from 0, over the next of `batches`; see [`Task::gradients`].
    ///
    /// # Errors
    /// As [`Task::gradients`].
    pub fn gradients(
        &self,
        step: usize,
        batches: &mut dyn Iterator<Item = lookahead_data::Result<Batch>>,
        time: &mut TimeSplit,
    ) -> Result<Gradients> {
        let mut gradients = self.task().gradients(step, batches, time)?;
        // Without a gradient neither momentum nor decay moves a parameter.
        for var in self.frozen(step) {
            gradients.store.remove(&var);
        }
        Ok(gradients)
    }

    /// The task whose gradients a step takes.
    pub fn task(&self) -> Task<'_> {
        Task { model: &*self.model, train: &self.run.config.train, normalize: &self.normalize, device: self.device }
    }
}
