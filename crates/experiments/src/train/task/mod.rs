//! Tasks: how a batch becomes a loss, and how the weights are evaluated.

mod images;
mod language;
mod sheet;
mod tally;
mod views;

use std::fmt::Debug;

use candle_core::{Device, Tensor, Var};
use lookahead_models::Pass;
use lookahead_runs::{Confusion, Position, Scores};

pub use images::Images;
pub use language::Language;
#[cfg(test)]
pub(super) use views::logits;

use super::interrupt::Interrupt;
use crate::config::{RunConfig, Views};
use crate::error::Result;
use crate::parts::Data;

/// A network with its data, as the training loop sees them.
///
/// An epoch is [`begin`](Self::begin), then [`load`](Self::load) and [`loss`](Self::loss) for each batch, then
/// [`end`](Self::end).
pub trait Task: Debug {
    /// The trained parameters, sorted by name.
    fn parameters(&self) -> Vec<(String, Var)>;

    /// Tensors that belong to the weights but are not trained, such as running statistics, sorted by name. Averages of
    /// the weights may include them.
    fn buffers(&self) -> Vec<(String, Var)>;

    /// Parameters and buffers, sorted by name. The tensors are not copies.
    fn state(&self) -> Vec<(String, Tensor)>;

    /// Parameters that are frozen at step `step`, counted from 0.
    fn frozen(&self, _step: usize) -> Vec<Var> {
        Vec::new()
    }

    /// Batches per epoch.
    fn batches_per_epoch(&self) -> usize;

    /// The number of images or tokens in the first `batches` batches of a run.
    fn seen(&self, batches: usize) -> usize;

    /// Moves to batch `batch` of epoch `epoch`, both counted from 0. No state is carried into the first batch of an
    /// epoch.
    ///
    /// # Errors
    /// Candle errors, such as too little memory.
    fn begin(&mut self, epoch: usize, batch: usize) -> Result<()>;

    /// Loads the next batch to the device; false if the epoch has none left.
    ///
    /// # Errors
    /// Errors of the data.
    fn load(&mut self) -> Result<bool>;

    /// The mean loss of the loaded batch: a scalar with its graph.
    ///
    /// # Errors
    /// Errors of the network.
    fn loss(&mut self, pass: Pass) -> Result<Tensor>;

    /// Drops batches that were loaded ahead.
    fn end(&mut self) {}

    /// The current state that one batch passes to the next in addition to the weights, for a checkpoint: the state of a
    /// recurrent network.
    ///
    /// # Errors
    /// Candle errors, such as too little memory.
    fn carried(&self) -> Result<Vec<(String, Var)>> {
        Ok(Vec::new())
    }

    /// Continues with the state that [`carried`](Self::carried) returned, from a checkpoint.
    ///
    /// # Errors
    /// Tensors of another shape.
    fn carry_on(&mut self, _carried: &[(String, Var)]) -> Result<()> {
        Ok(())
    }

    /// Whether there is a test part in addition to the validation part.
    fn has_test(&self) -> bool;

    /// Evaluates the current weights on all of `part`; `None` if `interrupt` asked to stop.
    ///
    /// # Errors
    /// Errors of the data and of the network; a test part before the run is finished.
    fn judge(&self, part: Judge<'_>, interrupt: &Interrupt) -> Result<Option<Evaluation>>;

    /// A picture of the next batch: width, height and PNG. Errors in the batch are reported by [`load`](Self::load).
    fn picture(&mut self) -> Option<(u32, u32, Vec<u8>)> {
        None
    }

    /// Text that the network generates with the current weights.
    ///
    /// # Errors
    /// Errors of the network.
    fn sample(&self) -> Result<Option<String>> {
        Ok(None)
    }

    /// The class names; empty if there are no classes.
    fn classes(&self) -> &[String] {
        &[]
    }
}

/// The part on which the weights are evaluated.
#[derive(Debug, Clone, Copy)]
pub enum Judge<'a> {
    /// The validation part, each image in these views.
    Valid(Views),
    /// The test part, for a run at this position.
    Test(&'a Position),
}

/// The result of a pass over a part.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Mean cross-entropy in nats per image or token, without label smoothing.
    pub loss: f64,
    /// The scores of the task.
    pub scores: Scores,
    /// Results by class, if there are classes.
    pub classes: Option<ByClass>,
}

/// How images of each class were classified.
#[derive(Debug, Clone, PartialEq)]
pub struct ByClass {
    /// Expected calibration error over 15 bins of equal width, 0 to 1 (Guo et al., 2017, arXiv:1706.04599).
    pub ece: f64,
    /// Which classes were confused with which.
    pub confusion: Confusion,
}

/// The task of `run` on `data`, with its network on `device`.
///
/// # Errors
/// Data of another kind than the configuration's; errors of the network and the loaders.
pub fn task<'a>(run: &'a RunConfig, data: &'a Data, device: &'a Device) -> Result<Box<dyn Task + 'a>> {
    Ok(match data {
        Data::Images(data) => Box::new(Images::new(run, data, device)?),
        Data::Text(data) => Box::new(Language::new(run, data, device)?),
    })
}
