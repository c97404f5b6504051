//! Observers of a run.

use lookahead_runs::{Log, Record};

/// Receives a run's events during training. It cannot change the run.
pub trait Watch {
    /// The run starts, or resumes after `done` of its `steps` steps in `epochs` epochs; `before` holds the records
    /// until then.
    fn begin(&mut self, epochs: usize, steps: usize, done: usize, before: &Log);
    /// The run has done `done` steps.
    fn steps(&mut self, done: usize);
    /// A line was written to `metrics.jsonl`.
    fn record(&mut self, record: &Record);
    /// A note for the user.
    fn note(&mut self, text: &str);
}

/// Ignores all events.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn begin(&mut self, _epochs: usize, _steps: usize, _done: usize, _before: &Log) {}
    fn steps(&mut self, _done: usize) {}
    fn record(&mut self, _record: &Record) {}
    fn note(&mut self, _text: &str) {}
}
