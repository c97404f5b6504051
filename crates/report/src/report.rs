//! The report of one experiment, read from its run folders.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use lookahead_runs::{DataSet, Error, ExperimentSummary, Plan, Run, RunSummary, SCHEMA, Status, SummaryRow, TaskKind};
use rayon::prelude::*;

use crate::LeftOut;
use crate::about::{data, warnings};
use crate::compare::{Comparison, compare};
use crate::conditions::spelt;
use crate::copies::leave_out_copies;
use crate::find::Found;
use crate::number::counted;
use crate::row::{Row, rows};

/// One experiment: its runs, the rows they form, and the differences between rows.
#[derive(Debug, Clone)]
pub struct Report {
    /// The experiment's name, such as `cifar10`.
    pub name: String,
    /// The protocol; like `model` and `device`, empty if no file contains it.
    pub protocol: String,
    /// The network.
    pub model: String,
    /// The device.
    pub device: String,
    /// The data of most runs, as far as the run folders contain it.
    pub data: DataSet,
    /// Warnings about comparing rows, such as different data or no common seed; one sentence each.
    pub warnings: Vec<String>,
    /// The runs, sorted by name.
    pub runs: Vec<Run>,
    /// The rows of the table: each plain optimizer, followed by the rows with a wrapper around it.
    pub rows: Vec<Row>,
    /// Differences between all rows, paired by seed; [`differences`](crate::differences) selects those that are
    /// printed.
    pub comparisons: Vec<Comparison>,
    /// What was left out and why.
    pub left_out: Vec<LeftOut>,
    /// Planned runs that have no folder yet.
    pub not_begun: Vec<String>,
    /// When the folders were read, in seconds since 1970; `None` if the clock is earlier.
    pub read_at: Option<u64>,
}

impl Report {
    /// Reads the run folders in `found`, on all threads. Never fails: [`left_out`](Self::left_out) lists what cannot be
    /// read. Of several folders with the same row, data and seed, one is used.
    pub fn read(found: &Found) -> Self {
        let mut runs: Vec<Run> = found.runs.par_iter().map(|path| Run::read(path)).collect();
        let mut left_out = Vec::new();
        let summary = own_summary(&found.folder, &mut left_out);
        let say_nothing = runs.iter().all(|run| run.data.is_none());
        let of_summary = summary.as_ref().filter(|_| say_nothing).map(|summary| summary.task);
        let task = of_summary.unwrap_or_else(|| data(&runs).task);
        leave_out_other_tasks(&mut runs, task, &mut left_out);
        leave_out_copies(&mut runs, &mut left_out);
        let data = DataSet { task, ..data(&runs) };
        for run in &mut runs {
            // Run folders of version 0.1 record neither divergence nor data. A later one that does not say that it
            // diverged was started again.
            let diverged = summary.as_ref().is_some_and(|summary| summary.diverged.contains(&run.name));
            if run.status == Status::Unfinished && run.data.is_none() && diverged {
                run.status = Status::Diverged;
            }
            left_out.extend(run.left_out.iter().map(|why| LeftOut::new(&run.name, why)));
            match run.status {
                Status::Done => {}
                Status::Unfinished => left_out.push(LeftOut::new(&run.name, unfinished(run))),
                Status::Diverged => left_out.push(LeftOut::new(&run.name, "diverged: in the curves, not in the table")),
            }
        }
        let not_begun = not_begun(found, &runs);
        left_out.extend(not_begun.iter().map(|name| LeftOut::new(name, "not begun")));
        let known = |setting: &str, of: fn(&ExperimentSummary) -> &String| {
            let from_runs = runs.iter().find_map(|run| run.settings.get(setting));
            from_runs.or(summary.as_ref().map(of)).cloned().unwrap_or_default()
        };
        let name = known("experiment", |summary| &summary.experiment);
        let rows = rows(&runs, task);
        Self {
            comparisons: compare(&runs, &rows, task),
            data,
            warnings: warnings(&rows, &runs),
            name: if name.is_empty() { folder_name(&found.folder) } else { name },
            protocol: known("protocol", |summary| &summary.protocol),
            model: known("model.name", |summary| &summary.model),
            device: known("device", |summary| &summary.device),
            runs,
            rows,
            left_out,
            not_begun,
            read_at: SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs()),
        }
    }

    /// The finished runs of a row, by seed.
    pub fn finished<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = &'a Run> {
        row.runs.iter().map(|&run| &self.runs[run]).filter(|run| run.status == Status::Done)
    }

    /// Number of epochs, which may be a fraction: the largest number in a configuration or, without one, the largest
    /// number done.
    pub fn epochs(&self) -> f64 {
        epochs(|| self.runs.iter())
    }

    /// The experiment's `summary.json`: the finished runs, and the rows with any.
    pub fn summary(&self) -> ExperimentSummary {
        let with_runs = self.rows.iter().filter(|row| self.finished(row).next().is_some());
        let diverged = self.runs.iter().filter(|run| run.status == Status::Diverged);
        ExperimentSummary {
            schema: SCHEMA,
            experiment: self.name.clone(),
            protocol: self.protocol.clone(),
            device: self.device.clone(),
            model: self.model.clone(),
            task: self.task(),
            rows: with_runs.map(|row| self.summary_row(row)).collect(),
            runs: self.rows.iter().flat_map(|row| self.finished(row)).filter_map(short).collect(),
            diverged: diverged.map(|run| run.name.clone()).collect(),
        }
    }

    fn summary_row(&self, row: &Row) -> SummaryRow {
        SummaryRow {
            optimizer: row.id.name.clone(),
            state: row.id.state.clone(),
            seeds: self.finished(row).map(|run| run.seed).collect(),
            epochs: epochs(|| self.finished(row)).ceil() as u64,
            split: row.split,
            numbers: row
                .numbers
                .iter()
                .filter_map(|(metric, number)| Some((metric.key().to_owned(), (*number)?)))
                .collect(),
        }
    }
}

/// Leaves out runs of another task, whose columns and units differ. A run without a task in its folder is kept.
fn leave_out_other_tasks(runs: &mut Vec<Run>, task: TaskKind, left_out: &mut Vec<LeftOut>) {
    runs.retain(|run| {
        let other = run.data.as_ref().map(|data| data.task).filter(|other| *other != task);
        if let Some(other) = other {
            left_out.push(LeftOut::new(
                &run.name,
                format!("trains on {}, while the other runs train on {}", other.units(), task.units()),
            ));
        }
        other.is_none()
    });
}

/// A run's summary without details, as in an experiment's, with the row's name and state: version 0.1 gave each
/// optimizer a state.
fn short(run: &Run) -> Option<RunSummary> {
    let summary = run.summary.clone()?;
    Some(RunSummary { optimizer: run.row.name.clone(), state: run.row.state.clone(), details: None, ..summary })
}

fn epochs<'a, I: Iterator<Item = &'a Run>>(runs: impl Fn() -> I) -> f64 {
    let planned = runs().filter_map(|run| run.settings.get("train.epochs")?.parse::<f64>().ok());
    let done = runs().filter_map(|run| Some(run.log.epochs.last()?.epoch as f64));
    planned.reduce(f64::max).or_else(|| done.reduce(f64::max)).unwrap_or(0.0)
}

fn unfinished(run: &Run) -> String {
    let done = run.log.epochs.last().map_or(0, |record| record.epoch);
    let of = run.settings.get("train.epochs").map(|epochs| format!(" of {}", spelt(epochs))).unwrap_or_default();
    let steps = counted(run.log.steps_done() as usize, "step");
    format!("not finished ({done}{of} epochs, {steps}): in the curves, not in the table")
}

/// Runs of the plan that have no folder; existing folders that the report does not read are not named.
fn not_begun(found: &Found, runs: &[Run]) -> Vec<String> {
    let plan = Plan::read(&found.folder).ok().flatten().unwrap_or_default();
    let has_folder = |name: &str| runs.iter().any(|run| run.name == name) || found.folder.join(name).exists();
    plan.runs.into_iter().filter(|name| !has_folder(name)).collect()
}

/// The experiment's own `summary.json`, for facts missing in the run folders.
fn own_summary(folder: &Path, left_out: &mut Vec<LeftOut>) -> Option<ExperimentSummary> {
    ExperimentSummary::read(folder).unwrap_or_else(|error| {
        let why = match error {
            Error::Damaged { reason, .. } => {
                format!("the experiment's own file is damaged ({reason}); those of the runs are used")
            }
            other => format!("the experiment's own file is left out: {other}"),
        };
        left_out.push(LeftOut::new("summary.json", why));
        None
    })
}

fn folder_name(folder: &Path) -> String {
    let whole = folder.canonicalize().ok();
    let name = whole.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| "runs".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::metrics;
    use crate::testing::{finished, report, unfinished};

    #[test]
    fn a_summary_holds_what_finished_in_the_order_of_the_table() {
        let mut diverged = unfinished("adamw-s1");
        diverged.status = Status::Diverged;
        let mut old = finished("sgd-s2", 81.0);
        old.summary.as_mut().unwrap().state = "keep".to_owned();
        let runs = vec![diverged, finished("lookahead-sgd-keep-s1", 82.0), finished("sgd-s1", 79.0), old];
        let summary = report(runs).summary();
        let rows: Vec<(&str, &str, &[u64], f64)> = summary
            .rows
            .iter()
            .map(|row| (row.optimizer.as_str(), row.state.as_str(), row.seeds.as_slice(), row.numbers["top1"].mean))
            .collect();
        assert_eq!(rows, [("sgd", "", &[1, 2][..], 80.0), ("lookahead-sgd", "keep", &[1], 82.0)]);
        assert_eq!(summary.rows[0].numbers.len(), metrics(TaskKind::Images).len());
        let runs: Vec<(&str, &str, u64)> =
            summary.runs.iter().map(|run| (run.optimizer.as_str(), run.state.as_str(), run.seed)).collect();
        assert_eq!(runs, [("sgd", "", 1), ("sgd", "", 2), ("lookahead-sgd", "keep", 1)]);
        assert_eq!(summary.diverged, ["adamw-s1"]);
    }

    /// 9.9 epochs are not ten, neither alone nor beside fewer whole ones.
    #[test]
    fn a_fraction_of_an_epoch_is_kept() {
        let trained = |name: &str, epochs: &str| {
            let mut run = finished(name, 80.0);
            run.settings.insert("train.epochs".to_owned(), epochs.to_owned());
            run
        };
        let report = report(vec![trained("sgd-s1", "9.9"), trained("adamw-s1", "5")]);
        assert_eq!(report.epochs(), 9.9);
        assert!(crate::results(&[report]).contains(", 9.9 epochs."));
    }

    #[test]
    fn version_0_1_noted_divergence_beside_the_runs() {
        let root = tempfile::tempdir().unwrap();
        let run = root.path().join("sgd-s1");
        std::fs::create_dir(&run).unwrap();
        let summary = ExperimentSummary { diverged: vec!["sgd-s1".to_owned()], ..report(Vec::new()).summary() };
        summary.write(root.path()).unwrap();
        let read = Report::read(&Found { folder: root.path().to_path_buf(), runs: vec![run] });
        assert_eq!(read.runs[0].status, Status::Diverged);
        assert!(read.left_out.iter().any(|item| item.why.starts_with("diverged")), "{:?}", read.left_out);
        // A later version records the data: that run was started again.
        let run = root.path().join("sgd-s1");
        std::fs::write(run.join("data.json"), serde_json::to_string(&DataSet::default()).unwrap()).unwrap();
        let again = Report::read(&Found { folder: root.path().to_path_buf(), runs: vec![run] });
        assert_eq!(again.runs[0].status, Status::Unfinished);
        // No configuration names them.
        assert_eq!((read.name.as_str(), read.model.as_str(), read.device.as_str()), ("cifar10", "resnet20", "cpu"));
    }
}
