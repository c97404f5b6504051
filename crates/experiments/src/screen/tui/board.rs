//! The state of the experiment in the full-screen view.

use lookahead_runs::{Log, Record, Run, TaskKind};

use super::run_view::{RunView, Stage};

/// The state of an experiment's runs, built from their records.
#[derive(Debug, Clone)]
pub struct Board {
    pub(super) experiment: String,
    pub(super) task: TaskKind,
    pub(super) runs: Vec<RunView>,
    current: Option<usize>,
    /// The run that the user chose; `None` follows the current one.
    chosen: Option<usize>,
    stopping: bool,
    pub(super) note: String,
}

impl Board {
    /// A board on which all runs are waiting.
    pub fn new(experiment: &str, task: TaskKind, runs: &[String]) -> Self {
        Self {
            experiment: experiment.to_owned(),
            task,
            runs: runs.iter().map(|name| RunView::waiting(name)).collect(),
            current: None,
            chosen: None,
            stopping: false,
            note: String::new(),
        }
    }

    /// A run starts or resumes, with `done` of its `steps` steps in `epochs` epochs done. Its curves start with the
    /// records of `before`. An unknown name is added.
    pub fn begin(&mut self, name: &str, epochs: usize, steps: usize, done: usize, before: &Log) {
        let index = self.runs.iter().position(|run| run.name == name).unwrap_or_else(|| {
            self.runs.push(RunView::waiting(name));
            self.runs.len() - 1
        });
        let run = &mut self.runs[index];
        run.begin(epochs, steps, done, before);
        self.current = Some(index);
    }

    /// A run that was finished before this program started.
    pub fn found(&mut self, found: &Run) {
        let Some(run) = self.runs.iter_mut().find(|run| run.name == found.name) else { return };
        run.found(found);
    }

    /// The current run has done `done` steps.
    pub fn steps(&mut self, done: usize) {
        if let Some(run) = self.current.map(|index| &mut self.runs[index]) {
            run.step = done;
        }
    }

    /// A record of the current run.
    pub fn record(&mut self, record: &Record) {
        let Some(run) = self.current.map(|index| &mut self.runs[index]) else { return };
        match record {
            Record::Step(record) => run.record(record),
            Record::Epoch(record) => run.epoch(record),
        }
    }

    /// A run ended, now or earlier.
    pub fn end(&mut self, name: &str, stage: Stage) {
        if let Some(index) = self.runs.iter().position(|run| run.name == name) {
            self.runs[index].stage = stage;
            if self.current == Some(index) {
                self.current = None;
            }
        }
    }

    /// A note for the user.
    pub fn note(&mut self, text: &str) {
        text.clone_into(&mut self.note);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping
    }

    pub(super) fn stopping(&mut self) {
        self.stopping = true;
        self.note("stopping, all will be saved (q again: at once)");
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

    /// Seconds left of the current run and of the whole experiment, assuming that waiting runs take as long as this
    /// one.
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
    use lookahead_runs::StepRecord;

    use super::*;

    fn step(done: u64, seconds: f64) -> Record {
        let train_loss = 2.0;
        Record::Step(StepRecord {
            step: done - 1,
            epoch: 0,
            learning_rate: 0.1,
            momentum: None,
            train_loss,
            per_second: 800.0,
            seconds,
        })
    }

    fn board(names: &[&str]) -> Board {
        Board::new("demo", TaskKind::Images, &names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
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
        assert_eq!(board.runs[0].score.points(), [(30.0, 15.0)]);
        board.record(&step(50, 1000.0));
        assert_eq!(board.seconds_left(), None);
        board.record(&step(60, 1030.0));
        assert_eq!(board.seconds_left(), Some((120.0, 120.0)));
    }

    #[test]
    fn a_run_without_logged_steps_has_its_epochs_losses() {
        let mut board = board(&["a"]);
        board.begin("a", 2, 8, 0, &Log::default());
        let epoch = |line: &str| Record::Epoch(Log::parse(line.as_bytes()).epochs[0]);
        board.record(&epoch("{\"kind\":\"epoch\",\"epoch\":1,\"step\":3,\"train_loss\":2.25}"));
        assert_eq!(board.runs[0].train_loss.points(), [(4.0, 2.25)]);
        board.record(&step(6, 12.0));
        board.record(&epoch("{\"kind\":\"epoch\",\"epoch\":2,\"step\":7,\"train_loss\":2.0}"));
        assert_eq!(board.runs[0].train_loss.points(), [(4.0, 2.25), (6.0, 2.0)]);
    }

    #[test]
    fn a_run_found_done_keeps_its_figures() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::create_dir(&path).unwrap();
        let lines = "{\"kind\":\"step\",\"step\":19,\"train_loss\":2.3}\n\
                     {\"kind\":\"epoch\",\"epoch\":1,\"step\":29,\"valid_loss\":2.5,\"top1\":15}\n";
        std::fs::write(path.join("metrics.jsonl"), lines).unwrap();
        let summary = "{\"optimizer\":\"sgd\",\"state\":\"\",\"seed\":1,\"train_loss\":2,\"valid_loss\":2.5,\"top1\":15,\"top5\":50,\
                       \"seconds\":61,\"images_per_second\":800,\"steps\":30,\"peak_rss_mb\":1,\"weights_sha256\":\"\"}";
        std::fs::write(path.join("summary.json"), summary).unwrap();
        let mut board = board(&["a", "b"]);
        board.found(&Run::read(&path));
        board.end("a", Stage::Done);
        let run = &board.runs[0];
        assert_eq!((run.steps, run.seconds, run.valid_loss, run.score.points()), (30, 61.0, 2.5, &[(30.0, 15.0)][..]));
        assert_eq!(board.shown(), Some(0));
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
