//! What a run is judged by: validation after each epoch, and the test images at its end.

use std::time::Instant;

use candle_core::Tensor;
use lookahead_optim::evaluation::EvaluationWeights;
use lookahead_runs::Position;

use super::evaluate::{Evaluation, evaluate};
use super::interrupt::Interrupt;
use super::setup::Setup;
use crate::config::Views;
use crate::error::{Error, LossOf, Result};

/// What validation found, and the weights it was at.
#[derive(Debug)]
pub(super) struct Validated {
    pub(super) evaluation: Evaluation,
    pub(super) weights: Vec<(String, Tensor)>,
}

/// Validates at the weights meant for evaluation, slow ones or averages, whatever the step modulo the sync period; `None` where
/// `interrupt` asked to stop.
pub(super) fn validate(
    setup: &mut Setup<'_>,
    at: &mut Position,
    views: Views,
    interrupt: &Interrupt,
) -> Result<Option<Validated>> {
    let clock = Instant::now();
    let (model, valid, device, normalize) = (&*setup.model, &setup.valid, setup.device, &setup.normalize);
    let in_place = EvaluationWeights::of(&mut *setup.optimizer)?;
    let evaluation = evaluate(model, valid, device, normalize, views, interrupt)?;
    // Copies that do not follow the variables when the optimizer goes on.
    let copy = |(name, tensor): (String, Tensor)| Ok((name, tensor.detach().copy()?));
    let weights = model.state().into_iter().map(copy).collect::<candle_core::Result<_>>()?;
    in_place.restore()?;
    let Some(evaluation) = evaluation else { return Ok(None) };
    at.time.validation += clock.elapsed().as_secs_f64();
    match evaluation.loss {
        loss if loss.is_finite() => Ok(Some(Validated { evaluation, weights })),
        loss => Err(Error::NotFinite { of: LossOf::Validation(at.step), loss }),
    }
}

/// Reads the test images of a run that is done, where it has any: the one place that does. `None` where `interrupt` asked to stop.
pub(super) fn test(
    setup: &mut Setup<'_>,
    at: &mut Position,
    interrupt: &Interrupt,
) -> Result<Option<Option<Evaluation>>> {
    let Some(images) = &setup.test else { return Ok(Some(None)) };
    let clock = Instant::now();
    let loader = images.open(&setup.run.config, at)?;
    let in_place = EvaluationWeights::of(&mut *setup.optimizer)?;
    let views = setup.run.config.evaluation.views;
    let evaluation = evaluate(&*setup.model, &loader, setup.device, &setup.normalize, views, interrupt)?;
    in_place.restore()?;
    at.time.validation += clock.elapsed().as_secs_f64();
    match evaluation {
        None => Ok(None),
        Some(found) if found.loss.is_finite() => Ok(Some(Some(found))),
        Some(found) => Err(Error::NotFinite { of: LossOf::Validation(at.step), loss: found.loss }),
    }
}
