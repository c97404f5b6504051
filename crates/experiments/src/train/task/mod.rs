//! What a run learns: how a batch becomes a loss, and what the weights are judged by.

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

/// A network with its data, as the loop sees them.
///
/// An epoch is [`begin`](Self::begin), then [`load`](Self::load) and [`loss`](Self::loss) for each batch, then [`end`](Self::end).
pub trait Task: Debug {
    /// What is trained, sorted by name.
    fn parameters(&self) -> Vec<(String, Var)>;

    /// What belongs to the weights without being trained, such as running statistics, sorted by name: averages of the weights may take
    /// it along.
    fn buffers(&self) -> Vec<(String, Var)>;

    /// Parameters and buffers, sorted by name. The tensors are the live ones.
    fn state(&self) -> Vec<(String, Tensor)>;

    /// Parameters that step `step`, from 0, leaves as they are.
    fn frozen(&self, _step: usize) -> Vec<Var> {
        Vec::new()
    }

    /// Batches of an epoch.
    fn batches_per_epoch(&self) -> usize;

    /// Images or tokens of the first `batches` batches of a run.
    fn seen(&self, batches: usize) -> usize;

    /// Goes to batch `batch` of epoch `epoch`, both from 0. The first batch of an epoch begins with nothing carried.
    ///
    /// # Errors
    /// candle's, if there is no memory.
    fn begin(&mut self, epoch: usize, batch: usize) -> Result<()>;

    /// Brings the next batch to the device; false where the epoch has none left.
    ///
    /// # Errors
    /// Those of the data.
    fn load(&mut self) -> Result<bool>;

    /// The mean loss of the batch that was loaded: a scalar with its graph.
    ///
    /// # Errors
    /// Those of the network.
    fn loss(&mut self, pass: Pass) -> Result<Tensor>;

    /// Lets go of batches that were loaded ahead.
    fn end(&mut self) {}

    /// What a batch hands to the next beside the weights, as it stands, for a checkpoint: the state of a recurrent network.
    ///
    /// # Errors
    /// candle's, if there is no memory.
    fn carried(&self) -> Result<Vec<(String, Var)>> {
        Ok(Vec::new())
    }

    /// Goes on with what [`carried`](Self::carried) gave, of a checkpoint.
    ///
    /// # Errors
    /// Tensors of another shape.
    fn carry_on(&mut self, _carried: &[(String, Var)]) -> Result<()> {
        Ok(())
    }

    /// Whether there is a test part beside that of validation.
    fn has_test(&self) -> bool;

    /// Judges the weights as they stand by all of `part`; `None` where `interrupt` asked to stop.
    ///
    /// # Errors
    /// Those of the data and of the network; a test part before the run is done.
    fn judge(&self, part: Judge<'_>, interrupt: &Interrupt) -> Result<Option<Evaluation>>;

    /// A picture of the batch to come: width, height and PNG. What is wrong with the batch is for [`load`](Self::load) to say.
    fn picture(&mut self) -> Option<(u32, u32, Vec<u8>)> {
        None
    }

    /// Text that the network writes with the weights as they stand.
    ///
    /// # Errors
    /// Those of the network.
    fn sample(&self) -> Result<Option<String>> {
        Ok(None)
    }

    /// The class names; none where there are no classes.
    fn classes(&self) -> &[String] {
        &[]
    }
}

/// What the weights are judged by.
#[derive(Debug, Clone, Copy)]
pub enum Judge<'a> {
    /// The part for validation, each image in these views.
    Valid(Views),
    /// The test part, for a run that stands there.
    Test(&'a Position),
}

/// What a pass over a part found.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Mean cross-entropy, nats an image or a token, without smoothing.
    pub loss: f64,
    /// The scores of the task.
    pub scores: Scores,
    /// What there is beside them where there are classes.
    pub classes: Option<ByClass>,
}

/// How images of each class were classified.
#[derive(Debug, Clone, PartialEq)]
pub struct ByClass {
    /// Expected calibration error over 15 bins of equal width, 0 to 1 (Guo et al., 2017, arXiv:1706.04599).
    pub ece: f64,
    /// Which classes were taken for which.
    pub confusion: Confusion,
}

/// The task of `run` on `data`, with its network on `device`.
///
/// # Errors
/// Data of another kind than the configuration's; those of the network and the loaders.
pub fn task<'a>(run: &'a RunConfig, data: &'a Data, device: &'a Device) -> Result<Box<dyn Task + 'a>> {
    Ok(match data {
        Data::Images(data) => Box::new(Images::new(run, data, device)?),
        Data::Text(data) => Box::new(Language::new(run, data, device)?),
    })
}
