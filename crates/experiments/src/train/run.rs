//! The loop.

use std::iter::Peekable;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use lookahead_data::Batches;
use lookahead_optim::evaluation::EvaluationWeights;
use lookahead_runs::{
    Checkpoints, EpochRecord, Figures, HeldOutFigures, Position, Reached, Record, RunDetails, RunFolder, RunSummary,
    Split, StepRecord, Target,
};

use super::evaluate::{Evaluation, evaluate};
use super::interrupt::Interrupt;
use super::losses::PendingLosses;
use super::setup::Setup;
use super::watch::Watch;
use super::{memory, sheet};
use crate::config::{RunConfig, Views};
use crate::error::{Error, LossOf, Result};
use crate::parts::Data;
use crate::run::{self, Journal, weights_digest};

/// What does not change a run's result.
#[derive(Debug, Clone)]
pub struct LoopOptions {
    /// Steps between two lines of `metrics.jsonl`.
    pub log_every: usize,
    /// Steps between two checkpoints; `None` saves at the end of an epoch only, and each minute.
    pub checkpoint_every: Option<usize>,
    /// Who asks the loop to stop.
    pub interrupt: Interrupt,
}

/// A run that saves nothing for longer than this loses no more than this.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);

/// Trains `run` to its end, from its last checkpoint where there is one, and writes its summary.
///
/// Step t uses the schedule's values at t, from 0, and the batch that (seed, epoch, position) name, so a resumed run
/// makes the very steps of one that never stopped. A loss that is not finite is written down in the folder.
///
/// # Errors
/// [`Error::Diverged`] at the first loss that is not finite; [`Error::Interrupted`] once all is saved; those of the data, the
/// optimizer and the output.
pub fn train(
    run: &RunConfig,
    data: &Data,
    device: &Device,
    folder: &RunFolder,
    options: &LoopOptions,
    watch: &mut dyn Watch,
) -> Result<RunSummary> {
    let trained = Setup::new(run, data, device).and_then(|setup| train_from(setup, folder, options, watch));
    trained.map_err(|error| match error {
        Error::NotFinite { of, loss } => diverged(run, folder, of, loss),
        other => other.for_batch(&run.config.device, run.config.train.batch_size),
    })
}

/// [`train`] with a setup of the caller's making.
///
/// # Errors
/// As [`train`], but [`Error::NotFinite`] for a loss that is not finite.
pub fn train_from(
    mut setup: Setup<'_>,
    folder: &RunFolder,
    options: &LoopOptions,
    watch: &mut dyn Watch,
) -> Result<RunSummary> {
    let (epochs, steps) = (setup.run.config.train.epochs_begun(), setup.total_steps);
    let views = setup.run.config.evaluation.views;
    let checkpoints = folder.checkpoints()?;
    let buffers = setup.model.buffers();
    let (mut at, notice) = run::resume(&checkpoints, &mut *setup.optimizer, &buffers)?;
    let mut journal = Journal::open(folder, setup.run, &at)?;
    if at.step == 0 {
        at.time.data += setup.seconds;
    }
    watch.begin(epochs, steps, at.step, &journal.kept()?);
    notice.iter().for_each(|text| watch.note(text));
    memory::reset_peak();
    let (mut losses, mut saved, mut last) = (PendingLosses::default(), Instant::now(), None);

    while at.epoch < epochs {
        let mut batches = setup.train.epoch(at.epoch, at.step_in_epoch * setup.run.config.train.accumulate).peekable();
        if at.step == 0 {
            first_batch(&mut batches, &mut journal, &mut at)?;
        }
        while at.step_in_epoch < setup.steps_per_epoch && at.step < steps {
            setup.schedules.set(&mut *setup.optimizer, at.step)?;
            let gradients = setup.gradients(at.step, &mut batches, &mut at.time)?;
            let clock = Instant::now();
            setup.optimizer.step(&gradients.store)?;
            at.time.optimizer += clock.elapsed().as_secs_f64();
            losses.push(gradients.loss);
            (at.step, at.step_in_epoch) = (at.step + 1, at.step_in_epoch + 1);

            let log = at.step.is_multiple_of(options.log_every);
            let stop = options.interrupt.is_asked();
            let save = options.checkpoint_every.is_some_and(|steps| at.step.is_multiple_of(steps))
                || saved.elapsed() > CHECKPOINT_INTERVAL
                || stop;
            if log || save || setup.device.is_cpu() {
                losses.read_into(&mut at)?; // waits for the device; only finite losses are logged or saved
                watch.steps(at.step);
            }
            if log {
                let record = Record::Step(step_record(&setup, &mut at));
                journal.record(&record)?;
                watch.record(&record);
            }
            if save {
                checkpoint(&checkpoints, &setup, &journal, &mut at)?;
                saved = Instant::now();
            }
            if stop {
                return Err(Error::Interrupted { run: setup.run.name(), step: at.step });
            }
        }
        drop(batches);

        losses.read_into(&mut at)?;
        let Some(valid) = validate(&mut setup, &mut at, Views::One, &options.interrupt)? else {
            checkpoint(&checkpoints, &setup, &journal, &mut at)?; // to go on, validate the epoch again
            return Err(Error::Interrupted { run: setup.run.name(), step: at.step });
        };
        if at.best_epoch == 0 || valid.evaluation.top1 > at.best_top1 {
            (at.best_top1, at.best_epoch) = (valid.evaluation.top1, at.epoch + 1);
            run::save_weights(&checkpoints, "best", &valid.weights)?;
        }
        note_target(setup.run, &mut at, valid.evaluation.top1);
        let record = Record::Epoch(epoch_record(&setup, &mut at, &valid.evaluation));
        journal.record(&record)?;
        watch.record(&record);
        checkpoint(&checkpoints, &setup, &journal, &mut at)?;
        saved = Instant::now();
        last = Some(valid);
        if options.interrupt.is_asked() && at.epoch < epochs {
            return Err(Error::Interrupted { run: setup.run.name(), step: at.step });
        }
    }

    // More views than the epochs' one take another validation; so does a run that was stopped after its last checkpoint.
    let last = match last.filter(|_| views == Views::One) {
        Some(last) => Some(last),
        None => validate(&mut setup, &mut at, views, &options.interrupt)?,
    };
    let Some(last) = last else { return Err(Error::Interrupted { run: setup.run.name(), step: at.step }) };
    note_target(setup.run, &mut at, last.evaluation.top1);
    run::save_weights(&checkpoints, "final", &last.weights)?;
    let Some(test) = test(&mut setup, &mut at, &options.interrupt)? else {
        return Err(Error::Interrupted { run: setup.run.name(), step: at.step });
    };
    let summary = summary(&setup, folder, &at, last, test)?;
    folder.finish(&summary)?;
    checkpoints.keep_weights(at.best_epoch == at.epoch);
    Ok(summary)
}

/// What validation found, and the weights it was at.
#[derive(Debug)]
struct Validated {
    evaluation: Evaluation,
    weights: Vec<(String, Tensor)>,
}

/// Validates at the weights meant for evaluation, slow ones or averages, whatever the step modulo the sync period; `None` where
/// `interrupt` asked to stop.
fn validate(
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
fn test(setup: &mut Setup<'_>, at: &mut Position, interrupt: &Interrupt) -> Result<Option<Option<Evaluation>>> {
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

/// TensorBoard shows the first images of the run as they were augmented. What is wrong with the batch is for the step to say.
fn first_batch(batches: &mut Peekable<Batches>, journal: &mut Journal, at: &mut Position) -> Result<()> {
    let clock = Instant::now();
    let picture = batches.peek().and_then(|batch| batch.as_ref().ok()).and_then(sheet::png);
    at.time.data += clock.elapsed().as_secs_f64();
    picture.map_or(Ok(()), |picture| journal.first_batch(picture))
}

fn checkpoint(checkpoints: &Checkpoints, setup: &Setup<'_>, journal: &Journal, at: &mut Position) -> Result<()> {
    at.metrics_bytes = journal.bytes();
    at.peak_rss_mb = at.peak_rss_mb.max(memory::peak_mib());
    run::save(checkpoints, &*setup.optimizer, &setup.model.buffers(), at)
}

/// The steps since the last such record.
fn step_record(setup: &Setup<'_>, at: &mut Position) -> StepRecord {
    let train_loss = at.logged_loss / at.logged_steps as f64;
    (at.logged_loss, at.logged_steps) = (0.0, 0);
    StepRecord {
        step: at.step as u64 - 1,
        epoch: at.epoch as u64,
        learning_rate: setup.schedules.learning_rate.at(at.step - 1),
        momentum: setup.optimizer.momentum(),
        train_loss,
        images_per_second: images_per_second(setup, at),
        seconds: at.time.training(),
    }
}

/// Writes down when an accuracy of `top1` percent reached the target, where it is the first that does.
fn note_target(run: &RunConfig, at: &mut Position, top1: f64) {
    let target = run.config.evaluation.target;
    if target > 0.0 && top1 >= target && at.target.is_none() {
        at.target = Some(Reached { step: at.step as u64, seconds: at.time.training() });
    }
}

/// Ends the epoch under way.
fn epoch_record(setup: &Setup<'_>, at: &mut Position, valid: &Evaluation) -> EpochRecord {
    at.train_loss = at.epoch_loss / at.step_in_epoch.max(1) as f64;
    (at.epoch, at.step_in_epoch, at.epoch_loss) = (at.epoch + 1, 0, 0.0);
    EpochRecord {
        epoch: at.epoch as u64,
        step: at.step as u64 - 1,
        learning_rate: setup.schedules.learning_rate.at(at.step - 1),
        train_loss: at.train_loss,
        valid_loss: valid.loss,
        top1: valid.top1,
        top5: valid.top5,
        ece: valid.ece,
        seconds: at.time.total(),
    }
}

fn images_per_second(setup: &Setup<'_>, at: &Position) -> f64 {
    (at.step * setup.run.config.train.batch_size) as f64 / at.time.training()
}

/// The figures are those of the test images, where they were read; those that the run was validated on are test images too where
/// nothing is held out.
fn summary(
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
        views: setup.run.config.evaluation.views.into(),
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

/// Writes the end down and says what to try.
fn diverged(run: &RunConfig, folder: &RunFolder, of: LossOf, loss: f64) -> Error {
    // The weights whose loss is no number may have been saved before it was known: those of earlier steps had finite losses.
    let good = folder.checkpoints().map(|checkpoints| checkpoints.describe_before(of.steps_done())).unwrap_or_default();
    let step = match of {
        LossOf::Step(step) => step,
        LossOf::Validation(steps) => steps.saturating_sub(1),
    };
    if let Err(error) = folder.diverged(step as u64) {
        return error.into();
    }
    let (row, experiment) = (&run.row.name, run.config.experiment);
    let hint = format!(
        "try a lower learning rate: the same command with `--optimizers {row} --lr {:.1e} --fresh` at its end; \
         `just lr-find {experiment} --optimizers {row}` shows where it breaks",
        run.row.inner.learning_rate() / 3.0,
    );
    Error::Diverged { run: run.name(), of, loss, checkpoint: good, hint }
}
