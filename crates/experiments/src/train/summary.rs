//! What a run ends with: its summary, and when it reached its target.

use lookahead_runs::{Figures, HeldOutFigures, Position, Reached, RunDetails, RunFolder, RunSummary, Split, Target};

use super::evaluate::Evaluation;
use super::judge::Validated;
use super::memory;
use super::run::images_per_second;
use super::setup::Setup;
use crate::config::RunConfig;
use crate::error::Result;
use crate::run::weights_digest;

/// Writes down when an accuracy of `top1` percent reached the target, where it is the first that does.
pub(super) fn note_target(run: &RunConfig, at: &mut Position, top1: f64) {
    let target = run.config.evaluation.target;
    if target > 0.0 && top1 >= target && at.target.is_none() {
        at.target = Some(Reached { step: at.step as u64, seconds: at.time.training() });
    }
}

/// The figures are those of the test images, where they were read; those that the run was validated on are test images too where
/// nothing is held out.
pub(super) fn summary(
    setup: &Setup<'_>,
    folder: &RunFolder,
    at: &Position,
    last: Validated,
    test: Option<Evaluation>,
) -> Result<RunSummary> {
    let Validated { evaluation: of_valid, weights } = last;
    let held_out = setup.run.config.data.held_out > 0.0;
    let split = if held_out && test.is_none() { Split::Valid } else { Split::Test };
    let valid =
        test.is_some().then_some(HeldOutFigures { loss: of_valid.loss, top1: of_valid.top1, top5: of_valid.top5 });
    let evaluation = test.unwrap_or(of_valid);
    let id = setup.run.row.id();
    let details = RunDetails {
        data_sha256: folder.data().sha256.clone(),
        best_top1: at.best_top1,
        best_epoch: at.best_epoch as u64,
        time: at.time,
        classes: setup.train.dataset().classes().to_vec(),
        ece: evaluation.ece,
        views: Some(setup.run.config.evaluation.views.into()).filter(|&views| views > 1),
        target: target(setup.run, at),
        valid,
        ..RunDetails::default()
    };
    Ok(RunSummary {
        optimizer: id.name,
        state: id.state,
        seed: setup.run.seed,
        split,
        figures: Figures {
            train_loss: at.train_loss,
            valid_loss: evaluation.loss,
            top1: evaluation.top1,
            top5: evaluation.top5,
            seconds: at.time.total(),
            images_per_second: images_per_second(setup, at),
        },
        steps: at.step as u64,
        peak_rss_mb: at.peak_rss_mb.max(memory::peak_mib()),
        weights_sha256: weights_digest(&weights)?,
        details: Some(details.with_confusion(&evaluation.confusion)),
    })
}

/// The target and when it was reached, of a run that has one.
fn target(run: &RunConfig, at: &Position) -> Option<Target> {
    let top1 = run.config.evaluation.target;
    (top1 > 0.0).then_some(Target { top1, reached: at.target })
}
