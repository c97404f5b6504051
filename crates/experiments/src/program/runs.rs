//! All runs of a configuration, one after another.

use std::path::Path;

use candle_core::Device;
use lookahead_report::{Found, LeftOut, Report, find, write_page};
use lookahead_runs::{Environment, Error as RunsError, Opened, RunFolder};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::parts::Data;
use crate::screen::Progress;
use crate::train::{LoopOptions, train};

/// What all runs of an experiment share.
#[derive(Debug)]
pub(super) struct Shared<'a> {
    pub(super) data: &'a Data,
    pub(super) device: &'a Device,
    pub(super) environment: &'a Environment,
    pub(super) options: &'a LoopOptions,
    pub(super) progress: &'a Progress,
}

/// Trains what `config` asks for in `folder`: goes on with what was interrupted, skips what is done. `fresh` throws old runs
/// away. Returns the runs of `config` read back, and the first run that diverged; the others go on.
pub(super) fn run_all(
    config: &Config,
    folder: &Path,
    fresh: bool,
    shared: &Shared<'_>,
) -> Result<(Report, Option<Error>)> {
    std::fs::create_dir_all(folder).map_err(RunsError::output("create", folder))?;
    let (mut found, mut first_diverged) = (Found { folder: folder.to_path_buf(), runs: Vec::new() }, None);
    for run in config.runs() {
        let (name, data, environment) = (run.name(), shared.data, shared.environment);
        if shared.options.interrupt.is_asked() {
            return Err(Error::Interrupted { run: name, step: 0 });
        }
        let mut diverged = false;
        match RunFolder::open(folder, &name, &run.to_table(), &data.sha256, environment, fresh)? {
            Opened::Done(_) => shared.progress.note(&format!("{name}: done before, skipped")),
            Opened::ToDo(run_folder) => {
                let mut watch = shared.progress.run(&name);
                match train(&run, data, shared.device, &run_folder, shared.options, &mut watch) {
                    Ok(_) => {}
                    Err(error @ Error::Diverged { .. }) => {
                        shared.progress.note(&format!("error: {error}"));
                        diverged = true;
                        first_diverged.get_or_insert(error);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        shared.progress.run_ended(&name, diverged);
        found.runs.push(folder.join(name));
    }
    Ok((Report::read(&found), first_diverged))
}

/// The page beside the runs, with all runs that lie there. The runs are worth more than their page: one that cannot be written
/// is said and no error.
pub(super) fn write_report(folder: &Path, progress: &Progress) {
    let mut left_out: Vec<LeftOut> = Vec::new();
    for found in find(&[folder.to_path_buf()], &mut left_out) {
        let path = found.folder.join("report.html");
        match write_page(&Report::read(&found), &left_out, &path) {
            Ok(()) => progress.note(&format!("the page: {}", path.display())),
            Err(error) => progress.note(&format!("no page: {error}")),
        }
    }
}
