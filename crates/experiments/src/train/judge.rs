//! Evaluation of a run: validation after each epoch, and the test part at its end.

use std::time::Instant;

use candle_core::Tensor;
use lookahead_optim::evaluation::EvaluationWeights;
use lookahead_runs::Position;

use super::interrupt::Interrupt;
use super::setup::Setup;
use super::task::{Evaluation, Judge, Task};
use crate::config::Views;
use crate::error::{Error, LossOf, Result};

/// The result of validation, with the evaluated weights.
#[derive(Debug)]
pub(super) struct Validated {
    pub(super) evaluation: Evaluation,
    pub(super) weights: Vec<(String, Tensor)>,
    /// Text generated with these weights.
    pub(super) sample: Option<String>,
}

/// Validates at the evaluation weights (slow weights or averages), also between syncs; `None` if `interrupt` asked to
/// stop.
pub(super) fn validate(
    setup: &mut Setup<'_>,
    at: &mut Position,
    views: Views,
    interrupt: &Interrupt,
) -> Result<Option<Validated>> {
    // Copies, because the optimizer will change the variables.
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

/// Reads the test part of a finished run, if it has one. No other code does. `None` if `interrupt` asked to stop.
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

/// Evaluates `part` at the evaluation weights after `steps` steps. Returns the seconds taken, the evaluation, and what
/// `keep` reads from the task at those weights.
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
    check_finite(&evaluation, steps)?;
    Ok(Some((clock.elapsed().as_secs_f64(), evaluation, kept)))
}

/// Loss and scores must be numbers that files can hold. The perplexity of a finite loss above 709 is infinite.
fn check_finite(evaluation: &Evaluation, steps: usize) -> Result<()> {
    let loss = (LossOf::Validation(steps), evaluation.loss);
    let scores = evaluation.scores.all().map(|(measure, value)| (LossOf::Score { measure, steps }, value));
    match std::iter::once(loss).chain(scores).find(|(_, value)| !value.is_finite()) {
        Some((of, loss)) => Err(Error::NotFinite { of, loss }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use lookahead_runs::Scores;

    use super::*;

    #[test]
    fn an_infinite_perplexity_is_a_divergence() {
        let at = |loss: f64| Evaluation { loss, scores: Scores::of_language(loss), classes: None };
        check_finite(&at(700.0), 9).unwrap();
        let message = |loss| check_finite(&at(loss), 1).unwrap_err().to_string();
        assert_eq!(message(710.0), "the validation perplexity after 1 step is inf");
        assert_eq!(message(f64::NAN), "the validation loss after 1 step is NaN");
    }
}
