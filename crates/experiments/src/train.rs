//! The loop.

use std::time::{Duration, Instant};

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use lookahead_data::DeviceBatch;
use lookahead_kernels::{cross_entropy, cross_entropy_indices};
use lookahead_models::{Pass, ResNet};
use lookahead_optim::{Optimizer, with_evaluation_weights};

use crate::checkpoint::{Checkpoints, Position};
use crate::config::{ConfigError, RunConfig};
use crate::datasets::Data;
use crate::digest::weights_digest;
use crate::error::{Error, Result};
use crate::evaluate::{Evaluation, evaluate};
use crate::interrupt::Interrupt;
use crate::losses::PendingLosses;
use crate::metrics::Record;
use crate::progress::Progress;
use crate::reporter::Reporter;
use crate::run_folder::RunFolder;
use crate::schedules::Schedules;
use crate::summary::{RunDetails, RunSummary};
use crate::{memory, model, optimizers};

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

/// Trains one run to its end, from its last checkpoint where there is one, and writes its summary.
///
/// Step t uses the schedule's values at t, from 0, and the batch that (seed, epoch, position) name, so a resumed run
/// makes the very steps of one that never stopped.
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
    progress: &Progress,
) -> Result<RunSummary> {
    train_with(run, data, device, folder, options, progress, optimizers::build)
        .map_err(|error| error.told_of_batch(&run.config.device, run.config.train.batch_size))
}

/// [`train`] with an optimizer of the caller's making; `build` gets the run, the parameters and the steps of an epoch.
///
/// # Errors
/// As [`train`].
pub fn train_with(
    run: &RunConfig,
    data: &Data,
    device: &Device,
    folder: &RunFolder,
    options: &LoopOptions,
    progress: &Progress,
    build: impl FnOnce(&RunConfig, Vec<(String, Var)>, usize) -> Result<Box<dyn Optimizer>>,
) -> Result<RunSummary> {
    let settings = &run.config.train;
    let train_loader = data.train_loader(&run.config, run.seed)?;
    let valid_loader = data.valid_loader(&run.config)?;
    let steps_per_epoch = train_loader.batches_per_epoch() / settings.accumulate;
    if steps_per_epoch == 0 {
        return Err(Error::Config(ConfigError::OutOfRange {
            key: "train.batch_size".to_owned(),
            rule: "no larger than the number of training images",
            value: format!("{} with {} images", settings.batch_size, data.train.len()),
        }));
    }
    let total_steps = settings.epochs * steps_per_epoch;
    let model = model::build(&run.config.model, data.train.classes().len(), run.seed, device)?;
    let mut optimizer = build(run, model.parameters(), steps_per_epoch)?;
    let peak = optimizers::peak_learning_rate(run);
    let schedules = Schedules::new(&run.config.schedule, peak, settings.epochs, steps_per_epoch)?;

    let checkpoints = folder.checkpoints()?;
    let loaded = checkpoints.load(&mut *optimizer, &model.buffers())?;
    let (mut position, notice) = match loaded {
        Some(loaded) => (loaded.position, loaded.notice),
        None => (Position { best_top1: -1.0, ..Position::default() }, None),
    };
    let run_progress = progress.begin(&run.name(), settings.epochs, total_steps, position.step);
    let mut reporter = Reporter::open(folder, position.metrics_bytes, position.step, run_progress)?;
    notice.iter().for_each(|text| reporter.note(text));

    memory::reset_peak();
    let mut losses = PendingLosses::default();
    let mut last_saved = Instant::now();
    let mut evaluation: Option<Evaluation> = None;
    let diverged = |error| describe_divergence(error, run, peak, &checkpoints);

    while position.epoch < settings.epochs {
        let mut batches = train_loader.epoch(position.epoch, position.step_in_epoch * settings.accumulate);
        while position.step_in_epoch < steps_per_epoch {
            let learning_rate = schedules.learning_rate.at(position.step);
            optimizer.set_learning_rate(learning_rate);
            if let Some(momentum) = &schedules.momentum
                && optimizer.momentum().is_some()
            {
                optimizer.set_momentum(momentum.at(position.step))?;
            }

            let mut gradients: Option<GradStore> = None;
            let mut step_loss: Option<Tensor> = None;
            for part in 0..settings.accumulate {
                let mut clock = Instant::now();
                let batch = match batches.next() {
                    Some(batch) => {
                        let batch = batch?;
                        if position.step == 0 && part == 0 {
                            reporter.first_batch(&batch)?;
                        }
                        batch.to_device(device, &data.normalize)?
                    }
                    None => return Err(candle_core::Error::Msg("the loader ended before its epoch".into()).into()),
                };
                lap(&mut clock, &mut position.time.data);
                let pass = Pass::Train { step: (position.step * settings.accumulate + part) as u64 };
                let loss = loss(&model, &batch, pass, settings.label_smoothing)?;
                let loss = if settings.accumulate > 1 { (loss / settings.accumulate as f64)? } else { loss };
                lap(&mut clock, &mut position.time.forward);
                let of_part = loss.backward()?;
                gradients = Some(match gradients {
                    None => of_part,
                    Some(sum) => add_gradients(sum, &of_part, &*optimizer)?,
                });
                step_loss = Some(match step_loss {
                    None => loss.detach(),
                    Some(sum) => (sum + loss.detach())?,
                });
                lap(&mut clock, &mut position.time.backward);
            }
            let mut clock = Instant::now();
            if let Some(gradients) = gradients {
                optimizer.step(&gradients)?;
            }
            lap(&mut clock, &mut position.time.optimizer);
            position.step += 1;
            position.step_in_epoch += 1;
            step_loss.into_iter().for_each(|loss| losses.push(loss));

            let log_is_due = position.step.is_multiple_of(options.log_every);
            if log_is_due || device.is_cpu() {
                losses.read_into(&mut position).map_err(diverged)?; // waits for the device
                reporter.steps(position.step);
            }
            if log_is_due {
                let images = (position.step * settings.batch_size) as f64;
                reporter.record(&Record::Step {
                    step: position.step - 1,
                    epoch: position.epoch,
                    learning_rate,
                    momentum: optimizer.momentum(),
                    train_loss: position.logged_loss / position.logged_steps as f64,
                    images_per_second: images / position.time.training(),
                    seconds: position.time.training(),
                })?;
                (position.logged_loss, position.logged_steps) = (0.0, 0);
            }

            let stop = options.interrupt.is_asked();
            let save_is_due = options.checkpoint_every.is_some_and(|steps| position.step.is_multiple_of(steps))
                || last_saved.elapsed() > CHECKPOINT_INTERVAL;
            if stop || save_is_due {
                losses.read_into(&mut position).map_err(diverged)?; // a checkpoint holds finite losses only
                save(&checkpoints, &*optimizer, &model, &reporter, &mut position)?;
                last_saved = Instant::now();
            }
            if stop {
                return Err(Error::Interrupted { run: run.name(), step: position.step });
            }
        }
        drop(batches);

        losses.read_into(&mut position).map_err(diverged)?;
        position.train_loss = position.epoch_loss / steps_per_epoch as f64;
        position.epoch_loss = 0.0;
        let mut clock = Instant::now();
        let (valid, weights) = with_evaluation_weights(&mut *optimizer, || -> Result<_> {
            let valid = evaluate(&model, &valid_loader, device, &data.normalize)?;
            let is_best = valid.top1 > position.best_top1;
            Ok((valid, if is_best { Some(deep_copy(model.state())?) } else { None }))
        })?;
        lap(&mut clock, &mut position.time.validation);
        if !valid.loss.is_finite() {
            let (run, step, loss) = (String::new(), position.step - 1, valid.loss);
            return Err(diverged(Error::Diverged { run, step, loss, checkpoint: String::new(), hint: String::new() }));
        }
        position.epoch += 1;
        position.step_in_epoch = 0;
        if let Some(weights) = weights {
            (position.best_top1, position.best_epoch) = (valid.top1, position.epoch);
            checkpoints.save_weights("best", &weights)?;
        }
        reporter.record(&Record::Epoch {
            epoch: position.epoch,
            step: position.step - 1,
            learning_rate: schedules.learning_rate.at(position.step - 1),
            train_loss: position.train_loss,
            valid_loss: valid.loss,
            top1: valid.top1,
            top5: valid.top5,
            ece: valid.ece,
            seconds: position.time.training() + position.time.validation,
        })?;
        evaluation = Some(valid);
        save(&checkpoints, &*optimizer, &model, &reporter, &mut position)?;
        last_saved = Instant::now();
        if options.interrupt.is_asked() && position.epoch < settings.epochs {
            return Err(Error::Interrupted { run: run.name(), step: position.step });
        }
    }

    let (evaluation, weights) = with_evaluation_weights(&mut *optimizer, || -> Result<_> {
        // A run that was stopped after its last checkpoint and before its summary validates once more.
        let valid = match evaluation {
            Some(valid) => valid,
            None => evaluate(&model, &valid_loader, device, &data.normalize)?,
        };
        Ok((valid, deep_copy(model.state())?))
    })?;
    checkpoints.save_weights("final", &weights)?;
    let images = (total_steps * settings.batch_size) as f64;
    let summary = RunSummary {
        optimizer: run.optimizer,
        state: run.state,
        seed: run.seed,
        train_loss: position.train_loss,
        valid_loss: evaluation.loss,
        top1: evaluation.top1,
        top5: evaluation.top5,
        steps: position.step,
        seconds: position.time.training() + position.time.validation,
        images_per_second: images / position.time.training(),
        peak_rss_mb: position.peak_rss_mb.max(memory::peak_mib()),
        weights_sha256: weights_digest(&weights)?,
        details: Some(RunDetails {
            data_sha256: folder.data_sha256().to_owned(),
            best_top1: position.best_top1,
            best_epoch: position.best_epoch,
            time: position.time,
            classes: data.train.classes().to_vec(),
            confusion: evaluation.confusion,
            per_class: evaluation.per_class,
            ece: evaluation.ece,
        }),
    };
    folder.finish(&summary)?;
    Ok(summary)
}

/// Mean cross-entropy of a batch: (N, K) soft targets where images were mixed, (N) class numbers elsewhere.
pub(crate) fn loss(model: &ResNet, batch: &DeviceBatch, pass: Pass, label_smoothing: f64) -> Result<Tensor> {
    let logits = model.forward(&batch.images, pass)?.to_dtype(DType::F32)?;
    Ok(match &batch.soft_targets {
        Some(targets) => cross_entropy(&logits, targets, label_smoothing)?,
        None => cross_entropy_indices(&logits, &batch.labels, label_smoothing)?,
    })
}

/// Adds the time since `clock` to `sum` and starts the clock anew.
fn lap(clock: &mut Instant, sum: &mut f64) {
    let now = Instant::now();
    *sum += (now - *clock).as_secs_f64();
    *clock = now;
}

/// `sum` plus `more`, for the optimizer's parameters.
fn add_gradients(mut sum: GradStore, more: &GradStore, optimizer: &dyn Optimizer) -> Result<GradStore> {
    for parameter in optimizer.parameters() {
        let var = parameter.var().as_tensor();
        if let Some(gradient) = more.get(var) {
            let total = match sum.get(var) {
                Some(before) => (before + gradient)?,
                None => gradient.clone(),
            };
            sum.insert(var, total);
        }
    }
    Ok(sum)
}

/// Copies that do not follow the variables when the optimizer goes on.
fn deep_copy(tensors: Vec<(String, Tensor)>) -> Result<Vec<(String, Tensor)>> {
    Ok(tensors
        .into_iter()
        .map(|(name, tensor)| Ok((name, tensor.detach().copy()?)))
        .collect::<candle_core::Result<_>>()?)
}

fn save(
    checkpoints: &Checkpoints,
    optimizer: &dyn Optimizer,
    model: &ResNet,
    reporter: &Reporter<'_>,
    position: &mut Position,
) -> Result<()> {
    position.metrics_bytes = reporter.bytes();
    position.peak_rss_mb = position.peak_rss_mb.max(memory::peak_mib());
    checkpoints.save(optimizer, &model.buffers(), position)
}

/// Fills in what the place that saw the loss did not know.
fn describe_divergence(error: Error, run: &RunConfig, peak: f64, checkpoints: &Checkpoints) -> Error {
    match error {
        Error::Diverged { step, loss, .. } => Error::Diverged {
            run: run.name(),
            step,
            loss,
            checkpoint: checkpoints.describe_last(),
            hint: format!(
                "try a lower learning rate (--optimizers {} --lr {:.1e}), or `just lr-find` to see where it breaks",
                run.optimizer,
                peak / 3.0
            ),
        },
        other => other,
    }
}
