//! An experiment from its command line to its table.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use crate::cli::Flags;
use crate::config::{Config, RunConfig};
use crate::datasets::{self, Data};
use crate::device::open_device;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::names::Experiment;
use crate::progress::{Progress, clock};
use crate::run_folder::{RunFolder, RunState};
use crate::summary::{ExperimentSummary, RunSummary, SCHEMA, rows};
use crate::train::{LoopOptions, train};
use crate::{atomic, report, table};

/// The whole program of an experiment: parses the command line, trains, prints the table. Returns the exit status of
/// [`Error::exit_status`].
pub fn main(experiment: Experiment) -> ExitCode {
    let flags = Flags::parse_for(experiment);
    exit_with(run(experiment, &flags))
}

/// Prints an error in one line and turns it into the exit status.
pub fn exit_with(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error.to_string().replace('\n', " "));
            ExitCode::from(error.exit_status())
        }
    }
}

/// Runs `experiment` as `flags` say.
///
/// Runs that diverge do not stop the others; the table is printed without them, and the first of them is the error.
///
/// # Errors
/// Any [`Error`].
pub fn run(experiment: Experiment, flags: &Flags) -> Result<()> {
    if let Some(shell) = flags.completions {
        let mut command = Flags::command_of(experiment);
        clap_complete::generate(shell, &mut command, experiment.to_string(), &mut std::io::stdout());
        return Ok(());
    }
    let mut config = flags.resolve(experiment)?;
    if flags.print_config {
        print!("{}", to_toml(&config));
        return Ok(());
    }
    let (device, name) = open_device(&config.device)?;
    config.device = name;
    set_threads(flags.threads);
    let environment = Environment::here(&config.device, rayon::current_num_threads())?;

    let runs = config.runs();
    let mut progress = Progress::new(runs.len(), flags.quiet);
    let root = datasets::data_root(flags.data.as_deref());
    let splits = datasets::open(&config, &root, flags.dataset_dir.as_deref(), &progress)?;
    let data = Data::new(splits, &config)?;
    let folder = flags.out.join(experiment.to_string());
    std::fs::create_dir_all(&folder).map_err(Error::output("create", &folder))?;
    let options = LoopOptions {
        log_every: flags.log_every,
        checkpoint_every: flags.checkpoint_every,
        interrupt: Interrupt::listen(),
    };

    if flags.tui {
        let names: Vec<String> = runs.iter().map(RunConfig::name).collect();
        // The bars are taken away before the screen is: later they could not be reached.
        progress.close();
        progress = Progress::on_screen(&experiment.to_string(), &names, &options.interrupt)?;
    }

    let begun = Instant::now();
    let mut done: Vec<RunSummary> = Vec::new();
    let mut diverged: Vec<(String, Error)> = Vec::new();
    for run in &runs {
        if options.interrupt.is_asked() {
            return Err(Error::Interrupted { run: run.name(), step: 0 });
        }
        match RunFolder::open(&folder, run, &data.sha256, &environment, flags.fresh)? {
            RunState::Done(summary) => {
                progress.note(&format!("{}: done before, skipped", run.name()));
                done.push(*summary);
            }
            RunState::Open(run_folder) => match train(run, &data, &device, &run_folder, &options, &progress) {
                Ok(summary) => done.push(summary),
                Err(error @ Error::Diverged { .. }) => {
                    progress.note(&format!("error: {error}"));
                    diverged.push((run.name(), error));
                }
                Err(error) => return Err(error),
            },
        }
        let has_diverged = diverged.last().is_some_and(|(name, _)| *name == run.name());
        progress.run_ended(&run.name(), has_diverged);
    }

    progress.close();
    let summary = summarize(&config, done, diverged.iter().map(|(name, _)| name.clone()).collect());
    atomic::write_json(&folder.join("summary.json"), &summary)?;
    write_report(&folder, &progress);
    progress.note(&format!("{} runs in {}; {}", runs.len(), clock(begun.elapsed().as_secs_f64()), folder.display()));
    print!("{}", table::render(&summary));
    match diverged.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// The page beside the runs. One that cannot be written is told; the runs are worth more than their page.
fn write_report(folder: &Path, progress: &Progress) {
    let mut left_out = Vec::new();
    for found in report::find(&[folder.to_path_buf()], &mut left_out) {
        let path = found.folder.join("report.html");
        match report::write_page(&report::Experiment::read(&found), &left_out, &path) {
            Ok(()) => progress.note(&format!("the page: {}", path.display())),
            Err(error) => progress.note(&format!("no page: {error}")),
        }
    }
}

/// The table of `runs`, without what only their own folders need.
pub(crate) fn summarize(config: &Config, mut runs: Vec<RunSummary>, diverged: Vec<String>) -> ExperimentSummary {
    runs.iter_mut().for_each(|run| run.details = None);
    ExperimentSummary {
        schema: SCHEMA,
        experiment: config.experiment,
        protocol: config.protocol,
        device: config.device.clone(),
        model: config.model.name,
        rows: rows(&runs, config.train.epochs),
        runs,
        diverged,
    }
}

/// As `--print-config` prints it and `--config` takes it.
pub(crate) fn to_toml(config: &Config) -> String {
    toml::to_string(&config.to_table()).unwrap_or_default()
}

/// The pool's size is set once, before anything uses it.
pub(crate) fn set_threads(threads: Option<usize>) {
    if let Some(threads) = threads {
        // The pool exists already only where a test shares its process with another; results do not depend on it.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    }
}
