//! The training loop.

use std::time::{Duration, Instant};

use candle_core::Device;
use lookahead_optim::lookahead::Period;
use lookahead_report::counted;
use lookahead_runs::{Checkpoints, EpochRecord, Position, Record, RunFolder, RunSummary, StepRecord};

use super::interrupt::Interrupt;
use super::judge::{test, validate};
use super::losses::PendingLosses;
use super::memory;
use super::setup::Setup;
use super::summary::{note_target, summary};
use super::task::Evaluation;
use super::watch::Watch;
use crate::config::{RunConfig, Views};
use crate::error::{Error, LossOf, Result};
use crate::parts::Data;
use crate::run::{self, Journal};

/// Options of the loop that do not change a run's result.
#[derive(Debug, Clone)]
pub struct LoopOptions {
    /// Steps between two lines of `metrics.jsonl`.
    pub log_every: usize,
    /// Steps between checkpoints; `None` saves only at the end of each epoch and every minute.
    pub checkpoint_every: Option<usize>,
    /// A request to save and stop after the current step.
    pub interrupt: Interrupt,
}

/// Save at least this often, so that a crash loses at most this much work.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);

/// Trains `run` to its end, from its last checkpoint if there is one, and writes its summary.
///
/// Step t uses the schedule's values at t, counted from 0, and the batch given by (seed, epoch, position), so a resumed
/// run makes exactly the steps of an uninterrupted one. A loss that is not finite is recorded in the folder.
///
/// # Errors
/// [`Error::Diverged`] at the first loss that is not finite; [`Error::Interrupted`] after everything is saved; errors
/// of the data, the optimizer and the output.
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
        other => other.for_batch(&run.config.device, run.config.train.batch_size, "--batch-size"),
    })
}

/// Like [`train`], with a setup that the caller builds.
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
    let score = setup.run.config.data.task().score();
    let checkpoints = folder.checkpoints()?;
    let carried = setup.task.carried()?;
    let buffers = [setup.task.buffers(), carried.clone()].concat();
    let (mut at, notice) = run::resume(&checkpoints, &mut *setup.optimizer, &buffers)?;
    setup.task.carry_on(&carried)?;
    let mut journal = Journal::open(folder, setup.run, &at)?;
    if at.step == 0 {
        at.time.data += setup.seconds;
    }
    watch.begin(epochs, steps, at.step, &journal.kept()?);
    notice.into_iter().chain(journal.notice()).for_each(|text| watch.note(&text));
    never_syncs(setup.run, steps).iter().for_each(|text| watch.note(text));
    memory::reset_peak();
    let (mut losses, mut saved, mut last) = (PendingLosses::default(), Instant::now(), None);

    while at.epoch < epochs {
        setup.begin(at.epoch, at.step_in_epoch)?;
        if at.step == 0 {
            first_batch(&mut setup, &mut journal, &mut at)?;
        }
        while at.step_in_epoch < setup.steps_per_epoch && at.step < steps {
            setup.schedules.set(&mut *setup.optimizer, at.step)?;
            let gradients = setup.gradients(at.step, &mut at.time)?;
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
            if log || save || setup.is_on_cpu {
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
        setup.task.end();

        losses.read_into(&mut at)?;
        let Some(valid) = validate(&mut setup, &mut at, Views::One, &options.interrupt)? else {
            checkpoint(&checkpoints, &setup, &journal, &mut at)?; // a resumed run validates the epoch again
            return Err(Error::Interrupted { run: setup.run.name(), step: at.step });
        };
        let value = valid.evaluation.scores.get(score);
        if at.best_epoch == 0 || score.is_better(value, at.best_score) {
            (at.best_score, at.best_epoch) = (value, at.epoch + 1);
            run::save_weights(&checkpoints, "best", &valid.weights)?;
        }
        note_target(setup.run, &mut at, value);
        let record = Record::Epoch(epoch_record(&setup, &mut at, &valid.evaluation));
        if let Some(sample) = &valid.sample {
            journal.sample(at.step as u64 - 1, at.time.total(), sample)?;
        }
        journal.record(&record)?;
        watch.record(&record);
        checkpoint(&checkpoints, &setup, &journal, &mut at)?;
        saved = Instant::now();
        last = Some(valid);
        if options.interrupt.is_asked() && at.epoch < epochs {
            return Err(Error::Interrupted { run: setup.run.name(), step: at.step });
        }
    }

    // Validate again if the final evaluation has more views than the epochs' one, or if the run was stopped after its
    // last checkpoint. The time of a mere repetition is in that checkpoint already.
    let last = match last.filter(|_| views == Views::One) {
        Some(last) => Some(last),
        None => {
            let before = at.time;
            let found = validate(&mut setup, &mut at, views, &options.interrupt)?;
            if views == Views::One {
                at.time = before;
            }
            found
        }
    };
    let Some(last) = last else { return Err(Error::Interrupted { run: setup.run.name(), step: at.step }) };
    note_target(setup.run, &mut at, last.evaluation.scores.get(score));
    run::save_weights(&checkpoints, "final", &last.weights)?;
    let Some(test) = test(&mut setup, &mut at, &options.interrupt)? else {
        return Err(Error::Interrupted { run: setup.run.name(), step: at.step });
    };
    let summary = summary(&setup, folder, &at, last, test)?;
    folder.finish(&summary)?;
    checkpoints.keep_weights(at.best_epoch == at.epoch);
    Ok(summary)
}

/// A note about a Lookahead whose first sync would be after the end: its slow weights, which are evaluated, stay the
/// initial ones.
fn never_syncs(run: &RunConfig, steps: usize) -> Option<String> {
    let Period::Fixed(period) = run.row.around.lookahead()?.sync_period else { return None };
    (period > steps).then(|| {
        format!(
            "Lookahead never syncs, because the run has {} and the sync period is {period}: the slow weights, which are \
             evaluated, stay at their initial values",
            counted(steps, "step")
        )
    })
}

/// Shows the first images of the run in TensorBoard, after augmentation.
fn first_batch(setup: &mut Setup<'_>, journal: &mut Journal, at: &mut Position) -> Result<()> {
    let clock = Instant::now();
    let picture = setup.task.picture();
    at.time.data += clock.elapsed().as_secs_f64();
    picture.map_or(Ok(()), |picture| journal.first_batch(picture))
}

fn checkpoint(checkpoints: &Checkpoints, setup: &Setup<'_>, journal: &Journal, at: &mut Position) -> Result<()> {
    // The checkpoint counts these lines, so they must not reach the disk after it.
    journal.sync()?;
    at.metrics_bytes = journal.bytes();
    at.peak_rss_mb = at.peak_rss_mb.max(memory::peak_mib());
    let buffers = [setup.task.buffers(), setup.task.carried()?].concat();
    run::save(checkpoints, &*setup.optimizer, &buffers, at)
}

/// The record of the steps since the last one.
fn step_record(setup: &Setup<'_>, at: &mut Position) -> StepRecord {
    let train_loss = at.logged_loss / at.logged_steps as f64;
    (at.logged_loss, at.logged_steps) = (0.0, 0);
    StepRecord {
        step: at.step as u64 - 1,
        epoch: at.epoch as u64,
        learning_rate: setup.schedules.learning_rate.at(at.step - 1),
        momentum: setup.optimizer.momentum(),
        train_loss,
        per_second: per_second(setup, at),
        seconds: at.time.training(),
    }
}

/// Ends the current epoch and returns its record.
fn epoch_record(setup: &Setup<'_>, at: &mut Position, valid: &Evaluation) -> EpochRecord {
    at.train_loss = at.epoch_loss / at.step_in_epoch.max(1) as f64;
    (at.epoch, at.step_in_epoch, at.epoch_loss) = (at.epoch + 1, 0, 0.0);
    EpochRecord {
        epoch: at.epoch as u64,
        step: at.step as u64 - 1,
        learning_rate: setup.schedules.learning_rate.at(at.step - 1),
        train_loss: at.train_loss,
        valid_loss: valid.loss,
        scores: valid.scores,
        ece: valid.classes.as_ref().map(|classes| classes.ece),
        seconds: at.time.total(),
    }
}

/// Images or tokens per second of training.
pub(super) fn per_second(setup: &Setup<'_>, at: &Position) -> f64 {
    setup.task.seen(at.step * setup.run.config.train.accumulate) as f64 / at.time.training()
}

/// Records the divergence and returns the error with a hint.
fn diverged(run: &RunConfig, folder: &RunFolder, of: LossOf, loss: f64) -> Error {
    // A checkpoint may contain the weights with this loss; those of earlier steps had finite losses.
    let good = folder.checkpoints().map(|checkpoints| checkpoints.describe_before(of.steps_done())).unwrap_or_default();
    let step = match of {
        LossOf::Step(step) => step,
        LossOf::Validation(steps) | LossOf::Score { steps, .. } => steps.saturating_sub(1),
    };
    if let Err(error) = folder.diverged(step as u64) {
        return error.into();
    }
    let (row, experiment) = (&run.row.name, run.config.experiment);
    let hint = format!(
        "try a lower learning rate: append `--optimizers {row} --lr {:.1e} --fresh` to the same command; \
         `just lr-find {experiment} --optimizers {row}` shows the rate at which training breaks down",
        run.row.inner.learning_rate() / 3.0,
    );
    Error::Diverged { run: run.name(), of, loss, checkpoint: good, hint }
}
