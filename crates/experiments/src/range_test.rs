//! `lr-find`: the learning-rate range test of Smith (2017), arXiv:1506.01186.

use std::path::Path;

use candle_core::Device;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser};
use lookahead_models::Pass;
use serde::Serialize;

use crate::chart::{Chart, Line, Stroke};
use crate::cli::Flags;
use crate::config::RunConfig;
use crate::datasets::{self, Data};
use crate::device::open_device;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::names::Experiment;
use crate::progress::Progress;
use crate::stats::Spread;
use crate::{atomic, experiment, model, optimizers, train};

/// Trains while the learning rate rises exponentially, and shows where the loss falls fastest and where it breaks.
///
/// Each chosen optimizer gets one test with the first seed. Writes an SVG and a JSON file for each.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "lr-find",
    version,
    after_help = "Examples:\n  just lr-find demo --optimizers sgd\n  just lr-find cifar10 --optimizers adamw --highest 1\n\n\
                  Exit status: 0 done; 2 bad usage or configuration; 3 data missing or damaged; 130 interrupted."
)]
pub struct RangeFlags {
    /// The experiment whose data, network and settings to use
    #[arg(value_enum, value_name = "EXPERIMENT")]
    pub experiment: Experiment,
    /// The first learning rate
    #[arg(long, default_value_t = 1e-6, value_name = "X")]
    pub lowest: f64,
    /// The last learning rate
    #[arg(long, default_value_t = 10.0, value_name = "X")]
    pub highest: f64,
    /// Steps from the one to the other
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub steps: usize,
    #[command(flatten)]
    flags: Flags,
}

/// Flags of an experiment that mean nothing to a range test.
const WITHOUT_MEANING: [&str; 8] =
    ["state", "epochs", "lr", "fresh", "checkpoint_every", "log_every", "tui", "completions"];

impl RangeFlags {
    /// Parses the program's arguments; prints help or the error and ends the program where clap says so (0 or 2).
    pub fn parse_arguments() -> Self {
        let mut command = Self::command();
        for flag in WITHOUT_MEANING {
            command = command.mut_arg(flag, |arg| arg.hide(true));
        }
        let matches = command.get_matches_mut();
        let given = |flag: &&&str| matches.value_source(flag) == Some(ValueSource::CommandLine);
        if let Some(flag) = WITHOUT_MEANING.iter().find(given) {
            let message = format!("--{} means nothing to a range test", flag.replace('_', "-"));
            command.error(ErrorKind::ArgumentConflict, message).exit();
        }
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit())
    }
}

/// What a range test found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RangeTest {
    /// The optimizer.
    pub optimizer: String,
    /// Learning rate and smoothed training loss of each step made.
    pub curve: Vec<(f64, f64)>,
    /// The rate at which the smoothed loss fell fastest; a sound peak for OneCycle, as fastai suggests it.
    pub steepest: Option<f64>,
    /// A tenth of the rate of the lowest smoothed loss.
    pub tenth_of_lowest: Option<f64>,
}

/// Weight of the past in the smoothed loss, as fastai's.
const SMOOTHING: f64 = 0.98;
/// The test ends when the smoothed loss is this many times its lowest.
const BROKEN: f64 = 4.0;

/// Runs the tests of `flags`, prints the suggestions and writes the files.
///
/// # Errors
/// Any [`Error`]; a loss that is not finite is the end of a test, not an error.
pub fn find_learning_rate(flags: &RangeFlags) -> Result<()> {
    let mut config = flags.flags.resolve(flags.experiment)?;
    check(flags)?;
    if flags.flags.print_config {
        print!("{}", experiment::to_toml(&config));
        return Ok(());
    }
    let (device, name) = open_device(&config.device)?;
    config.device = name;
    experiment::set_threads(flags.flags.threads);
    let progress = Progress::new(config.optimizers.len(), flags.flags.quiet);
    let root = datasets::data_root(flags.flags.data.as_deref());
    let splits = datasets::open(&config, &root, flags.flags.dataset_dir.as_deref(), &progress)?;
    let data = Data::new(splits, &config)?;
    let folder = flags.flags.out.join("lr-find");
    std::fs::create_dir_all(&folder).map_err(Error::output("create", &folder))?;
    let interrupt = Interrupt::listen();
    config.seeds.truncate(1);
    config.states.truncate(1);
    for run in config.runs() {
        let test = range_test(&run, &data, &device, flags, &interrupt)?;
        let stem = folder.join(format!("{}-{}", flags.experiment, run.optimizer));
        write(&test, flags.experiment, &stem)?;
        let word = |rate: Option<f64>| rate.map_or_else(|| "none".to_owned(), |rate| format!("{rate:.2e}"));
        println!(
            "{:<18} steepest at {}, a tenth of the lowest {}; {}",
            test.optimizer,
            word(test.steepest),
            word(test.tenth_of_lowest),
            stem.with_extension("svg").display()
        );
        progress.run_done();
    }
    Ok(())
}

fn check(flags: &RangeFlags) -> Result<()> {
    let rule = |holds, key: &str, rule, value: String| match holds {
        true => Ok(()),
        false => Err(crate::config::ConfigError::OutOfRange { key: key.to_owned(), rule, value }),
    };
    let ordered = flags.lowest > 0.0 && flags.highest > flags.lowest && flags.highest.is_finite();
    rule(ordered, "--lowest and --highest", "rising and above 0", format!("{} and {}", flags.lowest, flags.highest))?;
    rule(flags.steps >= 10, "--steps", "10 or more", flags.steps.to_string())?;
    Ok(())
}

/// The learning rate of step `step`, the last of `steps` being `highest`.
fn rate_at(step: usize, steps: usize, lowest: f64, highest: f64) -> f64 {
    lowest * (highest / lowest).powf(step as f64 / (steps - 1) as f64)
}

fn range_test(
    run: &RunConfig,
    data: &Data,
    device: &Device,
    flags: &RangeFlags,
    interrupt: &Interrupt,
) -> Result<RangeTest> {
    let loader = data.train_loader(&run.config, run.seed)?;
    let model = model::build(&run.config.model, data.train.classes().len(), run.seed, device)?;
    let mut optimizer = optimizers::build(run, model.parameters(), loader.batches_per_epoch())?;
    let mut batches = (0..).flat_map(|epoch| loader.epoch(epoch, 0));
    let (mut curve, mut average, mut lowest) = (Vec::new(), 0.0, f64::INFINITY);
    for step in 0..flags.steps {
        if interrupt.is_asked() {
            return Err(Error::Interrupted { run: "lr-find".to_owned(), step });
        }
        let rate = rate_at(step, flags.steps, flags.lowest, flags.highest);
        optimizer.set_learning_rate(rate);
        let Some(batch) = batches.next() else { break };
        let batch = batch?.to_device(device, &data.normalize)?;
        let loss = train::loss(&model, &batch, Pass::Train { step: step as u64 }, run.config.train.label_smoothing)?;
        let value = f64::from(loss.to_scalar::<f32>()?);
        if !value.is_finite() {
            break;
        }
        average = SMOOTHING * average + (1.0 - SMOOTHING) * value;
        let smoothed = average / (1.0 - SMOOTHING.powi(step as i32 + 1));
        curve.push((rate, smoothed));
        lowest = smoothed.min(lowest);
        if smoothed > BROKEN * lowest {
            break;
        }
        optimizer.step(&loss.backward()?)?;
    }
    let (steepest, tenth_of_lowest) = suggestions(&curve);
    Ok(RangeTest { optimizer: run.optimizer.to_string(), curve, steepest, tenth_of_lowest })
}

/// The rate of the steepest fall, and a tenth of that of the lowest loss before it broke.
///
/// The first tenth of the curve, where smoothing has little to go by, does not count. A slope is taken over a tenth of the
/// curve, so that no single batch decides.
fn suggestions(curve: &[(f64, f64)]) -> (Option<f64>, Option<f64>) {
    let settled = &curve[curve.len() / 10..];
    let fall = before_the_break(settled);
    let reach = (curve.len() / 20).max(1);
    let slopes = fall.windows(2 * reach + 1).map(|part| {
        let (first, last) = (part[0], part[2 * reach]);
        (part[reach].0, (last.1 - first.1) / (last.0 / first.0).ln())
    });
    let steepest = slopes.min_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, slope)| *slope < 0.0).map(|(rate, _)| rate);
    (steepest, fall.last().map(|(rate, _)| rate / 10.0))
}

/// The curve up to its lowest loss. A loss that has risen by a quarter of the whole fall is broken: how low it gets on its
/// way back says nothing of sound rates.
fn before_the_break(curve: &[(f64, f64)]) -> &[(f64, f64)] {
    let lowest = curve.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let highest = curve.iter().map(|point| point.1).take_while(|&loss| loss > lowest).fold(lowest, f64::max);
    let mut end = 0;
    for (at, &(_, loss)) in curve.iter().enumerate() {
        if loss < curve[end].1 {
            end = at;
        } else if loss > curve[end].1 + 0.25 * (highest - lowest) {
            break;
        }
    }
    &curve[..curve.len().min(end + 1)]
}

fn write(test: &RangeTest, experiment: Experiment, stem: &Path) -> Result<()> {
    let points = test.curve.iter().map(|&(rate, mean)| (rate, Spread { mean, std: 0.0 }));
    let stroke = Stroke { colour: "#0a4a86", width: 2.0, dash: "" };
    let chart = Chart {
        title: format!("Learning-rate range test: {} on {experiment}", test.optimizer),
        x_title: "Learning rate",
        y_title: "Smoothed training loss (nats)",
        x_is_logarithmic: true,
        y_is_logarithmic: false,
        lines: vec![Line { name: test.optimizer.clone(), stroke, points: points.collect() }],
        mark: test.steepest.map(|rate| (rate, format!("steepest, {rate:.1e}"))),
    };
    atomic::write(&stem.with_extension("svg"), chart.to_svg().as_bytes())?;
    atomic::write_json(&stem.with_extension("json"), test)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_exponentially() {
        let rates: Vec<f64> = (0..3).map(|step| rate_at(step, 3, 1e-2, 1.0)).collect();
        assert!((rates[0] - 0.01).abs() < 1e-12 && (rates[1] - 0.1).abs() < 1e-12 && (rates[2] - 1.0).abs() < 1e-12);
    }

    /// Flat, then one steep step between 0.1 and 1, then rising: the steepest fall is around 0.1, the lowest is at 1.
    #[test]
    fn the_suggestions_are_where_the_curve_says() {
        let curve = [(1e-3, 2.3), (1e-2, 2.29), (1e-1, 2.2), (1.0, 1.2), (10.0, 3.0)];
        assert_eq!(suggestions(&curve), (Some(1e-1), Some(1e-1)));
        assert_eq!(suggestions(&[(1.0, 1.0), (2.0, 2.0)]).0, None);
        assert_eq!(suggestions(&[]), (None, None));
    }

    /// One lucky batch before the fall, and a steeper fall of a loss that broke and comes back, are not what is asked for.
    #[test]
    fn neither_a_lucky_batch_nor_a_loss_on_its_way_back_is_the_steepest() {
        let loss = |i: usize| match i {
            20 => 2.8,
            0..40 => 3.0,
            40..60 => 3.0 - 0.05 * (i - 40) as f64,
            60 => 2.0,
            _ => 9.0 - 0.5 * (i - 61) as f64,
        };
        let curve: Vec<(f64, f64)> = (0..80).map(|i| (1.1f64.powi(i as i32), loss(i))).collect();
        let (steepest, tenth_of_lowest) = suggestions(&curve);
        assert!((curve[40].0..curve[60].0).contains(&steepest.unwrap()), "{steepest:?}");
        assert_eq!(tenth_of_lowest, Some(curve[60].0 / 10.0));
    }
}
