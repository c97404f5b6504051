//! What the view knows of the experiment.

/// Points of a curve that are kept; beyond, neighbours are merged two by two.
const MOST_POINTS: usize = 1024;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Not begun.
    Waiting,
    /// Being trained.
    Running,
    /// Finished, now or before.
    Done,
    /// Its loss became infinite or not a number.
    Diverged,
}

/// Values at regular steps, thinned by merging neighbours as they grow.
#[derive(Debug, Clone, Default)]
pub(super) struct Trace {
    points: Vec<(f64, f64)>,
    /// Values that one point stands for, and those waiting to become one.
    stride: usize,
    pending: Vec<(f64, f64)>,
}

impl Trace {
    fn push(&mut self, x: f64, y: f64) {
        if !y.is_finite() {
            return;
        }
        self.stride = self.stride.max(1);
        self.pending.push((x, y));
        if self.pending.len() < self.stride {
            return;
        }
        self.points.push(mean(&self.pending));
        self.pending.clear();
        if self.points.len() >= MOST_POINTS {
            self.points = self.points.chunks(2).map(mean).collect();
            self.stride *= 2;
        }
    }

    pub(super) fn points(&self) -> &[(f64, f64)] {
        &self.points
    }
}

fn mean(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    (points.iter().map(|point| point.0).sum::<f64>() / n, points.iter().map(|point| point.1).sum::<f64>() / n)
}

#[derive(Debug, Clone)]
pub(super) struct RunView {
    pub(super) name: String,
    pub(super) state: RunState,
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
    /// Seconds until it is done at the pace of this session; `None` before there is one.
    fn seconds_left(&self) -> Option<f64> {
        let done = self.timed_step.checked_sub(self.first_step).filter(|&done| done > 0)?;
        let pace = (self.seconds - self.first_seconds?) / done as f64;
        Some(pace * self.steps.saturating_sub(self.step) as f64).filter(|left| left.is_finite() && *left >= 0.0)
    }
}

/// The state of an experiment's runs, told line by line.
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
            state: RunState::Waiting,
            epochs: 0,
            steps: 0,
            step: 0,
            timed_step: 0,
            first_step: 0,
            first_seconds: None,
            seconds: 0.0,
            learning_rate: f64::NAN,
            images_per_second: f64::NAN,
            train_loss: Trace::default(),
            top1: Trace::default(),
            valid_loss: f64::NAN,
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

    /// A run begins or goes on: `done` of its `steps` steps and `epochs` epochs are done. An unknown name is added.
    pub fn begin(&mut self, name: &str, epochs: usize, steps: usize, done: usize) {
        let index = self.runs.iter().position(|run| run.name == name).unwrap_or_else(|| {
            self.runs.extend(Self::new("", &[name.to_owned()]).runs);
            self.runs.len() - 1
        });
        let run = &mut self.runs[index];
        (run.state, run.epochs, run.steps, run.step, run.first_step) = (RunState::Running, epochs, steps, done, done);
        if done == 0 {
            run.first_seconds = Some(0.0);
        }
        self.current = Some(index);
    }

    /// The current run has done `done` steps; there is nothing else to tell yet.
    pub fn steps(&mut self, done: usize) {
        if let Some(run) = self.current.map(|index| &mut self.runs[index]) {
            run.step = done;
        }
    }

    /// Steps of the current run: `done` steps so far, mean training loss of those since the last call in nats an image,
    /// learning rate, training images a second, and seconds since the run's start.
    pub fn step(&mut self, done: usize, train_loss: f64, learning_rate: f64, images_per_second: f64, seconds: f64) {
        let Some(run) = self.current.map(|index| &mut self.runs[index]) else { return };
        // A resumed run's clock starts with what earlier sessions took: its first line sets the mark.
        if run.first_seconds.is_none() {
            (run.first_seconds, run.first_step) = (Some(seconds), done);
        }
        (run.step, run.timed_step) = (done, done);
        run.train_loss.push(done as f64, train_loss);
        (run.learning_rate, run.images_per_second, run.seconds) = (learning_rate, images_per_second, seconds);
    }

    /// Steps that the current run did before it was stopped: a point of its curve, and nothing that tells its pace now.
    pub fn earlier_step(&mut self, done: usize, train_loss: f64) {
        if let Some(run) = self.current.map(|index| &mut self.runs[index]) {
            run.train_loss.push(done as f64, train_loss);
        }
    }

    /// An epoch of the current run, now or before it was stopped: `done` steps by its end, validation loss in nats an image, accuracy in percent.
    pub fn epoch(&mut self, done: usize, valid_loss: f64, top1: f64) {
        let Some(run) = self.current.map(|index| &mut self.runs[index]) else { return };
        run.step = run.step.max(done);
        run.valid_loss = valid_loss;
        run.top1.push(done as f64, top1);
    }

    /// A run ended, or was found done.
    pub fn end(&mut self, name: &str, state: RunState) {
        if let Some(index) = self.runs.iter().position(|run| run.name == name) {
            self.runs[index].state = state;
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
        let last_begun = || self.runs.iter().rposition(|run| run.state != RunState::Waiting);
        self.chosen.or(self.current).or_else(last_begun).filter(|&index| index < self.runs.len())
    }

    /// Seconds left of the current run, and of the whole experiment, taking waiting runs to be as long as this one.
    pub(super) fn seconds_left(&self) -> Option<(f64, f64)> {
        let run = &self.runs[self.current?];
        let left = run.seconds_left()?;
        let pace = left / run.steps.saturating_sub(run.step).max(1) as f64;
        let waiting = self.runs.iter().filter(|run| run.state == RunState::Waiting).count();
        let whole = if left > 0.0 { pace * run.steps as f64 } else { run.seconds };
        Some((left, left + whole * waiting as f64))
    }

    pub(super) fn done(&self) -> usize {
        self.runs.iter().filter(|run| matches!(run.state, RunState::Done | RunState::Diverged)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(names: &[&str]) -> Board {
        Board::new("demo", &names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_time_left_is_the_pace_times_what_is_left() {
        let mut board = board(&["a", "b", "c"]);
        assert_eq!(board.seconds_left(), None);
        board.begin("a", 2, 100, 0);
        board.step(25, 2.0, 0.1, 800.0, 50.0);
        // 2 s a step: 75 steps are left here, 200 in the two others.
        assert_eq!(board.seconds_left(), Some((150.0, 550.0)));
    }

    #[test]
    fn a_resumed_run_counts_its_own_pace_alone() {
        let mut board = board(&["a"]);
        board.begin("a", 2, 100, 40);
        board.earlier_step(20, 2.3);
        board.epoch(30, 2.2, 15.0);
        assert_eq!((board.runs[0].step, board.runs[0].train_loss.points()), (40, &[(20.0, 2.3)][..]));
        board.step(50, 2.0, 0.1, 800.0, 1000.0);
        assert_eq!(board.seconds_left(), None);
        board.step(60, 2.0, 0.1, 800.0, 1030.0);
        assert_eq!(board.seconds_left(), Some((120.0, 120.0)));
    }

    #[test]
    fn a_long_trace_stays_short_and_keeps_its_mean() {
        let mut trace = Trace::default();
        for step in 0..100_000 {
            trace.push(f64::from(step), f64::from(step % 2));
        }
        trace.push(1.0, f64::NAN);
        assert!(trace.points().len() < MOST_POINTS);
        assert!(trace.points()[5..].iter().all(|point| (point.1 - 0.5).abs() < 1e-9));
        assert!(trace.points().is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn the_view_follows_until_somebody_chooses() {
        let mut board = board(&["a", "b", "c"]);
        board.begin("b", 1, 10, 0);
        assert_eq!(board.shown(), Some(1));
        board.select(1);
        board.select(1);
        assert_eq!(board.shown(), Some(2));
        board.follow();
        board.end("b", RunState::Done);
        assert_eq!((board.shown(), board.done()), (Some(1), 1));
    }
}
