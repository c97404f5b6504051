//! `sweep`: trains every setting of a study, here, as one of several shares, or as a SLURM array.

mod cells;
mod claim;
mod jobs;
mod ranking;
mod shard;
mod slurm;
mod work;

use std::path::PathBuf;

use candle_core::Device;
use clap::Parser;
use lookahead_report::console::{note, print};
use lookahead_report::{clock, counted};
use lookahead_runs::Environment;

pub use shard::Shard;

use claim::Claim;

pub(super) use cells::{Cells, State};
pub(super) use work::{Store, Worker, estimate};

use super::data::data_root;
use super::threads::set_threads;
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
    #[arg(long, default_value = "runs", value_name = "DIR")]
    pub out: PathBuf,
    /// Print only the ranking and errors
    #[arg(long)]
    pub quiet: bool,
    /// Run as one of the processes of --jobs: the parent process reports, and this one ends with it
    #[arg(long, hide = true)]
    pub part: bool,
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
    let at_least_one = |key: &str, value| match value {
        Some(0) => {
            Err(ConfigError::OutOfRange { key: key.to_owned(), rule: "1 or more".into(), value: "0".to_owned() })
        }
        _ => Ok(()),
    };
    at_least_one("--jobs", Some(flags.jobs))?;
    at_least_one("--threads", flags.threads)?;
    // To list or submit cells takes neither device nor data: a cluster's front machine may have none.
    let trains = !flags.list && !flags.submit;
    let (device, name) = if trains { open_device(&flags.device)? } else { (Device::Cpu, flags.device.clone()) };
    set_threads(flags.threads);
    let study = Study::read(&flags.study, &name)?;
    let folder = flags.out.join(&study.name);
    let tuning = Cells::new(folder, study.cells().map(|(setting, seed)| setting.run(seed)).collect());
    let claim = if flags.last { Some(Claim::new(&study, &tuning, !trains)?) } else { None };
    let cells = claim.as_ref().map_or(&tuning, |claim| &claim.cells);
    // Processes of --jobs do not retry cells that failed in another process.
    if !flags.part && !flags.list && !flags.no_retry {
        cells.forgive();
    }
    // A cell of another configuration ends the sweep here, before anything is trained.
    let states = if trains { cells.states()? } else { cells.listed()? };
    if flags.list {
        let word = |state: State| format!("{state:?}").to_lowercase();
        let lines =
            states.iter().enumerate().map(|(cell, state)| format!("{:<8} {}\n", word(*state), cells.name(cell)));
        return Ok(print(&lines.collect::<String>())?);
    }
    let to_do: Vec<usize> = (0..states.len()).filter(|&cell| states[cell] == State::ToDo).collect();
    let say_plan = |seconds: Option<f64>| {
        note(&plan(&study, cells, to_do.len(), flags, seconds));
        claim.iter().for_each(|claim| note(&claim.words()));
    };
    if flags.submit && !to_do.is_empty() {
        if !flags.quiet {
            say_plan(None);
        }
        return slurm::submit(&study, &cells.folder, to_do.len(), flags);
    }
    if !to_do.is_empty() {
        let environment = environment(&name, rayon::current_num_threads())?;
        let environment = Environment { shares_machine: flags.part, ..environment };
        let interrupt = Interrupt::listen();
        if flags.part {
            jobs::stop_with_parent(&interrupt);
        }
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
        if !flags.part && !flags.quiet {
            say_plan(seconds(cells, &states, &to_do, flags, &mut worker)?);
        }
        if flags.jobs > 1 {
            jobs::run(cells, flags, &interrupt)?;
        } else {
            worker.work(cells, flags.shard.unwrap_or(Shard::WHOLE))?;
        }
    }
    if flags.part {
        return Ok(());
    }
    let states = if to_do.is_empty() { states } else { cells.states()? };
    let left = states.iter().filter(|state| **state == State::ToDo).count();
    match &claim {
        None => print(&ranking::ranking(&study, cells, &states)?)?,
        Some(claim) if states.iter().all(|state| matches!(state, State::Done | State::Diverged)) => {
            let text = claim.write(flags.markdown.as_deref())?;
            print(text.split("## Trials").next().unwrap_or_default())?;
            if !flags.quiet {
                note(&format!("the page: {}", tuning.folder.join("study.html").display()));
            }
        }
        Some(_) => {}
    }
    if left > 0 && flags.no_wait && !flags.quiet {
        let held = counted(left, "cell");
        note(&format!("other processes hold the last {held}; run the same command to wait for them or take over"));
    }
    let has_failed = |cell: &usize| states[*cell] == State::Failed;
    let failed: Vec<&str> = (0..states.len()).filter(has_failed).map(|cell| cells.name(cell)).collect();
    if !failed.is_empty() {
        return Err(Error::CellsFailed { failed: failed.len(), cells: cells.runs.len(), names: failed.join(", ") });
    }
    if left > 0 && !flags.no_wait {
        return Err(Error::CellsLeft { left, cells: cells.runs.len() });
    }
    Ok(())
}

/// An estimate of the seconds that the cells `to_do` take here, from finished cells or else from a few steps of the
/// first one; `None` if that one cannot be set up.
fn seconds(
    cells: &Cells,
    states: &[State],
    to_do: &[usize],
    flags: &SweepFlags,
    worker: &mut Worker<'_>,
) -> Result<Option<f64>> {
    const SAMPLE: usize = 20;
    let done: Vec<f64> = (0..states.len())
        .filter(|&cell| states[cell] == State::Done)
        .take(SAMPLE)
        .filter_map(|cell| Some(cells.summary(cell)?.figures.seconds))
        .collect();
    let share = to_do.len() as f64 / flags.shard.map_or(1, |shard| shard.of) as f64;
    if done.is_empty() {
        // Timed on all cores: jobs that share them each take longer, but together take as long.
        let run = &cells.runs[to_do[0]];
        return Ok(estimate(run, worker.store.of(&run.config)?, worker.device).map(|seconds| share * seconds));
    }
    Ok(Some(share * done.iter().sum::<f64>() / done.len() as f64 / flags.jobs as f64))
}

/// A summary of the sweep with `left` cells to do in about `seconds`.
fn plan(study: &Study, cells: &Cells, left: usize, flags: &SweepFlags, seconds: Option<f64>) -> String {
    let about = seconds.map_or_else(String::new, |seconds| format!(", about {} here", clock(seconds)));
    let before = cells.runs.len() - left;
    let before = if before > 0 { format!(", {before} of them already finished") } else { String::new() };
    let (settings, seeds) =
        if flags.last { (1, study.file.final_seeds.len()) } else { (study.trials, study.file.seeds.len()) };
    format!(
        "{}: {} of {}, {}: {}{before}{about}; {}",
        study.name,
        counted(study.file.rows.len(), "row"),
        counted(settings, "setting"),
        counted(seeds, "seed"),
        counted(cells.runs.len(), "cell"),
        cells.folder.display()
    )
}
