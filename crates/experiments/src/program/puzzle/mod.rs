//! `puzzle`: why did Lookahead/AdamW collapse in the original project?

mod causes;
mod figure;
mod page;
mod rows;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use clap::Parser;
use lookahead_report::console::print;
use lookahead_runs::{TaskKind, atomic};

use super::data::{Place, data_root, open};
use super::flags::Seeds;
use super::runs::{Ended, Shared, run_all};
use super::threads::set_threads;
use crate::config::{ConfigError, Experiment};
use crate::error::Result;
use crate::parts::open_device;
use crate::run::environment;
use crate::screen::Progress;
use crate::train::{Interrupt, LoopOptions};

/// Trains AdamW inside Lookahead with each suspected cause of the original project's collapse, alone and together, and
/// writes a page.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "puzzle",
    version,
    max_term_width = 110,
    allow_negative_numbers = true,
    after_help = "Examples:\n  just puzzle\n  just puzzle --experiment cifar10 --limit-train 10000 --page docs/ADAMW_PUZZLE.md\n\n\
                  Re-running a command resumes interrupted runs and skips finished ones.\n\n\
                  Exit status: 0 finished; 2 bad usage or configuration; 3 data missing or damaged; 5 the disk is full;\n\
                  130 interrupted, resumable."
)]
pub struct PuzzleFlags {
    /// Experiment whose data set and network to use, as in its protocol `quick`; one with images
    #[arg(long, value_enum, default_value = "demo", value_name = "EXPERIMENT")]
    pub experiment: Experiment,
    /// Folder of the data sets [default: $LOOKAHEAD_DATA, else datasets]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Passes over the training images
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub epochs: usize,
    /// Seeds, or ranges of them such as 1-3; each row is trained once per seed
    #[arg(long, value_delimiter = ',', default_value = "1,2,3", value_name = "1-3,7")]
    pub seeds: Vec<Seeds>,
    /// Use only this many training images; 0 means all
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub limit_train: usize,
    /// Use only this many validation images; 0 means all
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub limit_valid: usize,
    /// Device: auto, cpu, cuda:N or metal:N; for a GPU, build for it: `just features=cuda puzzle ...`
    #[arg(long, default_value = "auto", value_name = "NAME")]
    pub device: String,
    /// Host threads [default: all cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Folder in which `puzzle`, with the run folders, is created
    #[arg(long, default_value = "runs", value_name = "DIR")]
    pub out: PathBuf,
    /// Write the page to this file, and its figure next to it
    #[arg(long, value_name = "FILE.md")]
    pub page: Option<PathBuf>,
    /// Print only the page and errors
    #[arg(long)]
    pub quiet: bool,
}

/// Trains the missing runs and writes or prints the page. Here, a run that diverges is a result and not an error.
///
/// # Errors
/// Any [`Error`](crate::Error) but [`Error::Diverged`](crate::Error::Diverged).
pub fn puzzle(flags: &PuzzleFlags) -> Result<()> {
    run(flags).map_err(|error| error.without_fresh("puzzle"))
}

fn run(flags: &PuzzleFlags) -> Result<()> {
    let figure = flags.check()?;
    let mut config = rows::config(flags.experiment, flags.epochs);
    if let Some(images) = config.data.images_mut() {
        (images.limit_train, images.limit_valid) = (flags.limit_train, flags.limit_valid);
    }
    config.seeds = Seeds::all(&flags.seeds);
    config.validate()?;
    let (device, name) = open_device(&flags.device)?;
    set_threads(flags.threads)?;
    let environment = environment(&name, rayon::current_num_threads())?;
    config.device = name;
    let progress = Progress::new(config.runs().len(), flags.quiet);
    let root = data_root(flags.data.as_deref());
    let data = open(&config, Place { root: &root, dataset_dir: None, cache: None }, &progress)?;
    let options = LoopOptions { log_every: 50, checkpoint_every: None, interrupt: Interrupt::listen() };
    let shared = Shared {
        data: &data,
        device: &device,
        environment: &environment,
        options: &options,
        progress: &progress,
        has_flags: false,
    };
    let Ended { report, stopped, .. } = run_all(&config, &flags.out.join("puzzle"), false, &shared)?;
    if let Some(error) = stopped {
        return Err(error);
    }
    let (Some(path), Some(figure)) = (&flags.page, figure) else {
        return Ok(print(&page::page(&report, &config, &environment.command, "puzzle.svg"))?);
    };
    let name = figure.file_name().unwrap_or_default().to_string_lossy().into_owned();
    atomic::write(&figure, figure::figure(&report).as_bytes())?;
    Ok(atomic::write(path, page::page(&report, &config, &environment.command, &name).as_bytes())?)
}

impl PuzzleFlags {
    /// Checks the flags and returns the file of the page's figure, if there is a page.
    ///
    /// # Errors
    /// [`ConfigError::Conflict`] for an experiment without images, and for a page that its figure would overwrite.
    fn check(&self) -> Result<Option<PathBuf>> {
        let conflict = |first: String, second: &str, why: &str| {
            Err(ConfigError::Conflict { first, second: second.to_owned(), why: why.to_owned() }.into())
        };
        if self.experiment.task() != TaskKind::Images {
            let why = "the question is about accuracies; choose an experiment with images, such as cifar10";
            return conflict(format!("--experiment {}", self.experiment), "the puzzle", why);
        }
        let figure = self.page.as_deref().map(figure_of);
        if let (Some(page), Some(figure)) = (&self.page, &figure)
            && page == figure
        {
            let why = "both would be the same file; give the page another ending, such as .md";
            return conflict(format!("--page {}", page.display()), "the figure next to it", why);
        }
        Ok(figure)
    }
}

/// The figure next to `page`: `page.svg` for `page.md`.
fn figure_of(page: &Path) -> PathBuf {
    page.with_extension("svg")
}
