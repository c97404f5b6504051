//! `puzzle`: why did Lookahead/AdamW collapse in the original project?

mod moments_reset;
mod page;
mod variants;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::Device;
use clap::Parser;

pub use moments_reset::MomentsReset;

use self::page::Outcome;
use self::variants::{VARIANTS, Variant};
use crate::datasets::{self, Data};
use crate::device::open_device;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::names::Experiment;
use crate::progress::Progress;
use crate::run_folder::{RunFolder, RunState};
use crate::stats::Spread;
use crate::train::{LoopOptions, train_with};
use crate::{atomic, experiment};

/// Runs AdamW inside Lookahead with each of the original's suspects, alone and together, and writes a page.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "puzzle",
    version,
    max_term_width = 110,
    after_help = "Examples:\n  just puzzle\n  just puzzle --experiment cifar10 --limit-train 10000 --page docs/ADAMW_PUZZLE.md\n\n\
                  The same command again goes on with what was interrupted and skips what is done.\n\n\
                  Exit status: 0 done; 2 bad usage or configuration; 3 data missing or damaged; 130 interrupted, resumable."
)]
pub struct PuzzleFlags {
    /// The data set, at the sizes of its protocol `quick`
    #[arg(long, value_enum, default_value = "demo", value_name = "EXPERIMENT")]
    pub experiment: Experiment,
    /// Where data sets lie [default: $LOOKAHEAD_DATA, else datasets]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Passes over the training images
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub epochs: usize,
    /// Seeds, one run each
    #[arg(long, value_delimiter = ',', default_value = "1,2,3", value_name = "1,2,3")]
    pub seeds: Vec<u64>,
    /// Use this many training images only; 0 means all
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub limit_train: usize,
    /// Use this many validation images only; 0 means all
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub limit_valid: usize,
    /// auto, cpu, cuda:N or metal:N
    #[arg(long, default_value = "auto", value_name = "NAME")]
    pub device: String,
    /// Host threads [default: all cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Where run folders go, below `puzzle`
    #[arg(long, default_value = "runs", value_name = "DIR")]
    pub out: PathBuf,
    /// Write the page here; its figure goes beside it
    #[arg(long, value_name = "FILE.md")]
    pub page: Option<PathBuf>,
    /// Print nothing but the page and errors
    #[arg(long)]
    pub quiet: bool,
}

/// Trains what is missing and writes the page, or prints it.
///
/// # Errors
/// Any [`Error`] but [`Error::Diverged`], which is an outcome here.
pub fn puzzle(flags: &PuzzleFlags) -> Result<()> {
    let (device, name) = open_device(&flags.device)?;
    experiment::set_threads(flags.threads);
    let mut base = variants::base(flags.experiment, flags.epochs);
    let environment = Environment::here(&name, rayon::current_num_threads())?;
    base.device = name;
    (base.data.limit_train, base.data.limit_valid) = (flags.limit_train, flags.limit_valid);
    base.seeds.clone_from(&flags.seeds);
    base.validate()?;
    let progress = Progress::new(VARIANTS.len() * flags.seeds.len(), flags.quiet);
    let root = datasets::data_root(flags.data.as_deref());
    let data = Data::new(datasets::open(&base, &root, None, &progress)?, &base)?;
    let options = LoopOptions { log_every: 50, checkpoint_every: None, interrupt: Interrupt::listen() };

    let mut outcomes = Vec::new();
    for variant in VARIANTS {
        let folder = flags.out.join("puzzle").join(variant.name);
        let mut outcome = Outcome { variant: *variant, ends: vec![], curve: vec![], diverged: vec![] };
        let mut curves: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for &seed in &flags.seeds {
            let run = variant.run(&base, seed);
            match one(variant, &run, &data, &device, &folder, &environment, &options, &progress) {
                Ok(summary) => {
                    outcome.ends.push((seed, summary.top1, summary.valid_loss));
                    for (epoch, top1) in accuracies(&folder.join(run.name()))? {
                        curves.entry(epoch).or_default().push(top1);
                    }
                }
                Err(error @ Error::Diverged { .. }) => {
                    progress.note(&error.to_string());
                    outcome.diverged.push(seed);
                }
                Err(error) => return Err(error),
            }
            progress.run_done();
        }
        let at = |(epoch, values): (&u64, &Vec<f64>)| Some((*epoch as f64, Spread::of(values)?));
        outcome.curve = curves.iter().filter_map(at).collect();
        outcomes.push(outcome);
    }
    write(flags, &outcomes, &base, &environment)
}

fn write(flags: &PuzzleFlags, outcomes: &[Outcome], base: &crate::Config, environment: &Environment) -> Result<()> {
    let Some(path) = &flags.page else {
        print!("{}", page::page(outcomes, base, environment, "puzzle.svg"));
        return Ok(());
    };
    let figure = path.with_extension("svg");
    let name = figure.file_name().unwrap_or_default().to_string_lossy().into_owned();
    atomic::write(&figure, page::figure(outcomes).as_bytes())?;
    atomic::write(path, page::page(outcomes, base, environment, &name).as_bytes())
}

#[allow(clippy::too_many_arguments, reason = "one call, and a struct for it would only rename the arguments")]
fn one(
    variant: &Variant,
    run: &crate::RunConfig,
    data: &Data,
    device: &Device,
    folder: &Path,
    environment: &Environment,
    options: &LoopOptions,
    progress: &Progress,
) -> Result<crate::RunSummary> {
    match RunFolder::open(folder, run, &data.sha256, environment, false)? {
        RunState::Done(summary) => Ok(*summary),
        RunState::Open(run_folder) => {
            train_with(run, data, device, &run_folder, options, progress, |run, parameters, steps| {
                variant.build(run, parameters, steps)
            })
        }
    }
}

/// Epochs and their accuracies in a run's `metrics.jsonl`.
fn accuracies(run: &Path) -> Result<Vec<(u64, f64)>> {
    let path = run.join("metrics.jsonl");
    let text = std::fs::read_to_string(&path).map_err(Error::output("read", &path))?;
    let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    Ok(lines.filter_map(|line| Some((line["epoch"].as_u64()?, line["top1"].as_f64()?))).collect())
}
