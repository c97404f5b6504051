//! The parts needed to train a run, built from its configuration.

use std::time::Instant;

use candle_core::Device;
use lookahead_optim::Optimizer;
use lookahead_runs::TimeSplit;

use super::gradients::Gradients;
use super::task::{Task, task};
use crate::config::RunConfig;
use crate::error::Result;
use crate::parts::{self, Data, Schedules};

/// Everything a run needs, ready to train.
#[derive(Debug)]
pub struct Setup<'a> {
    /// The run.
    pub run: &'a RunConfig,
    /// The network with its data.
    pub task: Box<dyn Task + 'a>,
    /// The row's optimizer, over the parameters of the task.
    pub optimizer: Box<dyn Optimizer>,
    /// Learning rate and momentum by the step.
    pub schedules: Schedules,
    /// Whether losses can be read without waiting for the device.
    pub is_on_cpu: bool,
    /// Steps per epoch; an incomplete step is dropped.
    pub steps_per_epoch: usize,
    /// Steps of the whole run.
    pub total_steps: usize,
    /// Seconds taken to build the network, including its whitening; part of a run's time.
    pub seconds: f64,
}

impl<'a> Setup<'a> {
    /// Builds the parts of `run` on `device`.
    ///
    /// # Errors
    /// Errors of the task, the optimizer and the schedules.
    pub fn new(run: &'a RunConfig, data: &'a Data, device: &'a Device) -> Result<Self> {
        let clock = Instant::now();
        let task = task(run, data, device)?;
        Self::with(task, run, clock.elapsed().as_secs_f64(), device)
    }

    /// Like [`new`](Self::new), for a task that the caller built in `seconds` seconds.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with(task: Box<dyn Task + 'a>, run: &'a RunConfig, seconds: f64, device: &Device) -> Result<Self> {
        let config = &run.config;
        let steps_per_epoch = task.batches_per_epoch() / config.train.accumulate;
        let total_steps = config.train.total_steps(steps_per_epoch);
        let optimizer = parts::optimizer(&run.row, task.parameters(), task.buffers(), total_steps)?;
        let peak = run.row.inner.learning_rate();
        let schedules = Schedules::new(&config.schedule, peak, total_steps, steps_per_epoch)?;
        let is_on_cpu = device.is_cpu();
        Ok(Self { run, task, optimizer, schedules, is_on_cpu, steps_per_epoch, total_steps, seconds })
    }

    /// The gradients of step `step`, counted from 0, over the next batches of the epoch; see [`Gradients::of`].
    ///
    /// # Errors
    /// As [`Gradients::of`].
    pub fn gradients(&mut self, step: usize, time: &mut TimeSplit) -> Result<Gradients> {
        Gradients::of(&mut *self.task, step, self.run.config.train.accumulate, time)
    }

    /// Moves to step `step` of epoch `epoch`, both counted from 0.
    ///
    /// # Errors
    /// As [`Task::begin`].
    pub fn begin(&mut self, epoch: usize, step: usize) -> Result<()> {
        self.task.begin(epoch, step * self.run.config.train.accumulate)
    }
}
