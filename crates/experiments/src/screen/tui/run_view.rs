//! The state of one run in the full-screen view.

use lookahead_runs::{EpochRecord, Log, Run, StepRecord};

use super::trace::Trace;

/// The stage of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Not started.
    Waiting,
    /// Being trained.
    Running,
    /// Finished, now or earlier.
    Done,
    /// Its loss became infinite or not a number.
    Diverged,
}

#[derive(Debug, Clone)]
pub(super) struct RunView {
    pub(super) name: String,
    pub(super) stage: Stage,
    pub(super) epochs: usize,
    pub(super) steps: usize,
    pub(super) step: usize,
    /// The step at which `seconds` was recorded.
    timed_step: usize,
    /// Steps that were done when it started in this program.
    first_step: usize,
    first_seconds: Option<f64>,
    pub(super) seconds: f64,
    pub(super) learning_rate: f64,
    pub(super) per_second: f64,
    pub(super) train_loss: Trace,
    /// Whether steps were logged. A run shorter than the logging interval only has the losses of its epochs.
    has_steps: bool,
    pub(super) score: Trace,
    pub(super) valid_loss: f64,
}

impl RunView {
    pub(super) fn waiting(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            stage: Stage::Waiting,
            epochs: 0,
            steps: 0,
            step: 0,
            timed_step: 0,
            first_step: 0,
            first_seconds: None,
            seconds: 0.0,
            learning_rate: f64::NAN,
            per_second: f64::NAN,
            valid_loss: f64::NAN,
            train_loss: Trace::default(),
            has_steps: false,
            score: Trace::default(),
        }
    }

    /// It starts or resumes.
    pub(super) fn begin(&mut self, epochs: usize, steps: usize, done: usize, before: &Log) {
        (self.stage, self.epochs, self.steps, self.step, self.first_step) = (Stage::Running, epochs, steps, done, done);
        if done == 0 {
            self.first_seconds = Some(0.0);
        }
        self.before(before);
    }

    /// It was finished before this program started.
    pub(super) fn found(&mut self, run: &Run) {
        self.before(&run.log);
        if let Some(summary) = &run.summary {
            (self.steps, self.step) = (summary.steps as usize, summary.steps as usize);
            (self.seconds, self.per_second) = (summary.figures.seconds, summary.figures.per_second);
        }
    }

    /// Adds points to its curves without affecting its current pace.
    fn before(&mut self, log: &Log) {
        log.steps.iter().for_each(|record| self.step_loss(record));
        log.epochs.iter().for_each(|record| self.epoch(record));
    }

    pub(super) fn record(&mut self, record: &StepRecord) {
        let done = record.steps_done() as usize;
        // A resumed run's clock includes earlier sessions, so its first record sets the reference.
        if self.first_seconds.is_none() {
            (self.first_seconds, self.first_step) = (Some(record.seconds), done);
        }
        (self.step, self.timed_step, self.seconds) = (done, done, record.seconds);
        (self.learning_rate, self.per_second) = (record.learning_rate, record.per_second);
        self.step_loss(record);
    }

    fn step_loss(&mut self, record: &StepRecord) {
        self.has_steps = true;
        self.train_loss.push(record.steps_done() as f64, record.train_loss);
    }

    pub(super) fn epoch(&mut self, record: &EpochRecord) {
        let done = record.steps_done();
        self.step = self.step.max(done as usize);
        self.valid_loss = record.valid_loss;
        if !self.has_steps {
            self.train_loss.push(done as f64, record.train_loss);
        }
        if let Some((_, value)) = record.scores.all().next() {
            self.score.push(done as f64, value);
        }
    }

    /// Seconds until it is finished at the pace of this session; `None` before a pace is known.
    pub(super) fn seconds_left(&self) -> Option<f64> {
        let done = self.timed_step.checked_sub(self.first_step).filter(|&done| done > 0)?;
        let pace = (self.seconds - self.first_seconds?) / done as f64;
        Some(pace * self.steps.saturating_sub(self.step) as f64).filter(|left| left.is_finite() && *left >= 0.0)
    }
}
