//! What the view knows of the experiment.

use lookahead_runs::{EpochRecord, Log, Record, StepRecord};

use super::trace::Trace;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Not begun.
    Waiting,
    /// Being trained.
    Running,
    /// Finished, now or before.
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
    /// Steps that `seconds` were taken by.
    timed_step: usize,
    /// Steps that were done when it was begun in this program.
    first_step: usize,
    first_seconds: Option<f64>,
    pub(super) seconds: f64,
    pub(super) learning_rate: f64,
    pub(super) images_per_second: f64,
    pub(super) train_loss: Trace,
    pub(super) top1: Trace,
    pub(super) valid_loss: f64,
}

impl RunView {
    fn record(&mut self, record: &StepRecord) {
        let done = record.steps_done() as usize;
        // A resumed run's clock starts with what earlier sessions took: its first line sets the mark.
        if self.first_seconds.is_none() {
            (self.first_seconds, self.first_step) = (Some(record.seconds), done);
        }
        (self.step, self.timed_step, self.seconds) = (done, done, record.seconds);
        (self.learning_rate, self.images_per_second) = (record.learning_rate, record.images_per_second);
        self.train_loss.push(done as f64, record.train_loss);
    }

    fn epoch(&mut self, record: &EpochRecord) {
        let done = record.steps_done();
        self.step = self.step.max(done as usize);
        self.valid_loss = record.valid_loss;
        self.top1.push(done as f64, record.top1);
    }

    /// Seconds until it is done at the pace of this session; `None` before there is one.
    fn seconds_left(&self) -> Option<f64> {
        let done = self.timed_step.checked_sub(self.first_step).filter(|&done| done > 0)?;
        let pace = (self.seconds - self.first_seconds?) / done as f64;
        Some(pace * self.steps.saturating_sub(self.step) as f64).filter(|left| left.is_finite() && *left >= 0.0)
    }
}

/// The state of an experiment's runs, as they say it line by line.
#[derive(Debug, Clone)]
pub struct Board {
    pub(super) experiment: String,
    pub(super) runs: Vec<RunView>,
    current: Option<usize>,
    /// The run somebody chose; `None` follows the current one.
    chosen: Option<usize>,
    stopping: bool,
    pub(super) note: String,
}

impl Board {
    /// Of an experiment whose runs are all waiting.
    pub fn new(experiment: &str, runs: &[String]) -> Self {
        let run = |name: &String| RunView {
            name: name.clone(),
            stage: Stage::Waiting,
            epochs: 0,
            steps: 0,
            step: 0,
            timed_step: 0,
            first_step: 0,
            first_seconds: None,
            seconds: 0.0,
            learning_rate: f64::NAN,
            images_per_second: f64::NAN,
            valid_loss: f64::NAN,
            train_loss: Trace::default(),
            top1: Trace::default(),
        };
        Self {
            experiment: experiment.to_owned(),
            runs: runs.iter().map(run).collect(),
            current: None,
            chosen: None,
            stopping: false,
            note: String::new(),
        }
    }

    /// A run begins or goes on: `done` of its `steps` steps and `epochs` epochs are done, and `before` is what it wrote until
    /// then: its curves begin there. An unknown name is added.
    pub fn begin(&mut self, name: &str, epochs: usize, steps: usize, done: usize, before: &Log) {
        let index = self.runs.iter().position(|run| run.name == name).unwrap_or_else(|| {
            self.runs.extend(Self::new("", &[name.to_owned()]).runs);
            self.runs.len() - 1
        });
        let run = &mut self.runs[index];
        (run.stage, run.epochs, run.steps, run.step, run.first_step) = (Stage::Running, epochs, steps, done, done);
        if done == 0 {
            run.first_seconds = Some(0.0);
        }
        // Points of its curves, and nothing that says its pace now.
        before.steps.iter().for_each(|record| run.train_loss.push(record.steps_done() as f64, record.train_loss));
        before.epochs.iter().for_each(|record| run.epoch(record));
        self.current = Some(index);
    }

    /// The current run has done `done` steps.
    pub fn steps(&mut self, done: usize) {
        if let Some(run) = self.current.map(|index| &mut self.runs[index]) {
            run.step = done;
        }
    }

    /// A line of the current run's metrics.
    pub fn record(&mut self, record: &Record) {
        let Some(run) = self.current.map(|index| &mut self.runs[index]) else { return };
        match record {
            Record::Step(record) => run.record(record),
            Record::Epoch(record) => run.epoch(record),
        }
    }

    /// A run ended, or was found done.
    pub fn end(&mut self, name: &str, stage: Stage) {
        if let Some(index) = self.runs.iter().position(|run| run.name == name) {
            self.runs[index].stage = stage;
            if self.current == Some(index) {
                self.current = None;
            }
        }
    }

    /// A word to whoever watches.
    pub fn note(&mut self, text: &str) {
        text.clone_into(&mut self.note);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping
    }

    pub(super) fn stopping(&mut self) {
        self.stopping = true;
        self.note("stopping after this step, all saved; the same command goes on from there (q again: at once)");
    }

    pub(super) fn select(&mut self, by: isize) {
        let last = self.runs.len().saturating_sub(1);
        self.chosen = Some(self.shown().unwrap_or(0).saturating_add_signed(by).min(last));
    }

    pub(super) fn follow(&mut self) {
        self.chosen = None;
    }

    /// The run whose curves are shown.
    pub(super) fn shown(&self) -> Option<usize> {
        let last_begun = || self.runs.iter().rposition(|run| run.stage != Stage::Waiting);
        self.chosen.or(self.current).or_else(last_begun).filter(|&index| index < self.runs.len())
    }

    /// Seconds left of the current run, and of the whole experiment, taking waiting runs to be as long as this one.
    pub(super) fn seconds_left(&self) -> Option<(f64, f64)> {
        let run = &self.runs[self.current?];
        let left = run.seconds_left()?;
        let pace = left / run.steps.saturating_sub(run.step).max(1) as f64;
        let waiting = self.runs.iter().filter(|run| run.stage == Stage::Waiting).count();
        let whole = if left > 0.0 { pace * run.steps as f64 } else { run.seconds };
        Some((left, left + whole * waiting as f64))
    }

    pub(super) fn done(&self) -> usize {
        self.runs.iter().filter(|run| matches!(run.stage, Stage::Done | Stage::Diverged)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(done: u64, seconds: f64) -> Record {
        let train_loss = 2.0;
        Record::Step(StepRecord {
            step: done - 1,
            epoch: 0,
            learning_rate: 0.1,
            momentum: None,
            train_loss,
            images_per_second: 800.0,
            seconds,
        })
    }

    fn board(names: &[&str]) -> Board {
        Board::new("demo", &names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_time_left_is_the_pace_times_what_is_left() {
        let mut board = board(&["a", "b", "c"]);
        assert_eq!(board.seconds_left(), None);
        board.begin("a", 2, 100, 0, &Log::default());
        board.record(&step(25, 50.0));
        // 2 s a step: 75 steps are left here, 200 in the two others.
        assert_eq!(board.seconds_left(), Some((150.0, 550.0)));
    }

    #[test]
    fn a_resumed_run_counts_its_own_pace_alone() {
        let mut board = board(&["a"]);
        let lines = b"{\"kind\":\"step\",\"step\":19,\"train_loss\":2.3}\n{\"kind\":\"epoch\",\"epoch\":1,\"step\":29,\"top1\":15}\n";
        board.begin("a", 2, 100, 40, &Log::parse(lines));
        assert_eq!((board.runs[0].step, board.runs[0].train_loss.points()), (40, &[(20.0, 2.3)][..]));
        assert_eq!(board.runs[0].top1.points(), [(30.0, 15.0)]);
        board.record(&step(50, 1000.0));
        assert_eq!(board.seconds_left(), None);
        board.record(&step(60, 1030.0));
        assert_eq!(board.seconds_left(), Some((120.0, 120.0)));
    }

    #[test]
    fn the_view_follows_until_somebody_chooses() {
        let mut board = board(&["a", "b", "c"]);
        board.begin("b", 1, 10, 0, &Log::default());
        assert_eq!(board.shown(), Some(1));
        board.select(1);
        board.select(1);
        assert_eq!(board.shown(), Some(2));
        board.follow();
        board.end("b", Stage::Done);
        assert_eq!((board.shown(), board.done()), (Some(1), 1));
    }
}
