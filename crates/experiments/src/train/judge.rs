//! What a run is judged by: validation after each epoch, and the test images at its end.

use std::time::Instant;

use candle_core::Tensor;
use lookahead_data::Loader;
use lookahead_optim::evaluation::EvaluationWeights;
use lookahead_runs::Position;

use super::evaluate::{Evaluation, evaluate};
use super::interrupt::Interrupt;
use super::setup::Setup;
use crate::config::Views;
use crate::error::{Error, LossOf, Result};
use crate::parts::Network;

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
    // Copies that do not follow the variables when the optimizer goes on.
    let copy = |(name, tensor): (String, Tensor)| Ok((name, tensor.detach().copy()?));
    let copies = |model: &dyn Network| model.state().into_iter().map(copy).collect::<candle_core::Result<_>>();
    let found = evaluated(setup, None, at, views, interrupt, |model| Ok(copies(model)?))?;
    Ok(found.map(|(evaluation, weights)| Validated { evaluation, weights }))
}

/// Reads the test images of a run that is done, where it has any: the one place that does. `None` where `interrupt` asked to stop.
pub(super) fn test(
    setup: &mut Setup<'_>,
    at: &mut Position,
    interrupt: &Interrupt,
) -> Result<Option<Option<Evaluation>>> {
    let Some(images) = &setup.test else { return Ok(Some(None)) };
    let (loader, views) = (images.open(&setup.run.config, at)?, setup.run.config.evaluation.views);
    let found = evaluated(setup, Some(&loader), at, views, interrupt, |_| Ok(()))?;
    Ok(found.map(|(evaluation, ())| Some(evaluation)))
}

/// What the images of `loader`, by default those of validation, give at the weights meant for evaluation, and what `keep` takes of the
/// network there.
fn evaluated<T>(
    setup: &mut Setup<'_>,
    loader: Option<&Loader>,
    at: &mut Position,
    views: Views,
    interrupt: &Interrupt,
    keep: impl FnOnce(&dyn Network) -> Result<T>,
) -> Result<Option<(Evaluation, T)>> {
    let clock = Instant::now();
    let (model, loader) = (&*setup.model, loader.unwrap_or(&setup.valid));
    let in_place = EvaluationWeights::of(&mut *setup.optimizer)?;
    let evaluation = evaluate(model, loader, setup.device, &setup.normalize, views, interrupt)?;
    let kept = keep(model)?;
    in_place.restore()?;
    let Some(evaluation) = evaluation else { return Ok(None) };
    at.time.validation += clock.elapsed().as_secs_f64();
    match evaluation.loss {
        loss if loss.is_finite() => Ok(Some((evaluation, kept))),
        loss => Err(Error::NotFinite { of: LossOf::Validation(at.step), loss }),
    }
}
