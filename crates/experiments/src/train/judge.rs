//! What a run is judged by: validation after each epoch, and the test part at its end.

use std::time::Instant;

use candle_core::Tensor;
use lookahead_optim::evaluation::EvaluationWeights;
use lookahead_runs::Position;

use super::interrupt::Interrupt;
use super::setup::Setup;
use super::task::{Evaluation, Judge, Task};
use crate::config::Views;
use crate::error::{Error, LossOf, Result};

/// What validation found, and what there was at those weights.
#[derive(Debug)]
pub(super) struct Validated {
    pub(super) evaluation: Evaluation,
    pub(super) weights: Vec<(String, Tensor)>,
    /// Text that they write.
    pub(super) sample: Option<String>,
}

/// Validates at the weights meant for evaluation, slow ones or averages, whatever the step modulo the sync period; `None` where
/// `interrupt` asked to stop.
pub(super) fn validate(
    setup: &mut Setup<'_>,
    at: &mut Position,
    views: Views,
    interrupt: &Interrupt,
) -> Result<Option<Validated>> {
    // Copies that do not follow the variables when the optimizer goes on.
    let copy = |(name, tensor): (String, Tensor)| Ok((name, tensor.detach().copy()?));
    let keep = |task: &dyn Task| -> Result<_> {
        let weights = task.state().into_iter().map(copy).collect::<candle_core::Result<_>>()?;
        Ok((weights, task.sample()?))
    };
    let found = evaluated(setup, Judge::Valid(views), at.step, interrupt, keep)?;
    let Some((seconds, evaluation, (weights, sample))) = found else { return Ok(None) };
    at.time.validation += seconds;
    Ok(Some(Validated { evaluation, weights, sample }))
}

/// Reads the test part of a run that is done, where it has one: the one place that does. `None` where `interrupt` asked to stop.
pub(super) fn test(
    setup: &mut Setup<'_>,
    at: &mut Position,
    interrupt: &Interrupt,
) -> Result<Option<Option<Evaluation>>> {
    if !setup.task.has_test() {
        return Ok(Some(None));
    }
    let found = evaluated(setup, Judge::Test(at), at.step, interrupt, |_| Ok(()))?;
    let Some((seconds, evaluation, ())) = found else { return Ok(None) };
    at.time.validation += seconds;
    Ok(Some(Some(evaluation)))
}

/// Seconds, what `part` gives at the weights meant for evaluation after `steps` steps, and what `keep` takes of the task there.
fn evaluated<T>(
    setup: &mut Setup<'_>,
    part: Judge<'_>,
    steps: usize,
    interrupt: &Interrupt,
    keep: impl FnOnce(&dyn Task) -> Result<T>,
) -> Result<Option<(f64, Evaluation, T)>> {
    let clock = Instant::now();
    let task = &*setup.task;
    let in_place = EvaluationWeights::of(&mut *setup.optimizer)?;
    let evaluation = task.judge(part, interrupt)?;
    let found = match evaluation {
        Some(evaluation) => Some((evaluation, keep(task)?)),
        None => None,
    };
    in_place.restore()?;
    let Some((evaluation, kept)) = found else { return Ok(None) };
    match evaluation.loss {
        loss if loss.is_finite() => Ok(Some((clock.elapsed().as_secs_f64(), evaluation, kept))),
        loss => Err(Error::NotFinite { of: LossOf::Validation(steps), loss }),
    }
}
