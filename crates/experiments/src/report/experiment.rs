//! The runs of one experiment as rows of a table.

use std::collections::BTreeMap;
use std::fs;

use clap::ValueEnum;
use rayon::prelude::*;
use serde_json::Value;

use super::LeftOut;
use super::compare::{Comparison, compare};
use super::find::Found;
use super::run::{Figures, Run, Status};
use crate::names::{self, OptimizerName};
use crate::reference::{Reference, references};
use crate::stats::Spread;

/// A number of the table: its key in `summary.json`, its title, and how to take it from a run.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Key in `summary.json`.
    pub key: &'static str,
    /// Title of the column, with its unit.
    pub title: &'static str,
    /// Digits after the point.
    pub digits: usize,
    /// The number of one run.
    pub of: fn(&Figures) -> f64,
}

/// The numbers of the table, in the order of its columns.
pub const METRICS: [Metric; 6] = [
    Metric { key: "train_loss", title: "Train loss", digits: 4, of: |figures| figures.train_loss },
    Metric { key: "valid_loss", title: "Valid loss", digits: 4, of: |figures| figures.valid_loss },
    Metric { key: "top1", title: "Top-1 %", digits: 2, of: |figures| figures.top1 },
    Metric { key: "top5", title: "Top-5 %", digits: 2, of: |figures| figures.top5 },
    Metric { key: "seconds", title: "Seconds", digits: 1, of: |figures| figures.seconds },
    Metric { key: "images_per_second", title: "Images/s", digits: 1, of: |figures| figures.images_per_second },
];

/// An optimizer with a state policy, over its seeds.
#[derive(Debug, Clone)]
pub struct Row {
    /// The optimizer's name, such as `lookahead-sgd`.
    pub optimizer: String,
    /// The state policy, empty without Lookahead.
    pub state: String,
    /// Its runs, as positions in [`Experiment::runs`], by seed.
    pub runs: Vec<usize>,
    /// The row of the optimizer inside Lookahead, where the experiment has it.
    pub inner: Option<usize>,
    /// One entry for each of [`METRICS`], over the finished runs; `None` where none is.
    pub numbers: Vec<Option<Spread>>,
}

impl Row {
    /// The name in the original's tables, such as `Lookahead/SGD`; an unknown optimizer keeps its own.
    pub fn title(&self) -> String {
        OptimizerName::from_str(&self.optimizer, false)
            .map_or_else(|_| self.optimizer.clone(), |name| name.title().to_owned())
    }

    /// The title and, in brackets, the state policy.
    pub fn label(&self) -> String {
        if self.state.is_empty() { self.title() } else { format!("{} ({})", self.title(), self.state) }
    }
}

/// One experiment, as its folders are.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// The experiment's name, such as `cifar10`.
    pub name: String,
    /// Protocol, model, device, as far as any file says.
    pub protocol: String,
    /// The network.
    pub model: String,
    /// The device.
    pub device: String,
    /// The class names, empty where no run says.
    pub classes: Vec<String>,
    /// The runs, by name.
    pub runs: Vec<Run>,
    /// The rows of the table: each plain optimizer, then Lookahead around it.
    pub rows: Vec<Row>,
    /// Differences between rows, paired by seed.
    pub comparisons: Vec<Comparison>,
    /// What was left out and why.
    pub left_out: Vec<LeftOut>,
}

impl Experiment {
    /// Reads the folders that were found, on all threads; never fails, what cannot be read is told.
    pub fn read(found: &Found) -> Self {
        let mut runs: Vec<Run> = found.runs.par_iter().map(|path| Run::read(path)).collect();
        let mut left_out = Vec::new();
        let summary = experiment_summary(found, &mut left_out);
        let diverged: Vec<&str> =
            summary["diverged"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for run in &mut runs {
            if run.status == Status::Unfinished && diverged.contains(&run.name.as_str()) {
                run.status = Status::Diverged;
            }
            left_out.extend(run.left_out.iter().map(|why| LeftOut::new(&run.name, why)));
            match run.status {
                Status::Done => {}
                Status::Unfinished => left_out.push(LeftOut::new(&run.name, unfinished(run))),
                Status::Diverged => left_out.push(LeftOut::new(&run.name, "diverged: in the curves, not in the table")),
            }
        }
        let rows = rows(&runs);
        check_against(&summary, &rows, &mut left_out);
        let known = |key: &str, setting: &str| {
            let from_runs = || runs.iter().find_map(|run| run.config.get(setting)).cloned();
            summary[key].as_str().map(str::to_owned).or_else(from_runs).unwrap_or_default()
        };
        let folder_name =
            || found.folder.canonicalize().ok()?.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = known("experiment", "experiment");
        Self {
            name: if name.is_empty() { folder_name().unwrap_or_else(|| "runs".to_owned()) } else { name },
            protocol: known("protocol", "protocol"),
            model: known("model", "model.name"),
            device: known("device", "device"),
            classes: classes(&runs),
            comparisons: compare(&runs, &rows),
            runs,
            rows,
            left_out,
        }
    }

    /// Finished runs of a row.
    pub fn finished<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = &'a Run> {
        row.runs.iter().map(|&run| &self.runs[run]).filter(|run| run.status == Status::Done)
    }

    /// Epochs of the runs: the most that any was to do or, where no configuration says, has done.
    pub fn epochs(&self) -> u64 {
        let planned = self.runs.iter().filter_map(|run| run.config.get("train.epochs")?.parse().ok());
        let done = self.runs.iter().filter_map(|run| Some(run.log.epochs.last()?.epoch));
        planned.max().or_else(|| done.max()).unwrap_or(0)
    }

    /// The published figures for the data set; none for a name that is not one of our experiments.
    pub fn references(&self) -> Vec<Reference> {
        names::Experiment::from_str(&self.name, false).map_or_else(|_| Vec::new(), references)
    }
}

fn unfinished(run: &Run) -> String {
    let done = run.log.epochs.last().map_or(0, |point| point.epoch);
    let of = run.config.get("train.epochs").map(|epochs| format!(" of {epochs}")).unwrap_or_default();
    format!("not finished ({done}{of} epochs, {} steps): in the curves, not in the table", run.log.last_step())
}

fn experiment_summary(found: &Found, left_out: &mut Vec<LeftOut>) -> Value {
    match fs::read(found.folder.join("summary.json")) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            left_out.push(LeftOut::new(
                "summary.json",
                format!("of the experiment is damaged ({error}); the runs' own are used"),
            ));
            Value::Null
        }),
        Err(_) => Value::Null,
    }
}

fn classes(runs: &[Run]) -> Vec<String> {
    let names = runs.iter().filter_map(|run| run.detail("classes").as_array()).max_by_key(|names| names.len());
    names.into_iter().flatten().map(|name| name.as_str().unwrap_or("?").to_owned()).collect()
}

/// The order of rows: by inner optimizer, the plain one first, then by state.
fn order(optimizer: &str, state: &str) -> (usize, usize, usize, String) {
    let position = |names: &[&str], name: &str| names.iter().position(|known| *known == name).unwrap_or(names.len());
    let (around, inner) = optimizer.strip_prefix("lookahead-").map_or((0, optimizer), |inner| (1, inner));
    let inner_position = position(&["sgd", "adamw", "rmsprop", "polyak"], inner);
    (inner_position, around, position(&["", "keep", "reset", "interpolate"], state), inner.to_owned())
}

fn rows(runs: &[Run]) -> Vec<Row> {
    let mut groups: BTreeMap<_, Row> = BTreeMap::new();
    for (position, run) in runs.iter().enumerate() {
        let row = groups.entry(order(&run.optimizer, &run.state)).or_insert_with(|| Row {
            optimizer: run.optimizer.clone(),
            state: run.state.clone(),
            runs: Vec::new(),
            inner: None,
            numbers: Vec::new(),
        });
        row.runs.push(position);
    }
    let mut rows: Vec<Row> = groups.into_values().collect();
    let names: Vec<String> = rows.iter().map(|row| row.optimizer.clone()).collect();
    for row in &mut rows {
        row.runs.sort_by_key(|&run| runs[run].seed);
        row.inner =
            row.optimizer.strip_prefix("lookahead-").and_then(|inner| names.iter().position(|name| name == inner));
        let figures: Vec<Figures> = row.runs.iter().filter_map(|&run| runs[run].figures).collect();
        row.numbers =
            METRICS.iter().map(|metric| Spread::of(&figures.iter().map(metric.of).collect::<Vec<_>>())).collect();
    }
    rows
}

/// Tells where the experiment's `summary.json` disagrees with the run folders, as when a run was done after it.
fn check_against(summary: &Value, rows: &[Row], left_out: &mut Vec<LeftOut>) {
    for theirs in summary["rows"].as_array().into_iter().flatten() {
        let same =
            |row: &&Row| row.optimizer == theirs["optimizer"] && (row.state.is_empty() || row.state == theirs["state"]);
        let Some(ours) = rows.iter().find(same) else { continue };
        for (metric, ours) in METRICS.iter().zip(&ours.numbers) {
            let (Some(ours), Some(mean)) = (ours, theirs[metric.key]["mean"].as_f64()) else { continue };
            if (ours.mean - mean).abs() > 1e-9 * mean.abs().max(1.0) {
                let why = format!(
                    "says {} {mean} for {}, the run folders give {}; which count here",
                    metric.key,
                    theirs["optimizer"].as_str().unwrap_or("?"),
                    ours.mean
                );
                left_out.push(LeftOut::new("summary.json", why));
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(name: &str, top1: Option<f64>) -> Run {
        let mut run = Run::read(std::path::Path::new(name));
        run.figures = top1.map(|top1| Figures {
            train_loss: 1.0,
            valid_loss: 1.0,
            top1,
            top5: 99.0,
            seconds: 1.0,
            images_per_second: 1.0,
        });
        run
    }

    #[test]
    fn rows_pair_each_lookahead_with_its_inner_optimizer() {
        let names = ["lookahead-sgd-reset-s1", "adamw-s1", "lookahead-sgd-keep-s1", "sgd-s1", "zeta-s1"];
        let runs: Vec<Run> = names.iter().map(|name| run(name, None)).collect();
        let rows = rows(&runs);
        let labels: Vec<String> = rows.iter().map(Row::label).collect();
        assert_eq!(labels, ["SGD", "Lookahead/SGD (keep)", "Lookahead/SGD (reset)", "AdamW", "zeta"]);
        assert_eq!(rows.iter().map(|row| row.inner).collect::<Vec<_>>(), [None, Some(0), Some(0), None, None]);
    }

    #[test]
    fn only_finished_runs_are_in_the_numbers_and_seeds_are_in_order() {
        let runs = [run("sgd-s10", Some(50.0)), run("sgd-s2", Some(60.0)), run("sgd-s3", None)];
        let rows = rows(&runs);
        assert_eq!(rows[0].runs, [1, 2, 0]);
        assert_eq!(rows[0].numbers[2].unwrap().mean, 55.0);
    }

    #[test]
    fn a_summary_that_disagrees_is_told() {
        let rows = rows(&[run("sgd-s1", Some(50.0))]);
        let mut left_out = Vec::new();
        let summary = |top1: f64| json!({"rows": [{"optimizer": "sgd", "state": "keep", "top1": {"mean": top1}}]});
        check_against(&summary(50.0), &rows, &mut left_out);
        assert!(left_out.is_empty());
        check_against(&summary(51.0), &rows, &mut left_out);
        assert!(left_out[0].why.contains("51"), "{left_out:?}");
    }
}
