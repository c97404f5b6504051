//! Tables and the interactive page from run folders.
//!
//! `just report` reads every experiment under `runs`; `just report runs/cifar10` reads one. The page goes beside the runs,
//! the table to standard output, what was left out to standard error. Finished, running and damaged runs may be mixed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use lookahead_experiments::report::{self, Experiment, Found, LeftOut};
use lookahead_experiments::{Error, Result};

/// Tables and the interactive page from run folders.
#[derive(Debug, Parser)]
#[command(name = "report", version)]
struct Arguments {
    /// Run folders, experiments (folders of runs) or folders of experiments
    #[arg(default_value = "runs")]
    runs: Vec<PathBuf>,

    /// Where the page goes: a file, or for several experiments a folder [default: report.html beside the runs]
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,

    /// Print the table as CSV with all digits, not as Markdown
    #[arg(long)]
    csv: bool,

    /// Also write SVG figures for papers [default folder: figures beside the runs]
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    figures: Option<Option<PathBuf>>,

    /// Also write all metrics of all runs as one CSV for pandas [default file: metrics.csv beside the runs]
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    metrics: Option<Option<PathBuf>>,

    /// Also write the tables of all experiments as one Markdown page, such as docs/RESULTS.md
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,

    /// Print neither the table nor what was written; what was left out is still told
    #[arg(long)]
    quiet: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_status())
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let mut left_out = Vec::new();
    let found = report::find(&arguments.runs, &mut left_out);
    tell(&left_out);
    if found.is_empty() {
        let looked: Vec<String> = arguments.runs.iter().map(|path| path.display().to_string()).collect();
        let hint = format!("no run folder in {}: nothing to report; `just demo` makes some", looked.join(", "));
        return Err(Error::DataMissing { hint });
    }
    let mut experiments = Vec::new();
    let mut failed = None;
    for found in &found {
        let experiment = Experiment::read(found);
        tell(&experiment.left_out);
        // One experiment that cannot be written keeps none of the others back.
        if let Err(error) = write(arguments, found, &experiment, &left_out, experiments.is_empty()) {
            tell(&[LeftOut::new(&experiment.name, error.to_string())]);
            failed = Some(error);
        }
        experiments.push(experiment);
    }
    if let Some(path) = &arguments.results {
        save(path, &report::results(&experiments), arguments.quiet)?;
    }
    failed.map_or(Ok(()), Err)
}

fn write(
    arguments: &Arguments,
    found: &Found,
    experiment: &Experiment,
    left_out: &[LeftOut],
    first: bool,
) -> Result<()> {
    if !arguments.quiet {
        match arguments.csv {
            // One header for all experiments.
            true => print!(
                "{}",
                report::csv(experiment).splitn(2, "\r\n").skip(usize::from(!first)).collect::<Vec<_>>().join("\r\n")
            ),
            false => println!("{}\n\n{}", experiment.name, report::markdown(experiment)),
        }
    }
    let page = match &arguments.out {
        None => found.folder.join("report.html"),
        Some(out) if out.is_dir() || out.extension().is_none() => {
            out.join(format!("{}.html", file_name(&experiment.name)))
        }
        Some(out) => out.clone(),
    };
    create_folder_of(&page)?;
    report::write_page(experiment, left_out, &page)?;
    told(&page, arguments.quiet);
    if let Some(folder) = &arguments.figures {
        let folder = folder.clone().unwrap_or_else(|| found.folder.join("figures"));
        for (name, svg) in report::figures(experiment) {
            save(&folder.join(name), &svg, arguments.quiet)?;
        }
    }
    if let Some(path) = &arguments.metrics {
        let path = path.clone().unwrap_or_else(|| found.folder.join("metrics.csv"));
        save(&path, &report::metrics_csv(experiment), arguments.quiet)?;
    }
    Ok(())
}

/// An experiment's name as a file's: what could lead elsewhere becomes a dash.
fn file_name(name: &str) -> String {
    let safe = |character: char| if character.is_alphanumeric() || "-_.".contains(character) { character } else { '-' };
    let name: String = name.chars().map(safe).collect();
    if name.trim_matches('.').is_empty() { "report".to_owned() } else { name }
}

fn create_folder_of(path: &Path) -> Result<()> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => fs::create_dir_all(folder).map_err(Error::output("create", folder)),
        None => Ok(()),
    }
}

fn save(path: &Path, text: &str, quiet: bool) -> Result<()> {
    create_folder_of(path)?;
    fs::write(path, text).map_err(Error::output("write", path))?;
    told(path, quiet);
    Ok(())
}

fn told(path: &Path, quiet: bool) {
    if !quiet {
        eprintln!("wrote {}", path.display());
    }
}

fn tell(left_out: &[LeftOut]) {
    for item in left_out {
        eprintln!("note: {item}");
    }
}
