//! `sweep`: trains every setting of a study, here, as one of several shares, or as a SLURM array.

mod cells;
mod claim;
mod jobs;
mod plan;
mod ranking;
mod shard;
mod slurm;
mod work;

use std::path::PathBuf;

use candle_core::Device;
use clap::Parser;
use lookahead_report::console::{note, print};
use lookahead_report::counted;
use lookahead_runs::Environment;

pub use shard::Shard;

use claim::Claim;
use shard::MOST_SHARES;

pub(super) use cells::{Cells, State};
pub(super) use work::{Store, Worker};

use super::data::data_root;
use super::threads::{check, set_threads};
use crate::config::ConfigError;
use crate::error::{Error, Result};
use crate::parts::open_device;
use crate::run::environment;
use crate::study::Study;
use crate::train::Interrupt;

/// Trains every setting of a study with every seed of its sweep, and ranks the settings by held-out images. Does not
/// read the test images.
///
/// Each cell (one setting with one seed) is a run folder below `<out>/<study>`. Re-running the command resumes, on any
/// machine that sees the folder.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "sweep",
    version,
    max_term_width = 110,
    args_override_self = true,
    after_help = "Examples:\n  just sweep studies/shapes.toml --jobs 2\n  just sweep studies/shapes.toml --shard 1/2 & just sweep studies/shapes.toml --shard 2/2\n  \
                  just sweep studies/shapes.toml --submit\n\n\
                  Exit status: 0 all cells done, or held by others (--no-wait); 1 some failed or are left; 2 bad usage or\n\
                  configuration; 3 data missing or damaged; 5 the disk is full; 130 interrupted, resumable."
)]
pub struct SweepFlags {
    /// Study file
    #[arg(value_name = "STUDY.toml")]
    pub study: PathBuf,
    /// Number of processes; the cores are divided among them
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub jobs: usize,
    /// After the sweep: train the best setting of each row (by held-out images) with the study's `final_seeds`, test
    /// once, and write study.html and study.md to the sweep's folder
    #[arg(long = "final")]
    pub last: bool,
    /// Also write the Markdown of --final to this file
    #[arg(long, value_name = "FILE.md", requires = "last")]
    pub markdown: Option<PathBuf>,
    /// Start with share I of N of the cells, then take those that no other process holds
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// Exit when other processes hold all remaining cells, instead of waiting
    #[arg(long)]
    pub no_wait: bool,
    /// Do not retry cells that failed before
    #[arg(long)]
    pub no_retry: bool,
    /// Write a SLURM script, submit it, and exit
    #[arg(long, conflicts_with_all = ["jobs", "shard"])]
    pub submit: bool,
    /// Print the state of each cell and exit
    #[arg(long, conflicts_with = "submit")]
    pub list: bool,
    /// Folder of the data sets [default: $LOOKAHEAD_DATA, else datasets]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Train on this folder: train/ and val/ with class folders (imagenette, imagenet), or a text or a folder of
    /// train.txt, valid.txt and test.txt (language)
    #[arg(long, value_name = "DIR")]
    pub dataset_dir: Option<PathBuf>,
    /// Folder for decoded photographs [default: .cache in the data folder]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Device: auto, cpu, cuda:N or metal:N; for a GPU, build for it: `just features=cuda sweep ...`
    #[arg(long, default_value = "auto", value_name = "NAME")]
    pub device: String,
    /// Host threads of all jobs together [default: all cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Folder for the run folders
    #[arg(long, default_value = "runs/studies", value_name = "DIR")]
    pub out: PathBuf,
    /// Print only the ranking and errors
    #[arg(long)]
    pub quiet: bool,
    /// Run as one of the processes of --jobs, whose parent's command line this is: the parent reports, and this process
    /// ends with it
    #[arg(long, hide = true, value_name = "COMMAND")]
    pub part: Option<String>,
}

/// Runs the missing cells and prints each row's best settings by held-out images.
///
/// # Errors
/// [`Error::CellsFailed`] if cells failed, after all others were run; [`Error::CellsLeft`] if others hold cells and none
/// of `--no-wait` and `--part` is given; any other [`Error`] ends the sweep.
pub fn sweep(flags: &SweepFlags) -> Result<()> {
    run(flags).map_err(|error| error.without_fresh("sweep"))
}

fn run(flags: &SweepFlags) -> Result<()> {
    flags.check()?;
    // To list or submit cells takes neither device nor data: a cluster's front machine may have none.
    let trains = !flags.list && !flags.submit;
    let (device, name) = if trains { open_device(&flags.device)? } else { (Device::Cpu, flags.device.clone()) };
    set_threads(flags.threads)?;
    let study = Study::read(&flags.study, &name)?;
    let folder = flags.out.join(&study.name);
    let tuning = Cells::new(folder, study.cells().map(|(setting, seed)| setting.run(seed)).collect());
    let claim = if flags.last { Some(Claim::new(&study, &tuning, !trains)?) } else { None };
    let cells = claim.as_ref().map_or(&tuning, |claim| &claim.cells);
    // Processes of --jobs do not retry cells that failed in another process.
    if flags.part.is_none() && !flags.list && !flags.no_retry {
        cells.forgive();
    }
    // A cell of another configuration ends the sweep here, before anything is trained.
    let states = if trains { cells.states()? } else { cells.listed()? };
    if flags.list {
        return list(cells, &states);
    }
    let to_do: Vec<usize> = (0..states.len()).filter(|&cell| states[cell] == State::ToDo).collect();
    let mut failed = Vec::new();
    if !to_do.is_empty() {
        let say_plan = |seconds: Option<f64>| {
            note(&plan::words(&study, cells, &states, flags, seconds));
            claim.iter().for_each(|claim| note(&claim.words()));
        };
        if flags.submit {
            if !flags.quiet {
                say_plan(None);
            }
            return slurm::submit(&study, &cells.folder, to_do.len(), flags);
        }
        let mut environment = environment(&name, rayon::current_num_threads())?;
        if let Some(command) = &flags.part {
            environment = Environment { shares_machine: true, command: command.clone(), ..environment };
        }
        let interrupt = Interrupt::listen();
        let (root, folder, cache) = (data_root(flags.data.as_deref()), flags.dataset_dir.clone(), flags.cache.clone());
        let mut worker = Worker {
            device: &device,
            environment: &environment,
            interrupt: &interrupt,
            store: Store::new(root, folder, cache, interrupt.clone()),
            quiet: flags.quiet,
            no_wait: flags.no_wait,
            is_without_locks: false,
        };
        if flags.part.is_some() {
            jobs::stop_with_parent(&interrupt);
        } else if !flags.quiet {
            say_plan(plan::seconds(cells, &states, &to_do, flags, &mut worker)?);
        }
        match flags.jobs {
            1 => failed = worker.work(cells, flags.shard.unwrap_or(Shard::WHOLE))?,
            _ => jobs::run(cells, flags, &environment.command, &interrupt)?,
        }
    }
    let mut states = if to_do.is_empty() { states } else { cells.states()? };
    // A failure that could not be recorded leaves its cell as one to do, as if another process held it.
    failed.retain(|&cell| states[cell] == State::ToDo);
    failed.iter().for_each(|&cell| states[cell] = State::Failed);
    if flags.part.is_some() {
        // The parent sees all but these.
        return failures(cells, &failed, flags);
    }
    match &claim {
        None => print(&ranking::ranking(&study, cells, &states)?)?,
        Some(claim) if states.iter().all(|state| matches!(state, State::Done | State::Diverged)) => {
            let text = claim.write(&states, flags.markdown.as_deref())?;
            print(text.split("## Trials").next().unwrap_or_default())?;
            if !flags.quiet {
                note(&format!("the page: {}", tuning.folder.join("study.html").display()));
            }
        }
        Some(_) => {}
    }
    ended(cells, &states, flags)
}

/// Prints a line for each cell: its state and its name.
fn list(cells: &Cells, states: &[State]) -> Result<()> {
    let word = |state: State| format!("{state:?}").to_lowercase();
    let lines = states.iter().enumerate().map(|(cell, state)| format!("{:<8} {}\n", word(*state), cells.name(cell)));
    Ok(print(&lines.collect::<String>())?)
}

/// The error of a sweep with cells that failed or are left.
fn ended(cells: &Cells, states: &[State], flags: &SweepFlags) -> Result<()> {
    let of = |state: State| (0..states.len()).filter(move |&cell| states[cell] == state);
    let left = of(State::ToDo).count();
    if left > 0 && flags.no_wait && !flags.quiet {
        let held = counted(left, "cell");
        note(&format!("other processes hold the last {held}; run the same command to wait for them or take over"));
    }
    failures(cells, &of(State::Failed).collect::<Vec<_>>(), flags)?;
    if left > 0 && !flags.no_wait {
        return Err(Error::CellsLeft { left, cells: cells.runs.len() });
    }
    Ok(())
}

/// The error of these cells, which failed, if there are any.
fn failures(cells: &Cells, failed: &[usize], flags: &SweepFlags) -> Result<()> {
    if failed.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = failed.iter().map(|&cell| cells.name(cell)).collect();
    let how = if flags.no_retry { "run the command without --no-retry" } else { "run the same command again" };
    Err(Error::CellsFailed { failed: failed.len(), cells: cells.runs.len(), names: names.join(", "), how })
}

impl SweepFlags {
    fn check(&self) -> Result<()> {
        check("--jobs", self.jobs)?;
        let shares = self.shard.map_or(1, |shard| shard.of) * self.jobs;
        if shares > MOST_SHARES {
            return Err(ConfigError::OutOfRange {
                key: "--shard".to_owned(),
                rule: format!("one of at most {} shares with --jobs {}", MOST_SHARES / self.jobs, self.jobs).into(),
                value: self.shard.map_or(1, |shard| shard.of).to_string(),
            }
            .into());
        }
        Ok(())
    }
}
