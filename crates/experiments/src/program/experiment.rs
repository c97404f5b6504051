//! An experiment from its command line to its table.

use std::process::ExitCode;
use std::time::Instant;

use lookahead_report::console::print;
use lookahead_report::{clock, counted, text};
use lookahead_runs::Status;

use super::data::{Place, count_broken, data_root, open};
use super::exit::exit_with;
use super::flags::Flags;
use super::runs::{Ended, Shared, run_all, write_report};
use super::threads::set_threads;
use crate::config::{Experiment, RunConfig};
use crate::error::Result;
use crate::parts::open_device;
use crate::run::environment;
use crate::screen::{Progress, width};
use crate::train::{Interrupt, LoopOptions};

/// The whole program of an experiment: parses the command line, trains, prints the table. Returns the exit status of
/// [`Error::exit_status`](crate::Error::exit_status).
pub fn main(experiment: Experiment) -> ExitCode {
    let flags = Flags::parse_for(experiment);
    exit_with(run(experiment, &flags))
}

/// Runs `experiment` with `flags`.
///
/// Runs that diverge do not stop the others; the table is printed without them, and the first of them is the error. If
/// anything else ends the experiment early, the table of the finished runs is printed.
///
/// # Errors
/// Any [`Error`](crate::Error).
pub fn run(experiment: Experiment, flags: &Flags) -> Result<()> {
    if let Some(shell) = flags.completions {
        let mut command = Flags::command_of(experiment);
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command, experiment.to_string(), &mut script);
        return Ok(print(&String::from_utf8_lossy(&script))?);
    }
    let mut config = flags.resolve(experiment)?;
    if flags.print_config {
        return Ok(print(&config.to_toml())?);
    }
    let (device, name) = open_device(&config.device)?;
    config.device = name;
    set_threads(flags.threads)?;
    let environment = environment(&config.device, rayon::current_num_threads())?;

    let names: Vec<String> = config.runs().iter().map(RunConfig::name).collect();
    let mut progress = Progress::new(names.len(), flags.quiet);
    let root = data_root(flags.data.as_deref());
    let place = Place { root: &root, dataset_dir: flags.dataset_dir.as_deref(), cache: flags.cache.as_deref() };
    let data = open(&config, place, &progress)?;
    let options = LoopOptions {
        log_every: flags.log_every,
        checkpoint_every: flags.checkpoint_every,
        interrupt: Interrupt::listen(),
    };
    if flags.tui {
        // The bars are removed before the screen is taken over: later they could not be reached.
        progress.close();
        progress = Progress::on_screen(&experiment.to_string(), experiment.task(), &names, &options.interrupt)?;
    }

    let begun = Instant::now();
    let folder = flags.out.join(experiment.to_string());
    let shared = Shared {
        data: &data,
        device: &device,
        environment: &environment,
        options: &options,
        progress: &progress,
        has_flags: true,
    };
    let Ended { report, diverged, stopped } = run_all(&config, &folder, flags.fresh, &shared)?;
    let stopped = stopped.map(|error| count_broken(error, &data, &progress));
    progress.close();
    if let Some(error) = stopped {
        // Print the finished runs. On a full disk, their summary cannot be written.
        if report.runs.iter().any(|run| run.status == Status::Done) {
            let _ = report.summary().write(&folder);
            print(&text(&report, width()))?;
        }
        return Err(error);
    }
    report.summary().write(&folder)?;
    write_report(&folder, &progress);
    let runs = counted(names.len(), "run");
    progress.note(&format!("{runs} in {}; {}", clock(begun.elapsed().as_secs_f64()), folder.display()));
    print(&text(&report, width()))?;
    diverged.map_or(Ok(()), Err)
}
