//! Images: logits of classes, cross-entropy, accuracy.

use std::iter::Peekable;

use candle_core::{DType, Device, Tensor, Var};
use lookahead_data::{Batches, DeviceBatch, Loader};
use lookahead_kernels::{Error as KernelError, cross_entropy, cross_entropy_indices};
use lookahead_models::{Error as ModelError, Pass};

use super::tally::Tally;
use super::{Evaluation, Judge, Task, sheet, views};
use crate::config::{ConfigError, ModelConfig, RunConfig, Views};
use crate::error::{Error, Result};
use crate::parts::{self, ImageData, Network};
use crate::train::Interrupt;

/// A network that classifies images.
#[derive(Debug)]
pub struct Images<'a> {
    run: &'a RunConfig,
    data: &'a ImageData,
    device: &'a Device,
    network: Box<dyn Network>,
    loader: Loader,
    valid: Loader,
    /// The batches of the current epoch.
    batches: Option<Peekable<Batches>>,
    /// The loaded batch.
    batch: Option<DeviceBatch>,
}

impl<'a> Images<'a> {
    /// The network of `run` and the images of `data`.
    ///
    /// # Errors
    /// Errors of the network and the loader.
    pub fn new(run: &'a RunConfig, data: &'a ImageData, device: &'a Device) -> Result<Self> {
        Self::with(parts::model(&run.config, data, run.seed, device)?, run, data, device)
    }

    /// Like [`new`](Self::new), with another network.
    ///
    /// # Errors
    /// A batch larger than the data; errors of the loader.
    pub fn with(
        network: Box<dyn Network>,
        run: &'a RunConfig,
        data: &'a ImageData,
        device: &'a Device,
    ) -> Result<Self> {
        let loader = data.train_loader(&run.config, run.seed)?;
        let valid = ImageData::judged(&data.valid, &run.config)?;
        let train = &run.config.train;
        if loader.batches_per_epoch() < train.accumulate {
            return Err(Error::Config(ConfigError::OutOfRange {
                key: "train.batch_size".to_owned(),
                rule: "no larger than the number of training images".into(),
                value: format!("{} with {} images", train.batch_size, data.train.len()),
            }));
        }
        Ok(Self { run, data, device, network, loader, valid, batches: None, batch: None })
    }

    /// The network.
    pub fn network(&self) -> &dyn Network {
        &*self.network
    }

    /// Uses these batches instead of the loader's.
    #[cfg(test)]
    pub(in crate::train) fn take(&mut self, batches: Batches) {
        self.batches = Some(batches.peekable());
    }

    /// All images of `loader`, in order and each in `views`.
    fn evaluate(&self, loader: &Loader, views: Views, interrupt: &Interrupt) -> Result<Option<Evaluation>> {
        let mut tally = Tally::new(self.classes().len());
        for batch in loader.epoch(0, 0) {
            if interrupt.is_asked() {
                return Ok(None);
            }
            let batch = batch?;
            let images = batch.to_device(self.device, &self.data.normalize)?.images.to_dtype(self.network.dtype())?;
            let logits = views::logits(&*self.network, &images, views)?.to_vec2::<f32>()?;
            for (logits, label) in logits.iter().zip(batch.labels()) {
                tally.add(logits, *label as usize);
            }
        }
        Ok(Some(tally.finish()))
    }

    /// Explains, in terms of the configuration, a batch norm that gets one value per channel, as in a batch of one
    /// small image.
    fn explained(&self, error: ModelError) -> Error {
        match &error {
            ModelError::Kernel(KernelError::Argument { argument: "values per channel", .. }) => {
                self.run.config.train.of_one_image("this network").map_or_else(|| error.into(), Error::from)
            }
            _ => error.into(),
        }
    }
}

impl Task for Images<'_> {
    fn parameters(&self) -> Vec<(String, Var)> {
        self.network.parameters()
    }

    fn buffers(&self) -> Vec<(String, Var)> {
        self.network.buffers()
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.network.state()
    }

    /// The whitening's bias, after its epochs of training.
    fn frozen(&self, step: usize) -> Vec<Var> {
        let steps_per_epoch = self.batches_per_epoch() / self.run.config.train.accumulate;
        match self.run.config.model {
            ModelConfig::SpeedNet(parts) if step >= parts.whitening_bias_epochs * steps_per_epoch => {
                let is_bias = |(name, _): &(String, Var)| name == "whiten.bias";
                self.parameters().into_iter().filter(is_bias).map(|(_, var)| var).collect()
            }
            _ => Vec::new(),
        }
    }

    fn batches_per_epoch(&self) -> usize {
        self.loader.batches_per_epoch()
    }

    fn seen(&self, batches: usize) -> usize {
        batches * (self.run.config.train.batch_size / self.run.config.train.accumulate)
    }

    fn begin(&mut self, epoch: usize, batch: usize) -> Result<()> {
        self.batches = Some(self.loader.epoch(epoch, batch).peekable());
        Ok(())
    }

    fn load(&mut self) -> Result<bool> {
        let Some(batch) = self.batches.as_mut().and_then(Iterator::next) else { return Ok(false) };
        self.batch = Some(batch?.to_device(self.device, &self.data.normalize)?);
        Ok(true)
    }

    /// Mean cross-entropy: (N, K) soft targets if images were mixed, (N) class indices otherwise.
    fn loss(&mut self, pass: Pass) -> Result<Tensor> {
        let Some(batch) = self.batch.take() else {
            return Err(candle_core::Error::msg("no batch was loaded").into());
        };
        let images = batch.images.to_dtype(self.network.dtype())?;
        let logits = self.network.forward(&images, pass).map_err(|error| self.explained(error))?;
        // Half precision is for activations, not for sums of exponentials.
        let logits = if logits.dtype() == DType::F64 { logits } else { logits.to_dtype(DType::F32)? };
        let smoothing = self.run.config.train.label_smoothing;
        Ok(match &batch.soft_targets {
            Some(targets) => cross_entropy(&logits, &targets.to_dtype(logits.dtype())?, smoothing)?,
            None => cross_entropy_indices(&logits, &batch.labels, smoothing)?,
        })
    }

    fn end(&mut self) {
        self.batches = None;
    }

    fn has_test(&self) -> bool {
        self.data.test.is_some()
    }

    fn judge(&self, part: Judge<'_>, interrupt: &Interrupt) -> Result<Option<Evaluation>> {
        match part {
            Judge::Valid(views) => self.evaluate(&self.valid, views, interrupt),
            Judge::Test(at) => {
                let test = self.data.test.as_ref().ok_or(Error::NoTest)?.open(&self.run.config, at)?;
                let loader = ImageData::judged(test, &self.run.config)?;
                self.evaluate(&loader, self.run.config.evaluation.views, interrupt)
            }
        }
    }

    fn picture(&mut self) -> Option<(u32, u32, Vec<u8>)> {
        sheet::png(self.batches.as_mut()?.peek()?.as_ref().ok()?)
    }

    fn classes(&self) -> &[String] {
        self.data.train.classes()
    }
}
