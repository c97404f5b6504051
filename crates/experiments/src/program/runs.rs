//! All runs of a configuration, one after another.

use std::path::Path;

use candle_core::Device;
use lookahead_report::{Found, LeftOut, Report, find, write_page};
use lookahead_runs::{Environment, Error as RunsError, Opened, Plan, RunFolder, discard};

use crate::config::{Config, RunConfig};
use crate::error::{Error, Result};
use crate::parts::Data;
use crate::screen::Progress;
use crate::train::{LoopOptions, train};

/// Data shared by all runs of an experiment.
#[derive(Debug)]
pub(super) struct Shared<'a> {
    pub(super) data: &'a Data,
    pub(super) device: &'a Device,
    pub(super) environment: &'a Environment,
    pub(super) options: &'a LoopOptions,
    pub(super) progress: &'a Progress,
    /// Whether the program has flags for rows and learning rates, which a hint can name.
    pub(super) has_flags: bool,
}

/// The result of an experiment's runs.
#[derive(Debug)]
pub(super) struct Ended {
    /// The runs that were started, read back.
    pub(super) report: Report,
    /// The first run that diverged; the others continued.
    pub(super) diverged: Option<Error>,
    /// The error that ended the experiment before its last run.
    pub(super) stopped: Option<Error>,
}

/// Trains the runs of `config` in `folder`: resumes interrupted ones and skips finished ones. `fresh` discards old
/// runs, all before the first is trained: a command that is interrupted and resumed without it must find none.
///
/// # Errors
/// A folder that cannot be created; with `fresh`, one that is in use or cannot be emptied. Errors of the runs are in
/// [`Ended`].
pub(super) fn run_all(config: &Config, folder: &Path, fresh: bool, shared: &Shared<'_>) -> Result<Ended> {
    std::fs::create_dir_all(folder).map_err(RunsError::output("create", folder))?;
    if fresh {
        discard(&config.runs().iter().map(|run| folder.join(run.name())).collect::<Vec<_>>())?;
    }
    let plan = Plan { runs: config.runs().iter().map(RunConfig::name).collect() };
    plan.write(folder)?;
    let mut found = Found { folder: folder.to_path_buf(), runs: Vec::new() };
    let (mut first_diverged, mut stopped, mut warned) = (None, None, false);
    for run in config.runs() {
        let name = run.name();
        let diverged = match run_one(&run, folder, shared, &mut warned) {
            Ok(()) => false,
            Err(error @ Error::Diverged { .. }) => {
                let said = match &error {
                    Error::Diverged { run, of, loss, .. } if !shared.has_flags => {
                        format!("{run} diverged: {of} is {loss}")
                    }
                    error => format!("error: {error}"),
                };
                shared.progress.note(&said);
                first_diverged.get_or_insert(error);
                true
            }
            Err(error) => {
                stopped = Some(error);
                break;
            }
        };
        shared.progress.run_ended(&name, diverged);
        found.runs.push(folder.join(name));
    }
    Ok(Ended { report: Report::read(&found), diverged: first_diverged, stopped })
}

fn run_one(run: &RunConfig, folder: &Path, shared: &Shared<'_>, warned: &mut bool) -> Result<()> {
    let name = run.name();
    if shared.options.interrupt.is_asked() {
        return Err(Error::Stopped { what: name, remedy: "run the same command, without --fresh, to resume" });
    }
    match RunFolder::open(folder, &name, &run.to_table(), shared.data.about(), &shared.environment.now())? {
        Opened::Done(_) => {
            shared.progress.note(&format!("{name}: already finished, skipped"));
            shared.progress.run_found(&folder.join(name));
            Ok(())
        }
        Opened::ToDo(run_folder) => {
            if let Some(notice) = run_folder.notice().filter(|_| !*warned) {
                shared.progress.note(&format!("note: {notice}"));
                *warned = true;
            }
            if let Some(change) = run_folder.change() {
                shared.progress.note(&format!("note: {change}"));
            }
            let mut watch = shared.progress.run(run.config.data.task(), &name);
            train(run, shared.data, shared.device, &run_folder, shared.options, &mut watch).map(drop)
        }
    }
}

/// Writes the page next to the runs, with all runs in `folder`. A page that cannot be written is reported but is not an
/// error, because the runs themselves are saved.
pub(super) fn write_report(folder: &Path, progress: &Progress) {
    let mut left_out: Vec<LeftOut> = Vec::new();
    for found in find(&[folder.to_path_buf()], &mut left_out) {
        let path = found.folder.join("report.html");
        match write_page(&Report::read(&found), &left_out, &path) {
            Ok(()) => progress.note(&format!("the page: {}", path.display())),
            Err(error) => progress.note(&format!("the page was not written: {error}")),
        }
    }
}
