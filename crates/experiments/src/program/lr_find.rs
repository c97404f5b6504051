//! `lr-find`: a learning-rate range test of each row.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser};
use lookahead_report::chart::{Chart, Line, Stroke};
use lookahead_report::console::print;
use lookahead_runs::{Error as RunsError, Spread, atomic};

use super::data::{Place, data_root, open};
use super::flags::Flags;
use super::range::{Range, RangeTest, range_test};
use super::threads::set_threads;
use crate::config::{ConfigError, Experiment};
use crate::error::Result;
use crate::parts::open_device;
use crate::screen::Progress;
use crate::train::{Interrupt, Setup};

/// Trains while the learning rate rises exponentially, and shows where the loss falls fastest and where training breaks
/// down.
///
/// Runs one test per chosen row, with the first seed, and writes an SVG and a JSON file for each.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "lr-find",
    version,
    allow_negative_numbers = true,
    args_override_self = true,
    after_help = "Examples:\n  just lr-find demo --optimizers sgd\n  just lr-find cifar10 --optimizers adamw --highest 1\n\n\
                  Exit status: 0 finished; 2 bad usage or configuration; 3 data missing or damaged; 5 the disk is full;\n\
                  130 interrupted."
)]
pub struct RangeFlags {
    /// Experiment whose data, network and settings to use
    #[arg(value_enum, value_name = "EXPERIMENT")]
    pub experiment: Experiment,
    /// First and lowest learning rate
    #[arg(long, default_value_t = 1e-6, value_name = "X")]
    pub lowest: f64,
    /// Last and highest learning rate
    #[arg(long, default_value_t = 10.0, value_name = "X")]
    pub highest: f64,
    /// Steps from --lowest to --highest
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub steps: usize,
    #[command(flatten)]
    flags: Flags,
}

/// Flags of an experiment that have no effect in a range test.
const WITHOUT_MEANING: [&str; 8] =
    ["state", "epochs", "lr", "fresh", "checkpoint_every", "log_every", "tui", "completions"];

impl RangeFlags {
    /// Parses the program's arguments. Ends the program after printing help (status 0) or a usage error (status 2).
    pub fn parse_arguments() -> Self {
        let mut command = Self::command();
        for flag in WITHOUT_MEANING {
            command = command.mut_arg(flag, |arg| arg.hide(true));
        }
        let matches = command.get_matches_mut();
        let given = |flag: &&&str| matches.value_source(flag) == Some(ValueSource::CommandLine);
        if let Some(flag) = WITHOUT_MEANING.iter().find(given) {
            let message = format!("--{} has no effect in a range test", flag.replace('_', "-"));
            command.error(ErrorKind::ArgumentConflict, message).exit();
        }
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit())
    }
}

/// Runs the tests of `flags`, prints the suggestions and writes the files.
///
/// # Errors
/// Any [`Error`](crate::Error). A loss that is not finite ends a test and is not an error.
pub fn lr_find(flags: &RangeFlags) -> Result<()> {
    let mut config = flags.flags.resolve(flags.experiment)?;
    check(flags)?;
    if flags.flags.print_config {
        return Ok(print(&config.to_toml())?);
    }
    let (device, name) = open_device(&config.device)?;
    config.device = name;
    set_threads(flags.flags.threads)?;
    config.seeds.truncate(1);
    // A range test gets no test images. If nothing is held out it gets them, but no epoch ends and nothing is
    // validated.
    config.data.set_test(!config.data.has_valid());
    // The state policy does not matter in a test of about a hundred steps: one test for all rows of a name.
    config.rows.dedup_by(|row, before| row.name == before.name);
    let progress = Progress::new(config.rows.len(), flags.flags.quiet);
    let root = data_root(flags.flags.data.as_deref());
    let (dataset_dir, cache) = (flags.flags.dataset_dir.as_deref(), flags.flags.cache.as_deref());
    let data = open(&config, Place { root: &root, dataset_dir, cache }, &progress)?;
    let folder = flags.flags.out.join("lr-find");
    std::fs::create_dir_all(&folder).map_err(RunsError::output("create", &folder))?;
    let interrupt = Interrupt::listen();
    let range = Range { lowest: flags.lowest, highest: flags.highest, steps: flags.steps };
    for run in config.runs() {
        let test = range_test(Setup::new(&run, &data, &device)?, range, &interrupt)?;
        let figure = write(&test, flags.experiment, &folder, &run.row.name)?;
        let word = |rate: Option<f64>| rate.map_or_else(|| "none".to_owned(), |rate| format!("{rate:.2e}"));
        print(&format!(
            "{:<18} steepest fall at {}, a tenth of the rate of the lowest loss {}; {}\n",
            test.optimizer,
            word(test.steepest),
            word(test.tenth_of_lowest),
            figure.display()
        ))?;
        progress.run_done();
    }
    Ok(())
}

fn check(flags: &RangeFlags) -> Result<()> {
    let rule = |holds, key: &str, rule, value: String| match holds {
        true => Ok(()),
        false => Err(ConfigError::OutOfRange { key: key.to_owned(), rule: Cow::Borrowed(rule), value }),
    };
    let (lowest, highest) = (flags.lowest, flags.highest);
    rule(lowest > 0.0 && lowest.is_finite(), "--lowest", "above 0 and finite", lowest.to_string())?;
    rule(highest > lowest && highest.is_finite(), "--highest", "above --lowest and finite", highest.to_string())?;
    rule(flags.steps >= 10, "--steps", "10 or more", flags.steps.to_string())?;
    Ok(())
}

/// Writes the figure and the JSON of the test of the row `row`; returns the figure's path.
fn write(test: &RangeTest, experiment: Experiment, folder: &Path, row: &str) -> Result<PathBuf> {
    let points = test.curve.iter().map(|&(rate, mean)| (rate, Spread { mean, std: None }));
    let stroke = Stroke { colour: "#0a4a86", width: 2.0, dash: "" };
    let chart = Chart {
        title: format!("Learning-rate range test: {} on {experiment}", test.optimizer),
        x_title: "Learning rate",
        y_title: "Smoothed training loss (nats)",
        x_is_logarithmic: true,
        y_is_logarithmic: false,
        y_range: Some((0.0, f64::INFINITY)),
        lines: vec![Line { name: test.optimizer.clone(), stroke, points: points.collect() }],
        mark: test.steepest.map(|rate| (rate, format!("steepest, {rate:.1e}"))),
    };
    // A row's name may have dots, which are part of it.
    let [figure, json] = ["svg", "json"].map(|ending| folder.join(format!("{experiment}-{row}.{ending}")));
    atomic::write(&figure, chart.to_svg().as_bytes())?;
    atomic::write_json(&json, test)?;
    Ok(figure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_whose_names_have_dots_have_files_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let test = RangeTest { optimizer: "SGD".into(), curve: vec![], steepest: None, tenth_of_lowest: None };
        let figures = ["sgd-0.1", "sgd-0.2"].map(|row| write(&test, Experiment::Demo, folder.path(), row).unwrap());
        assert_eq!(figures, ["demo-sgd-0.1.svg", "demo-sgd-0.2.svg"].map(|name| folder.path().join(name)));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);
    }
}
