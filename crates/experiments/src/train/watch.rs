//! Whoever watches a run.

use lookahead_runs::{Log, Record};

/// What a run tells whoever watches it while it trains; nothing of it changes the run.
pub trait Watch {
    /// The run begins, or goes on after `done` of its `steps` steps and `epochs` epochs; `before` is what it wrote until then.
    fn begin(&mut self, epochs: usize, steps: usize, done: usize, before: &Log);
    /// `done` steps are done.
    fn steps(&mut self, done: usize);
    /// A line was written to `metrics.jsonl`.
    fn record(&mut self, record: &Record);
    /// A word for the user.
    fn note(&mut self, text: &str);
}

/// Nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn begin(&mut self, _epochs: usize, _steps: usize, _done: usize, _before: &Log) {}
    fn steps(&mut self, _done: usize) {}
    fn record(&mut self, _record: &Record) {}
    fn note(&mut self, _text: &str) {}
}
