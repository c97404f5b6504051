//! The program `report`: arguments, output, errors and exit status.

use std::fs;
use std::io::{ErrorKind, IsTerminal as _};
use std::path::{Path, PathBuf};

use clap::Parser;
use lookahead_runs::{Error as RunsError, atomic};

use crate::console::{note, one_line, print as say};
use crate::csv::csv_of_all;
use crate::document::{BEGIN, END, is_ours};
use crate::file_name::{file_name, unused_file_name};
use crate::{Found, LeftOut, Report};

/// Tables and the interactive page from run folders.
#[derive(Debug, Parser)]
#[command(
    name = "report",
    version,
    max_term_width = 110,
    after_help = "Examples:\n  just report\n  just report runs/cifar10 --figures --metrics\n  \
                  just report runs/cifar10 runs/imagenette --results docs/RESULTS.md\n\n\
                  Exit status: 0 done; 2 bad usage or output that cannot be written; 3 no run folder found; 5 the disk is full."
)]
pub struct Arguments {
    /// Runs, experiments (folders of runs) or folders of experiments
    #[arg(default_value = "runs")]
    runs: Vec<PathBuf>,

    /// Write the page to this file, or to this folder for several experiments [default: report.html beside the runs]
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,

    /// Print one CSV table of all experiments with all digits [default: Markdown, or on a terminal tables of its width]
    #[arg(long)]
    csv: bool,

    /// Also write SVG figures for papers [default folder: figures beside the runs]
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    figures: Option<Option<PathBuf>>,

    /// Also write all metrics of all runs as one CSV file [default file: metrics.csv beside the runs]
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    metrics: Option<Option<PathBuf>>,

    /// Also write the tables of all experiments to FILE as Markdown: between its lines
    /// "<!-- results: written by `just report --results` -->" and "<!-- end of results -->", or as a file of their own
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,

    /// Print only notes and errors, not the table or the names of written files
    #[arg(long)]
    quiet: bool,
}

/// Why the program failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// None of the given paths contains a run folder.
    #[error("no run folder in {}: give the path of a run, an experiment or a folder of experiments", listed(looked))]
    NothingFound {
        /// The given paths.
        looked: Vec<PathBuf>,
    },

    /// One output file was given for several experiments.
    #[error(
        "{flag} {} is one file for {experiments} experiments: report one of them, give --out a folder, or use --metrics without a file",
        path.display()
    )]
    Conflict {
        /// The flag, such as `--out`.
        flag: &'static str,
        /// The file that it names.
        path: PathBuf,
        /// Number of experiments found.
        experiments: usize,
    },

    /// The file of `--results` is a document without the lines between which the tables go.
    #[error(
        "{} is another document: put `{BEGIN}` and `{END}` where the tables should go, in this order and each on a line \
         of its own, or give --results a new file",
        path.display()
    )]
    Marks {
        /// The file.
        path: PathBuf,
    },

    /// A file cannot be read or written.
    #[error(transparent)]
    Runs(#[from] RunsError),
}

impl Error {
    /// The exit status of the program: 2 for bad usage or output that cannot be written, 3 for missing or damaged runs,
    /// 5 for a full disk.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::NothingFound { .. } | Self::Runs(RunsError::Damaged { .. }) => 3,
            Self::Runs(error) if error.is_out_of_room() => 5,
            Self::Conflict { .. } | Self::Marks { .. } | Self::Runs(_) => 2,
        }
    }
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Writes and prints the reports requested by `arguments`.
///
/// # Errors
/// Any [`Error`]. If the page of one experiment cannot be written, the others are still reported.
pub fn run(arguments: &Arguments) -> Result<(), Error> {
    let mut left_out = Vec::new();
    let found = crate::find(&arguments.runs, &mut left_out);
    tell(&left_out);
    if found.is_empty() {
        return Err(Error::NothingFound { looked: arguments.runs.clone() });
    }
    let several = found.len() > 1;
    if several {
        check_files(arguments, found.len())?;
    }
    let (mut reports, mut names) = (Vec::new(), Vec::new());
    let mut failed = None;
    for found in &found {
        let report = Report::read(found);
        tell(&report.left_out);
        if !arguments.quiet && !arguments.csv {
            print(&report)?;
        }
        let name = unused_file_name(&report.name, &names);
        if let Err(error) = write(arguments, found, &report, &left_out, several.then_some(name.as_str())) {
            tell(&[LeftOut::new(&report.name, error.to_string())]);
            failed = Some(error);
        }
        names.push(name);
        reports.push(report);
    }
    if arguments.csv && !arguments.quiet {
        say(&csv_of_all(&reports))?;
    }
    if let Some(path) = &arguments.results {
        save(path, &document(path, &reports)?, arguments.quiet)?;
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// The document at `path` with the tables of `reports`: whole if there is none yet, or if all of it was written here.
fn document(path: &Path, reports: &[Report]) -> Result<String, Error> {
    let before = match fs::read_to_string(path) {
        Ok(before) => before,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(RunsError::output("read", path)(error).into()),
    };
    match crate::results_in(&before, reports) {
        Some(document) => Ok(document),
        None if before.trim().is_empty() || is_ours(&before) => Ok(crate::results(reports)),
        None => Err(Error::Marks { path: path.to_path_buf() }),
    }
}

/// Rejects one output file for several experiments.
fn check_files(arguments: &Arguments, experiments: usize) -> Result<(), Error> {
    let out = arguments.out.as_ref().filter(|path| !is_folder(path));
    let metrics = arguments.metrics.as_ref().and_then(Option::as_ref);
    let named = out.map(|path| ("--out", path)).or(metrics.map(|path| ("--metrics", path)));
    named.map_or(Ok(()), |(flag, path)| Err(Error::Conflict { flag, path: path.clone(), experiments }))
}

/// Columns of the terminal if standard output is one, 80 if the width is unknown.
fn terminal_width() -> Option<usize> {
    let output = std::io::stdout();
    let columns = || terminal_size::terminal_size_of(&output).map_or(80, |(columns, _)| columns.0.into());
    output.is_terminal().then(columns)
}

fn print(report: &Report) -> Result<(), RunsError> {
    if let Some(width) = terminal_width() {
        return say(&format!("{}\n", crate::text(report, width)));
    }
    let facts: String = report.facts().map(|fact| format!("{}\n\n", one_line(&fact))).collect();
    let times = report.times_to_target();
    let times: String = times.iter().map(|time| format!("{}\n\n", one_line(&time.sentence()))).collect();
    say(&format!("{}\n\n{facts}{}\n{times}", one_line(report.title()), crate::markdown(report)))?;
    let differences = crate::markdown_differences(report);
    if differences.is_empty() { Ok(()) } else { say(&format!("{differences}\n")) }
}

/// Writes the page and the other requested files. With several experiments, `name` distinguishes their files.
fn write(
    arguments: &Arguments,
    found: &Found,
    report: &Report,
    left_out: &[LeftOut],
    name: Option<&str>,
) -> Result<(), RunsError> {
    let page = match &arguments.out {
        None => found.folder.join("report.html"),
        Some(out) if is_folder(out) => {
            out.join(format!("{}.html", name.map_or_else(|| file_name(&report.name), str::to_owned)))
        }
        Some(out) => out.clone(),
    };
    create_folder_of(&page)?;
    crate::write_page(report, left_out, &page)?;
    told(&page, arguments.quiet);
    if let Some(folder) = &arguments.figures {
        let folder = match (folder, name) {
            (None, _) => found.folder.join("figures"),
            (Some(folder), None) => folder.clone(),
            (Some(folder), Some(name)) => folder.join(name),
        };
        for (name, svg) in crate::figures(report) {
            save(&folder.join(name), &svg, arguments.quiet)?;
        }
    }
    if let Some(path) = &arguments.metrics {
        let path = path.clone().unwrap_or_else(|| found.folder.join("metrics.csv"));
        save(&path, &crate::metrics_csv(report), arguments.quiet)?;
    }
    Ok(())
}

/// Whether `--out` names a folder: it exists as one, or has no extension.
fn is_folder(path: &Path) -> bool {
    path.is_dir() || path.extension().is_none()
}

fn create_folder_of(path: &Path) -> Result<(), RunsError> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => fs::create_dir_all(folder).map_err(RunsError::output("create", folder)),
        None => Ok(()),
    }
}

fn save(path: &Path, text: &str, quiet: bool) -> Result<(), RunsError> {
    create_folder_of(path)?;
    atomic::write(path, text.as_bytes())?;
    told(path, quiet);
    Ok(())
}

fn told(path: &Path, quiet: bool) {
    if !quiet {
        note(&one_line(&format!("wrote {}", path.display())));
    }
}

fn tell(left_out: &[LeftOut]) {
    for item in left_out {
        note(&one_line(&format!("note: {item}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_sound() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }

    #[test]
    fn each_error_has_its_status() {
        let damaged = RunsError::Damaged { path: "x".into(), reason: "it is cut short".to_owned() };
        assert_eq!(Error::from(damaged).exit_status(), 3);
        assert_eq!(Error::NothingFound { looked: vec![] }.exit_status(), 3);
        let conflict = Error::Conflict { flag: "--out", path: "one.html".into(), experiments: 2 };
        assert_eq!(conflict.exit_status(), 2);
        assert!(
            conflict.to_string().starts_with("--out one.html is one file for 2 experiments: report one"),
            "{conflict}"
        );
    }
}
