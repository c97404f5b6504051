//! The gradients of one step.

use std::time::Instant;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor};
use lookahead_data::{Batch, DeviceBatch, Normalize};
use lookahead_kernels::{Error as KernelError, cross_entropy, cross_entropy_indices, gradients_of};
use lookahead_models::{Error as ModelError, Pass};
use lookahead_runs::TimeSplit;

use crate::config::TrainConfig;
use crate::error::{Error, Result};
use crate::parts::Network;

/// A step's loss, a scalar without a graph, and its gradients.
#[derive(Debug)]
pub struct Gradients {
    /// Mean loss of the step's images, nats an image.
    pub loss: Tensor,
    /// Its gradients, by variable.
    pub store: GradStore,
}

/// What the gradients of a step are taken of.
#[derive(Debug)]
pub struct Task<'a> {
    /// The network.
    pub model: &'a dyn Network,
    /// How batches are made into steps.
    pub train: &'a TrainConfig,
    /// Bytes to numbers.
    pub normalize: &'a Normalize,
    /// Where the network is.
    pub device: &'a Device,
}

impl Task<'_> {
    /// The gradients of step `step`, from 0, over the next `train.accumulate` of `batches`, each a part of the step's batch; the
    /// time it took is added to `time`.
    ///
    /// The loss is the mean over the parts. Dropout's masks are numbered by part, so that a resumed run draws the same ones.
    ///
    /// # Errors
    /// Those of the data and of the network; batches that end too early.
    pub fn gradients(
        &self,
        step: usize,
        batches: &mut dyn Iterator<Item = lookahead_data::Result<Batch>>,
        time: &mut TimeSplit,
    ) -> Result<Gradients> {
        let parts = self.train.accumulate;
        let mut sum: Option<Gradients> = None;
        for part in 0..parts {
            let mut clock = Instant::now();
            let batch = batches.next().ok_or(Error::EndOfData { step })??;
            let batch = batch.to_device(self.device, self.normalize)?;
            lap(&mut clock, &mut time.data);
            let (loss, store) = gradients_of(|| -> Result<Tensor> {
                let loss = self.loss(&batch, Pass::Train { step: (step * parts + part) as u64 })?;
                let loss = if parts > 1 { (loss / parts as f64)? } else { loss };
                lap(&mut clock, &mut time.forward);
                Ok(loss)
            })?;
            let of_part = Gradients { store, loss: loss.detach() };
            sum = Some(match sum {
                None => of_part,
                Some(sum) => add(sum, of_part, self.model)?,
            });
            lap(&mut clock, &mut time.backward);
        }
        sum.ok_or(Error::EndOfData { step })
    }

    /// What the configuration has to do with a batch norm that has one value a channel, as in a batch of one small image.
    fn explained(&self, error: ModelError) -> Error {
        match &error {
            ModelError::Kernel(KernelError::Argument { argument: "values per channel", .. }) => {
                self.train.of_one_image("this network").map_or_else(|| error.into(), Error::from)
            }
            _ => error.into(),
        }
    }

    /// Mean cross-entropy of a batch: (N, K) soft targets where images were mixed, (N) class numbers elsewhere.
    fn loss(&self, batch: &DeviceBatch, pass: Pass) -> Result<Tensor> {
        let images = batch.images.to_dtype(self.model.dtype())?;
        let logits = self.model.forward(&images, pass).map_err(|error| self.explained(error))?;
        // Half precision is for activations; sums of exponentials are not taken in it.
        let logits = if logits.dtype() == DType::F64 { logits } else { logits.to_dtype(DType::F32)? };
        let smoothing = self.train.label_smoothing;
        Ok(match &batch.soft_targets {
            Some(targets) => cross_entropy(&logits, &targets.to_dtype(logits.dtype())?, smoothing)?,
            None => cross_entropy_indices(&logits, &batch.labels, smoothing)?,
        })
    }
}

/// The sum of two, over the parameters of `model`.
fn add(mut sum: Gradients, more: Gradients, model: &dyn Network) -> Result<Gradients> {
    for (_, var) in model.parameters() {
        if let Some(gradient) = more.store.get(&var) {
            let total = match sum.store.get(&var) {
                Some(before) => (before + gradient)?,
                None => gradient.clone(),
            };
            sum.store.insert(&var, total);
        }
    }
    sum.loss = (sum.loss + more.loss)?;
    Ok(sum)
}

/// Adds the time since `clock` to `sum` and starts the clock anew.
fn lap(clock: &mut Instant, sum: &mut f64) {
    let now = Instant::now();
    *sum += (now - *clock).as_secs_f64();
    *clock = now;
}
