//! The table and all metrics as CSV (RFC 4180).

use std::fmt::Write as _;

use lookahead_runs::{EpochRecord, Run, Status, StepRecord, TaskKind};

use crate::metric::metrics;
use crate::report::Report;

/// The table as CSV, one line per row.
///
/// Columns: `experiment, protocol, model, device, optimizer, state, title, seeds`, then `_mean` and `_std` of each
/// metric, with all digits. `_std` is empty for a single seed. `title` is the row's label in tables and legends;
/// `seeds` are those of the finished runs, separated by spaces.
pub fn csv(report: &Report) -> String {
    csv_of_all(std::slice::from_ref(report))
}

/// The tables of several experiments as one, for a data frame: with the metrics of all of their tasks, empty for a row
/// whose task lacks them.
pub(crate) fn csv_of_all(reports: &[Report]) -> String {
    let mut keys: Vec<&str> = Vec::new();
    for metric in reports.iter().flat_map(|report| metrics(report.task())) {
        if !keys.contains(&metric.key()) {
            keys.push(metric.key());
        }
    }
    let mut text = "experiment,protocol,model,device,optimizer,state,title,seeds".to_owned();
    for key in &keys {
        let _ = write!(text, ",{key}_mean,{key}_std");
    }
    text.push_str("\r\n");
    for report in reports {
        table(&mut text, report, &keys);
    }
    text
}

/// The lines of an experiment.
fn table(text: &mut String, report: &Report, keys: &[&str]) {
    for row in &report.rows {
        let seeds: Vec<String> = report.finished(row).map(|run| run.seed.to_string()).collect();
        let label = row.id.label();
        let Report { name, protocol, model, device, .. } = report;
        let names = [name, protocol, model, device, &row.id.name, &row.id.state, &label];
        let mut cells: Vec<String> = names.map(|name| quoted(name)).to_vec();
        cells.push(seeds.join(" "));
        for key in keys {
            let number = row.numbers.iter().find(|(metric, _)| metric.key() == *key).and_then(|(_, number)| *number);
            cells.extend(number.map_or_else(
                || [String::new(), String::new()],
                |s| [s.mean.to_string(), s.std.map_or_else(String::new, |std| std.to_string())],
            ));
        }
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
}

/// Columns of [`metrics_csv`].
fn columns(task: TaskKind) -> Vec<&'static str> {
    let mut columns =
        vec!["run", "optimizer", "state", "seed", "done", "kind", "step", "epoch", "train_loss", "valid_loss"];
    columns.extend(of_scores(task));
    columns.extend(["learning_rate", "momentum", "per_second", "seconds"]);
    columns
}

/// Columns of an epoch's scores; only tasks with classes have a calibration error.
fn of_scores(task: TaskKind) -> Vec<&'static str> {
    let mut columns: Vec<&str> = task.measures().iter().map(|measure| measure.key()).collect();
    if task == TaskKind::Images {
        columns.push("ece");
    }
    columns
}

/// The readable lines of `metrics.jsonl` of all runs as one CSV, for pandas and R: one line per logged step or epoch.
/// Columns that a line does not have are empty.
///
/// Columns: `run, optimizer, state, seed, done, kind, step, epoch, train_loss, valid_loss`, the scores
/// (`top1, top5, ece` for images, `perplexity` for language), `learning_rate, momentum, per_second, seconds`. `kind` is
/// `step` or `epoch`. `step` is the last step done, from 0. `epoch` is the current epoch, from 0, in a step's line, and
/// the number of epochs done in an epoch's.
pub fn metrics_csv(report: &Report) -> String {
    let task = report.task();
    let mut text = format!("{}\r\n", columns(task).join(","));
    for run in &report.runs {
        let who = who(run);
        for record in &run.log.steps {
            step(&mut text, task, &who, record);
        }
        for record in &run.log.epochs {
            epoch(&mut text, task, &who, record);
        }
    }
    text
}

fn who(run: &Run) -> String {
    let [name, optimizer, state] = [&run.name, &run.row.name, &run.row.state].map(|text| quoted(text));
    format!("{name},{optimizer},{state},{},{}", run.seed, run.status == Status::Done)
}

/// The record is destructured by name, so that a new field cannot be forgotten here.
fn step(text: &mut String, task: TaskKind, who: &str, record: &StepRecord) {
    let StepRecord { step, epoch, learning_rate, momentum, train_loss, per_second, seconds } = *record;
    let [loss, rate, momentum, speed, seconds] =
        [train_loss, learning_rate, momentum.unwrap_or(f64::NAN), per_second, seconds].map(number);
    let scores = ",".repeat(of_scores(task).len());
    let _ = write!(text, "{who},step,{step},{epoch},{loss},{scores},{rate},{momentum},{speed},{seconds}\r\n");
}

fn epoch(text: &mut String, task: TaskKind, who: &str, record: &EpochRecord) {
    let EpochRecord { epoch, step, learning_rate, train_loss, valid_loss, scores, ece, seconds } = *record;
    let [train, valid, rate, seconds] = [train_loss, valid_loss, learning_rate, seconds].map(number);
    let mut cells: Vec<String> = task.measures().iter().map(|measure| number(scores.get(*measure))).collect();
    if cells.len() < of_scores(task).len() {
        cells.push(number(ece.unwrap_or(f64::NAN)));
    }
    let scores = cells.join(",");
    let _ = write!(text, "{who},epoch,{step},{epoch},{train},{valid},{scores},{rate},,,{seconds}\r\n");
}

fn number(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { String::new() }
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use lookahead_runs::Scores;
    use serde::Serialize;

    use super::*;
    use crate::testing::{finished, language, report, unfinished};

    /// Each field of the record is a column, and nothing else of the file's columns is filled.
    fn holds(task: TaskKind, line: &str, kind: &str, record: &impl Serialize) {
        let cells: Vec<(&str, &str)> = columns(task).into_iter().zip(line.split(',')).collect();
        let cell = |name: &str| cells.iter().find(|(column, _)| *column == name).unwrap_or_else(|| panic!("{name}")).1;
        assert_eq!(line.split(',').count(), cells.len());
        let fields = serde_json::to_value(record).unwrap();
        let fields = fields.as_object().unwrap();
        for (key, value) in fields {
            assert_eq!(cell(key).parse::<f64>().unwrap(), value.as_f64().unwrap(), "{key}");
        }
        assert_eq!(cell("kind"), kind);
        let filled = cells.iter().skip(6).filter(|(_, cell)| !cell.is_empty());
        assert_eq!(filled.count(), fields.len());
    }

    #[test]
    fn every_field_of_every_line_is_there() {
        let step = StepRecord {
            step: 7,
            epoch: 1,
            learning_rate: 1e-7,
            momentum: Some(0.9),
            train_loss: 2.25,
            per_second: 812.5,
            seconds: 3.5,
        };
        let of_images = EpochRecord {
            epoch: 2,
            step: 9,
            learning_rate: 0.05,
            train_loss: 2.0,
            valid_loss: 1.75,
            scores: Scores::of_images(41.5, 88.0),
            ece: Some(0.04),
            seconds: 4.25,
        };
        let of_language = EpochRecord { scores: Scores::of_language(1.75), ece: None, ..of_images };
        for (task, epoch) in [(TaskKind::Images, of_images), (TaskKind::Language, of_language)] {
            let mut run = unfinished("lookahead-sgd-keep-s3");
            run.data = language("", 1.0).data.filter(|data| data.task == task);
            run.log.steps.push(step);
            run.log.epochs.push(epoch);
            let text = metrics_csv(&report(vec![run]));
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines[0], columns(task).join(","));
            assert!(lines[1].starts_with("lookahead-sgd-keep-s3,lookahead-sgd,keep,3,false,"), "{}", lines[1]);
            holds(task, lines[1], "step", &step);
            holds(task, lines[2], "epoch", &epoch);
        }
    }

    #[test]
    fn the_table_has_the_scores_of_its_task() {
        let head = |run| csv(&report(vec![run])).lines().next().unwrap_or_default().to_owned();
        let of_images = "top1_mean,top1_std,top5_mean,top5_std,seconds_mean,seconds_std,per_second_mean,per_second_std";
        assert!(head(finished("sgd-s1", 80.0)).ends_with(of_images));
        let of_language =
            "valid_loss_std,perplexity_mean,perplexity_std,seconds_mean,seconds_std,per_second_mean,per_second_std";
        assert!(head(language("sgd-s1", 80.0)).ends_with(of_language));
    }

    /// Accuracy and perplexity in columns of their own: each number is below its own name, and every line is as long.
    #[test]
    fn tables_of_two_tasks_share_one_header() {
        let both = [report(vec![finished("sgd-s1", 80.0)]), report(vec![language("adamw-s1", 90.0)])];
        let text = csv_of_all(&both);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|cells| cells.len() == lines[0].len()), "{text}");
        let cell = |line: usize, name: &str| lines[line][lines[0].iter().position(|head| *head == name).unwrap()];
        assert_eq!([cell(1, "top1_mean"), cell(1, "perplexity_mean")], ["80", ""]);
        assert_eq!([cell(2, "top1_mean"), cell(2, "perplexity_mean")], ["", "90"]);
        assert_eq!([cell(1, "seconds_mean"), cell(2, "seconds_mean")], ["61", "61"]);
        assert_eq!(csv_of_all(&both[..1]), csv(&both[0]));
    }

    #[test]
    fn a_name_cannot_leave_its_cell_and_what_is_no_number_is_empty() {
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!([f64::NAN, 0.5].map(number), ["", "0.5"]);
    }
}
