//! Progress of an experiment: bars on a terminal, plain lines elsewhere.

use std::path::Path;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use lookahead_report::console;
use lookahead_runs::{Log, Record, Run, TaskKind};

use super::line::epoch_line;
use super::terminal::{can_draw, columns};
use super::tui::{Stage, View};
use crate::error::Result;
use crate::train::{Interrupt, Watch};

/// Reports an experiment's progress on standard error.
///
/// On a terminal, there are two bars: the steps of the run and the runs of the experiment, with images per second and
/// the time left. If standard error is not a terminal, or one that cannot move its cursor (`TERM=dumb`), there is one
/// line per epoch. With `quiet`, nothing is printed.
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
    /// Progress of an experiment with `runs` runs.
    pub fn new(runs: usize, quiet: bool) -> Self {
        let mode = match (quiet, can_draw()) {
            (true, _) => Mode::Quiet,
            (false, true) => Mode::Bars,
            (false, false) => Mode::Lines,
        };
        let target = if mode == Mode::Bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        let all = bars.add(ProgressBar::new(runs as u64));
        all.set_style(style(of_all(columns())));
        all.set_prefix("experiment");
        Self { bars, runs: all, mode, view: None }
    }

    /// Prints nothing.
    pub fn quiet() -> Self {
        Self::new(0, true)
    }

    /// Full screen, until [`Progress::close`] or drop; the key `q` asks `interrupt` to stop.
    ///
    /// # Errors
    /// Standard output is not a terminal.
    pub(crate) fn on_screen(experiment: &str, task: TaskKind, runs: &[String], interrupt: &Interrupt) -> Result<Self> {
        let interrupt = interrupt.clone();
        let view = View::start(experiment, task, runs, move || interrupt.ask())?;
        let mut progress = Self::quiet();
        progress.view = Some(view);
        Ok(progress)
    }

    /// Removes the bars or the full-screen view. Later notes are plain lines.
    pub(crate) fn close(&mut self) {
        self.runs.finish_and_clear();
        if self.view.take().is_some() || self.mode == Mode::Bars {
            self.mode = Mode::Lines;
        }
    }

    /// Prints one line for the user, above the bars.
    pub fn note(&self, text: &str) {
        if let Some(view) = &self.view {
            view.board().note(text);
        }
        match self.mode {
            // Training continues if the terminal goes away.
            Mode::Bars => drop(self.bars.println(console::one_line(text))),
            Mode::Lines => console::note(text),
            Mode::Quiet => {}
        }
    }

    /// The observer of the run `name`, which learns `task`.
    pub fn run(&self, task: TaskKind, name: &str) -> RunProgress<'_> {
        let bar = self.bars.insert_before(&self.runs, ProgressBar::new(0));
        let columns = columns();
        bar.set_style(style(&of_run(columns)));
        bar.set_prefix(name.to_owned());
        self.runs.set_style(style(of_all(columns)));
        RunProgress { progress: self, bar, task, name: name.to_owned(), epochs: 0, columns }
    }

    /// A bar for a download.
    #[cfg(feature = "download")]
    pub(crate) fn bytes(&self) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new(0));
        let (wide, narrow) =
            ("{msg:>24} {bar:24} {bytes}/{total_bytes} {bytes_per_sec} eta {eta}", "{bytes}/{total_bytes} {wide_msg}");
        bar.set_style(style(if columns() >= 110 { wide } else { narrow }));
        bar
    }

    /// A bar for listing, reading or decoding images.
    pub(super) fn images(&self) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new(0));
        let (wide, narrow) = ("{msg:>24} {bar:24} {pos}/{len} images eta {eta}", "{pos}/{len} images {wide_msg}");
        bar.set_style(style(if columns() >= 90 { wide } else { narrow }));
        bar
    }

    /// A run is finished, now or earlier.
    pub(crate) fn run_done(&self) {
        self.runs.inc(1);
    }

    /// The run in `folder` was finished earlier: the full-screen view shows its records.
    pub(crate) fn run_found(&self, folder: &Path) {
        if let Some(view) = &self.view {
            let run = Run::read(folder);
            view.board().found(&run);
        }
    }

    /// The run of this name is finished, now or earlier, or has diverged.
    pub(crate) fn run_ended(&self, name: &str, diverged: bool) {
        self.run_done();
        if let Some(view) = &self.view {
            view.board().end(name, if diverged { Stage::Diverged } else { Stage::Done });
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
pub struct RunProgress<'a> {
    progress: &'a Progress,
    bar: ProgressBar,
    task: TaskKind,
    name: String,
    epochs: usize,
    /// The width that the bars are made for.
    columns: usize,
}

impl RunProgress<'_> {
    /// Adapts the bars to the terminal's current width, which changes with its window.
    fn fit(&mut self) {
        let now = columns();
        if self.progress.mode == Mode::Bars && now != self.columns {
            self.columns = now;
            self.bar.set_style(style(&of_run(now)));
            self.progress.runs.set_style(style(of_all(now)));
        }
    }
}

impl Watch for RunProgress<'_> {
    fn begin(&mut self, epochs: usize, steps: usize, done: usize, before: &Log) {
        self.epochs = epochs;
        self.bar.set_length(steps as u64);
        self.bar.set_position(done as u64);
        self.bar.reset_eta();
        if let Some(view) = &self.progress.view {
            view.board().begin(&self.name, epochs, steps, done, before);
        }
        if done > 0 {
            self.note(&format!("resuming after step {done} of {steps}"));
        }
    }

    fn steps(&mut self, done: usize) {
        self.fit();
        self.bar.set_position(done as u64);
        if let Some(view) = &self.progress.view {
            view.board().steps(done);
        }
    }

    fn record(&mut self, record: &Record) {
        if let Some(view) = &self.progress.view {
            view.board().record(record);
            return;
        }
        match record {
            Record::Step(step) => {
                let text = format!("loss {:.3}, {:.0} {}/s", step.train_loss, step.per_second, self.task.units());
                self.bar.set_message(text);
            }
            // A log is later read on a terminal too.
            Record::Epoch(at) => {
                // A line as wide as the terminal would run into the bar below.
                let width =
                    if self.progress.mode == Mode::Bars { columns().saturating_sub(1) } else { columns().min(80) };
                self.progress.note(&epoch_line(&self.name, at, self.epochs, width));
            }
        }
    }

    fn note(&mut self, text: &str) {
        self.progress.note(&format!("{}: {text}", self.name));
    }
}

impl Drop for RunProgress<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// The bar of a run in this many columns. Its last parts are dropped first; names of up to 31 letters are shown whole
/// from 38 columns on.
fn of_run(columns: usize) -> String {
    match columns {
        100.. => "{prefix} {bar:24} {pos}/{len} eta {eta} {wide_msg}".to_owned(),
        60.. => "{prefix} {pos}/{len} eta {eta} {wide_msg}".to_owned(),
        _ => format!("{{prefix:{}!}} {{percent:>3}} %", columns.saturating_sub(7)),
    }
}

/// The bar of all runs in this many columns.
fn of_all(columns: usize) -> &'static str {
    match columns {
        80.. => "{prefix} {bar:24} {pos}/{len} runs, {elapsed_precise}",
        _ => "{pos}/{len} runs, {elapsed_precise}",
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates above are constants; if one were invalid, the default bar would be used.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    if console::is_unicode() { style } else { style.progress_chars("#>-") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_one() {
        for columns in [1, 40, 60, 80, 160] {
            ProgressStyle::with_template(&of_run(columns)).unwrap();
            ProgressStyle::with_template(of_all(columns)).unwrap();
        }
    }
}
