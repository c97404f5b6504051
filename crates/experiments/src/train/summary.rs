//! The summary of a finished run, and when it reached its target.

use lookahead_runs::{Figures, HeldOutFigures, Position, Reached, RunDetails, RunFolder, RunSummary, Split, Target};

use super::judge::Validated;
use super::memory;
use super::run::per_second;
use super::setup::Setup;
use super::task::Evaluation;
use crate::config::RunConfig;
use crate::error::Result;
use crate::run::weights_digest;

/// Records the time if `value` is the first score that reaches the target.
pub(super) fn note_target(run: &RunConfig, at: &mut Position, value: f64) {
    let (target, score) = (run.config.evaluation.target, run.config.data.task().score());
    let has_reached = value == target || score.is_better(value, target);
    if target > 0.0 && has_reached && at.target.is_none() {
        at.target = Some(Reached { step: at.step as u64, seconds: at.time.training() });
    }
}

/// The figures are those of the test part, if it was read. If nothing is held out, the run was validated on the test
/// part too.
pub(super) fn summary(
    setup: &Setup<'_>,
    folder: &RunFolder,
    at: &Position,
    last: Validated,
    test: Option<Evaluation>,
) -> Result<RunSummary> {
    let Validated { evaluation: of_valid, weights, sample } = last;
    let split = if setup.run.config.data.has_valid() && test.is_none() { Split::Valid } else { Split::Test };
    let valid = test.is_some().then_some(HeldOutFigures { loss: of_valid.loss, scores: of_valid.scores });
    let evaluation = test.unwrap_or(of_valid);
    let id = setup.run.row.id();
    let details = RunDetails {
        data_sha256: folder.data().sha256.clone(),
        best_score: at.best_score,
        best_epoch: at.best_epoch as u64,
        time: at.time,
        classes: setup.task.classes().to_vec(),
        ece: evaluation.classes.as_ref().map(|classes| classes.ece),
        sample: sample.unwrap_or_default(),
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
            scores: evaluation.scores,
            seconds: at.time.total(),
            per_second: per_second(setup, at),
        },
        steps: at.step as u64,
        peak_rss_mb: at.peak_rss_mb.max(memory::peak_mib()),
        weights_sha256: weights_digest(&weights)?,
        details: Some(match &evaluation.classes {
            Some(classes) => details.with_confusion(&classes.confusion),
            None => details,
        }),
    })
}

/// The target and when it was reached, if the run has one.
fn target(run: &RunConfig, at: &Position) -> Option<Target> {
    let score = run.config.evaluation.target;
    (score > 0.0).then_some(Target { score, reached: at.target })
}
