//! Runs the cells of a sweep in one process.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use candle_core::Device;
use lookahead_report::clock;
use lookahead_report::console::note;
use lookahead_runs::{DataSet, Environment, Error as RunsError, Opened, RunFolder, RunSummary, without_locks};

use super::cells::{Cells, State, Trained};
use super::shard::Shard;
use crate::config::{Config, DataConfig, RunConfig};
use crate::error::{Error, Result};
use crate::parts::Data;
use crate::program::data::{Place, open};
use crate::screen::Progress;
use crate::train::{Interrupt, LoopOptions, Unwatched, train};

/// Pause before a process checks again the cells that others hold.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a process needs to run cells.
#[derive(Debug)]
pub(in crate::program) struct Worker<'a> {
    pub(in crate::program) device: &'a Device,
    pub(in crate::program) environment: &'a Environment,
    pub(in crate::program) interrupt: &'a Interrupt,
    pub(in crate::program) store: Store,
    pub(in crate::program) quiet: bool,
    /// Ends when others hold all remaining cells.
    pub(in crate::program) no_wait: bool,
    /// The file system has no locks, so nothing shows which cells other processes hold: it trains its own share only.
    pub(in crate::program) is_without_locks: bool,
}

/// How a cell ended.
#[derive(Debug)]
enum Outcome {
    Done(Box<RunSummary>),
    Diverged,
    Failed {
        why: String,
        /// Whether the reason is in the cell's folder.
        is_recorded: bool,
    },
    /// It was already finished, or another process finished it meanwhile.
    Before,
    /// Another process holds it.
    Held,
    /// It is another process's, and nothing shows whether that process trains it.
    OfOthers,
}

impl Worker<'_> {
    /// Works until every cell is done, has diverged or has failed, and waits for cells that other processes hold. Without
    /// locks, works until those of its own share are. Returns the cells that failed here.
    ///
    /// # Errors
    /// [`Error::Stopped`], [`Error::Interrupted`], a full disk, data that cannot be opened or are not those of the
    /// finished cells, a damaged summary. A failed cell is not an error; its folder holds the reason, unless nothing can
    /// be written there.
    pub(in crate::program) fn work(&mut self, cells: &Cells, shard: Shard) -> Result<Vec<usize>> {
        let (mut left, mut failed) = (shard.order(cells.runs.len()), Vec::new());
        let (begun, before, trained) = (Instant::now(), cells.ended(), cells.trained()?);
        loop {
            let mut held = Vec::new();
            for cell in left {
                if self.interrupt.is_asked() {
                    return Err(stopped());
                }
                if self.is_without_locks && !shard.owns(cell) {
                    continue;
                }
                let mut is_said = !self.quiet;
                let words = match self.cell(cells, cell, shard, &trained)? {
                    Outcome::Before | Outcome::OfOthers => continue,
                    Outcome::Held => {
                        held.push(cell);
                        continue;
                    }
                    Outcome::Done(summary) => {
                        let (figures, of) = (summary.figures, summary.split.name());
                        let score = cells.runs[cell].config.data.task().score();
                        format!(
                            "{of} {} {:.2}{}, loss {:.4}, {}",
                            score.name(),
                            figures.scores.get(score),
                            score.unit(),
                            figures.valid_loss,
                            clock(figures.seconds)
                        )
                    }
                    Outcome::Diverged => "diverged".to_owned(),
                    Outcome::Failed { why, is_recorded } => {
                        failed.push(cell);
                        is_said |= !is_recorded;
                        format!("failed: {why}")
                    }
                };
                if is_said {
                    let (now, all) = (cells.ended(), cells.runs.len());
                    let rate = begun.elapsed().as_secs_f64() / (now.saturating_sub(before)).max(1) as f64;
                    let time_left = if now < all {
                        format!("; about {} left", clock(rate * (all - now) as f64))
                    } else {
                        String::new()
                    };
                    note(&format!("[{now}/{all}] {}: {words}{time_left}", cells.name(cell)));
                }
            }
            if held.is_empty() || self.no_wait {
                return Ok(failed);
            }
            let since = Instant::now();
            while since.elapsed() < PATIENCE && !self.interrupt.is_asked() {
                std::thread::sleep(Duration::from_millis(100));
            }
            left = held;
        }
    }

    fn cell(&mut self, cells: &Cells, cell: usize, shard: Shard, trained: &[Trained]) -> Result<Outcome> {
        if cells.state(cell)? != State::ToDo {
            return Ok(Outcome::Before);
        }
        // Without locks, to open the cell would be to overwrite the files of the process that may train it.
        if !shard.owns(cell)
            && let Ok(Some(notice)) = without_locks(&cells.path(cell))
        {
            train_alone(&notice, shard);
            self.is_without_locks = true;
            return Ok(Outcome::OfOthers);
        }
        let run = &cells.runs[cell];
        let data = self.store.of(&run.config)?;
        let now = &data.about().sha256;
        if let Some(other) = trained.iter().find(|other| other.is_of(&run.config) && other.sha256 != *now) {
            // A sweep on two data sets cannot be ranked: stop before it becomes one.
            let (path, was, now) = (other.folder.clone(), other.sha256.clone(), now.clone());
            return Err(RunsError::DataChanged { path, was, now }.into());
        }
        let environment = self.environment.now();
        let opened = RunFolder::open(&cells.folder, cells.name(cell), &run.to_table(), data.about(), &environment);
        let ended = match opened {
            Err(RunsError::Locked { .. }) => return Ok(Outcome::Held),
            Err(error) => Err(error.into()),
            Ok(Opened::Done(_)) => return Ok(Outcome::Before),
            Ok(Opened::ToDo(folder)) => {
                if let Some(notice) = folder.notice().filter(|_| !self.is_without_locks) {
                    train_alone(&notice, shard);
                    self.is_without_locks = true;
                }
                if let Some(change) = folder.change().filter(|_| !self.quiet) {
                    note(&format!("note: {change}"));
                }
                let options = LoopOptions { log_every: 10, checkpoint_every: None, interrupt: self.interrupt.clone() };
                train(run, data, self.device, &folder, &options, &mut Unwatched)
            }
        };
        match ended {
            Ok(summary) => {
                cells.succeeded(cell);
                Ok(Outcome::Done(Box::new(summary)))
            }
            Err(Error::Diverged { .. }) => {
                cells.succeeded(cell);
                Ok(Outcome::Diverged)
            }
            // These would make every other cell fail too.
            Err(error @ (Error::Interrupted { .. } | Error::Stopped { .. })) => Err(error),
            Err(error) if error.exit_status() == 5 => Err(error),
            Err(error) => {
                let why = error.without_fresh("sweep").to_string().replace('\n', " ");
                Ok(Outcome::Failed { is_recorded: cells.failed(cell, &why), why })
            }
        }
    }
}

/// Says that the file system has no locks, and what this process does about it.
fn train_alone(notice: &str, shard: Shard) {
    let own = if shard.of > 1 { "; this process trains only its own share" } else { "" };
    note(&format!("note: {notice}{own}"));
}

fn stopped() -> Error {
    Error::Stopped { what: "sweep".to_owned(), remedy: "run the same command to resume" }
}

/// The data sets that cells need, each opened once.
#[derive(Debug)]
pub(in crate::program) struct Store {
    root: PathBuf,
    dataset_dir: Option<PathBuf>,
    cache: Option<PathBuf>,
    interrupt: Interrupt,
    /// By [`DataConfig::source`].
    made: Vec<(DataConfig, Data)>,
}

impl Store {
    pub(in crate::program) fn new(
        root: PathBuf,
        dataset_dir: Option<PathBuf>,
        cache: Option<PathBuf>,
        interrupt: Interrupt,
    ) -> Self {
        Self { root, dataset_dir, cache, interrupt, made: Vec::new() }
    }

    /// The data of `config`. While they are downloaded, read or decoded, a request to stop ends the program at once.
    ///
    /// # Errors
    /// Errors of finding and reading the data; [`Error::Stopped`].
    pub(in crate::program) fn of(&mut self, config: &Config) -> Result<&Data> {
        let wanted = config.data.source();
        let position = match self.made.iter().position(|(made, _)| *made == wanted) {
            Some(position) => position,
            None => {
                let place =
                    Place { root: &self.root, dataset_dir: self.dataset_dir.as_deref(), cache: self.cache.as_deref() };
                let data = self.interrupt.at_once(|| open(config, place, &Progress::quiet())).ok_or_else(stopped)??;
                self.made.push((wanted, data));
                self.made.len() - 1
            }
        };
        Ok(&self.made[position].1)
    }
}

/// Estimates the seconds that training `run` takes from a few of its steps; `None` if it cannot be set up, which its
/// cell will report.
pub(super) fn estimate(run: &RunConfig, data: &Data, device: &Device) -> Option<f64> {
    const WARM: usize = 2;
    const TIMED: usize = 4;
    let mut setup = crate::train::Setup::new(run, data, device).ok()?;
    let mut clock = Instant::now();
    let mut time = lookahead_runs::TimeSplit::default();
    for step in 0..WARM + TIMED {
        if step == WARM {
            clock = Instant::now();
        }
        // Every step uses the epoch's first batches: an epoch may be shorter than this.
        setup.begin(step, 0).ok()?;
        let gradients = setup.gradients(0, &mut time).ok()?;
        setup.optimizer.step(&gradients.store).ok()?;
        gradients.loss.to_dtype(candle_core::DType::F64).and_then(|loss| loss.to_scalar::<f64>()).ok()?;
    }
    let step = clock.elapsed().as_secs_f64() / TIMED as f64;
    // A forward pass is a third of a step.
    let DataSet { train, valid, .. } = data.about();
    let evaluated = valid.count as f64 / train.count.max(1) as f64 / 3.0;
    Some(run.config.train.epochs * step * setup.steps_per_epoch as f64 * (1.0 + evaluated))
}
