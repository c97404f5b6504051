//! What the user sees while it runs: bars on a terminal, plain lines elsewhere.

use std::io::IsTerminal;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::metrics::{MetricsFile, Record};
use crate::tui::{RunState, View};

/// Reports an experiment's progress on standard error.
///
/// On a terminal there are two bars: the steps of the run and the runs of the experiment, with images a second and the time
/// left. Where standard error is no terminal there is one line a run begun and an epoch done. `quiet` says nothing.
#[derive(Debug)]
pub struct Progress {
    bars: MultiProgress,
    runs: ProgressBar,
    mode: Mode,
    view: Option<View>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Bars,
    Lines,
    Quiet,
}

impl Progress {
    /// For an experiment of `runs` runs.
    pub fn new(runs: usize, quiet: bool) -> Self {
        let mode = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Mode::Quiet,
            (false, true) => Mode::Bars,
            (false, false) => Mode::Lines,
        };
        let target = if mode == Mode::Bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        let all = bars.add(ProgressBar::new(runs as u64));
        all.set_style(style("{prefix:>24} {bar:24} {pos}/{len} runs, {elapsed_precise}"));
        all.set_prefix("experiment");
        Self { bars, runs: all, mode, view: None }
    }

    /// Says nothing.
    pub fn quiet() -> Self {
        Self::new(0, true)
    }

    /// Full screen, until [`Progress::close`] or drop; `q` there asks `interrupt` to stop.
    ///
    /// # Errors
    /// Where standard output is no terminal.
    pub(crate) fn on_screen(experiment: &str, runs: &[String], interrupt: &Interrupt) -> Result<Self> {
        let interrupt = interrupt.clone();
        let view = View::start(experiment, runs, move || interrupt.ask())?;
        let mut progress = Self::quiet();
        progress.view = Some(view);
        Ok(progress)
    }

    /// Gives the terminal back, without bars or a screen; what follows is told in lines.
    pub(crate) fn close(&mut self) {
        self.runs.finish_and_clear();
        if self.view.take().is_some() || self.mode == Mode::Bars {
            self.mode = Mode::Lines;
        }
    }

    /// One line for the user, kept above the bars.
    pub fn note(&self, text: &str) {
        if let Some(view) = &self.view {
            view.board().note(text);
        }
        match self.mode {
            // A terminal that went away is no reason to stop training.
            Mode::Bars => drop(self.bars.println(text)),
            Mode::Lines => eprintln!("{text}"),
            Mode::Quiet => {}
        }
    }

    /// A run begins, or goes on from `position`.
    pub(crate) fn begin(&self, name: &str, epochs: usize, steps: usize, position: usize) -> RunProgress<'_> {
        let bar = self.bars.insert_before(&self.runs, ProgressBar::new(steps as u64));
        bar.set_style(style("{prefix:>24} {bar:24} {pos}/{len} {msg} eta {eta}"));
        bar.set_prefix(name.to_owned());
        bar.set_position(position as u64);
        bar.reset_eta();
        if let Some(view) = &self.view {
            view.board().begin(name, epochs, steps, position);
        }
        if position > 0 {
            self.note(&format!("{name}: going on after step {position} of {steps}"));
        }
        RunProgress { progress: self, bar, name: name.to_owned(), epochs }
    }

    /// A bar for a download.
    #[cfg(feature = "hub")]
    pub(crate) fn bytes(&self) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new(0));
        bar.set_style(style("{msg:>24} {bar:24} {bytes}/{total_bytes} {bytes_per_sec} eta {eta}"));
        bar
    }

    /// A bar for images that are decoded.
    pub(crate) fn images(&self) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new(0));
        bar.set_style(style("{msg:>24} {bar:24} {pos}/{len} images eta {eta}"));
        bar
    }

    /// A run is done or was done before.
    pub(crate) fn run_done(&self) {
        self.runs.inc(1);
    }

    /// The run of this name is done, was done before, or has diverged.
    pub(crate) fn run_ended(&self, name: &str, diverged: bool) {
        self.run_done();
        if let Some(view) = &self.view {
            view.board().end(name, if diverged { RunState::Diverged } else { RunState::Done });
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.close();
    }
}

/// Progress of one run.
#[derive(Debug)]
pub(crate) struct RunProgress<'a> {
    progress: &'a Progress,
    bar: ProgressBar,
    name: String,
    epochs: usize,
}

impl RunProgress<'_> {
    /// Some steps were done.
    pub(crate) fn steps(&self, done: usize) {
        self.bar.set_position(done as u64);
        if let Some(view) = &self.progress.view {
            view.board().steps(done);
        }
    }

    /// What the run wrote to its metrics before it was stopped: the screen's curves begin there.
    pub(crate) fn before(&self, metrics: &mut MetricsFile) -> Result<()> {
        let Some(view) = &self.progress.view else { return Ok(()) };
        let mut board = view.board();
        for record in metrics.kept()? {
            match record {
                Record::Step { step, train_loss, .. } => board.earlier_step(step + 1, train_loss),
                Record::Epoch { step, valid_loss, top1, .. } => board.epoch(step + 1, valid_loss, top1),
            }
        }
        Ok(())
    }

    /// A line of the metrics was written.
    pub(crate) fn record(&self, record: &Record) {
        if let Some(view) = &self.progress.view {
            let mut board = view.board();
            return match *record {
                Record::Step { step, train_loss, learning_rate, images_per_second, seconds, .. } => {
                    board.step(step + 1, train_loss, learning_rate, images_per_second, seconds);
                }
                Record::Epoch { step, valid_loss, top1, .. } => board.epoch(step + 1, valid_loss, top1),
            };
        }
        match record {
            Record::Step { train_loss, images_per_second, .. } => {
                self.bar.set_message(format!("loss {train_loss:.3}, {images_per_second:.0} images/s,"));
            }
            // 100 columns with the longest usual name.
            Record::Epoch { epoch, train_loss, valid_loss, top1, top5, seconds, .. } => self.progress.note(&format!(
                "{:<24} epoch {epoch}/{}  loss {train_loss:.4}, valid {valid_loss:.4}  top-1 {top1:.2} %  top-5 {top5:.2} %  {}",
                self.name,
                self.epochs,
                clock(*seconds)
            )),
        }
    }

    /// One line for the user.
    pub(crate) fn note(&self, text: &str) {
        self.progress.note(&format!("{}: {text}", self.name));
    }
}

impl Drop for RunProgress<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// `m:ss` or `h:mm:ss`, to the nearest second.
pub(crate) fn clock(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole / 3600 {
        0 => format!("{}:{:02}", whole / 60, whole % 60),
        hours => format!("{hours}:{:02}:{:02}", whole / 60 % 60, whole % 60),
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates above are constants; the default bar stands in should one be wrong.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_read_as_a_clock() {
        assert_eq!([0.4, 59.6, 61.2, 3_599.0, 3_725.0].map(clock), ["0:00", "1:00", "1:01", "59:59", "1:02:05"]);
    }
}
