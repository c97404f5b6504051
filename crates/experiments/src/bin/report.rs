//! Tables and the interactive page from run folders.
//!
//! `just report` reads every experiment under `runs`; `just report runs/cifar10` reads one. The page goes beside the runs,
//! the table to standard output, what was left out to standard error. Finished, running and damaged runs may be mixed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use lookahead_experiments::report::{self, Experiment, Found, LeftOut};
use lookahead_experiments::{ConfigError, Error, Result, exit_with};

/// Tables and the interactive page from run folders.
#[derive(Debug, Parser)]
#[command(
    name = "report",
    version,
    max_term_width = 110,
    after_help = "Examples:\n  just report\n  just report runs/cifar10 --figures --metrics\n  \
                  just report runs/cifar10 runs/imagenette --results docs/RESULTS.md\n\n\
                  Exit status: 0 done; 2 bad usage or output that cannot be written; 3 no run folder found."
)]
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
    exit_with(run(&Arguments::parse()))
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
    let several = found.len() > 1;
    for (flag, path) in [("--out", &arguments.out), ("--metrics", &arguments.metrics.clone().flatten())] {
        let Some(path) = path.as_ref().filter(|path| several && (flag == "--metrics" || !is_folder(path))) else {
            continue;
        };
        return Err(Error::Config(ConfigError::Conflict {
            first: format!("{flag} {}", path.display()),
            second: format!("{} experiments", found.len()),
            why: "one file cannot hold them all; name one experiment, or a folder for --out".to_owned(),
        }));
    }
    let mut experiments: Vec<Experiment> = Vec::new();
    let mut failed = None;
    for found in &found {
        let experiment = Experiment::read(found);
        tell(&experiment.left_out);
        if !arguments.quiet {
            print(arguments, &experiment, experiments.is_empty());
        }
        // Experiments of the same name get files of different names.
        let earlier = experiments.iter().filter(|earlier| earlier.name == experiment.name).count();
        let suffix = if earlier > 0 { format!("-{}", earlier + 1) } else { String::new() };
        let name = file_name(&experiment.name) + &suffix;
        // One experiment that cannot be written keeps none of the others back.
        if let Err(error) = write(arguments, found, &experiment, &left_out, several.then_some(&name)) {
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

fn print(arguments: &Arguments, experiment: &Experiment, is_first: bool) {
    if arguments.csv {
        // One header for all experiments.
        let text = report::csv(experiment);
        print!("{}", if is_first { &text } else { text.split_once("\r\n").map_or("", |(_, rows)| rows) });
    } else {
        println!("{}\n\n{}", experiment.name, report::markdown(experiment));
        let differences = report::markdown_differences(experiment);
        if !differences.is_empty() {
            println!("{differences}");
        }
    }
}

/// Writes the page and what else is asked for; `name` tells several experiments' files apart.
fn write(
    arguments: &Arguments,
    found: &Found,
    experiment: &Experiment,
    left_out: &[LeftOut],
    name: Option<&String>,
) -> Result<()> {
    let page = match &arguments.out {
        None => found.folder.join("report.html"),
        Some(out) if is_folder(out) => {
            out.join(format!("{}.html", name.cloned().unwrap_or_else(|| file_name(&experiment.name))))
        }
        Some(out) => out.clone(),
    };
    create_folder_of(&page)?;
    report::write_page(experiment, left_out, &page)?;
    told(&page, arguments.quiet);
    if let Some(folder) = &arguments.figures {
        let folder = match (folder, name) {
            (None, _) => found.folder.join("figures"),
            (Some(folder), None) => folder.clone(),
            (Some(folder), Some(name)) => folder.join(name),
        };
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

/// Whether `--out` means a folder: it is one, or its name has no extension.
fn is_folder(path: &Path) -> bool {
    path.is_dir() || path.extension().is_none()
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
