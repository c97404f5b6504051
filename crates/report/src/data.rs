//! The data of the page, as one JSON value.

use std::collections::BTreeMap;

use lookahead_runs::{Run, Spread, TaskKind};
use serde::Serialize;

use crate::LeftOut;
use crate::compare::{Comparison, baseline};
use crate::findings::findings;
use crate::metric::metrics;
use crate::palette::Ink;
use crate::pool::Pool;
use crate::reference::{Reference, Source};
use crate::report::Report;
use crate::row::Row;
use crate::scored::Scored;
use crate::settings::{Origin, Settings};
use crate::sums::{Classes, Sample, clock, mean_time, sample};
use crate::target::TimeToTarget;
use crate::thin::Curve;

#[derive(Debug, Serialize)]
pub(crate) struct Data {
    title: String,
    about_data: String,
    data_sha256: String,
    warnings: Vec<String>,
    experiment: String,
    protocol: String,
    model: String,
    device: String,
    epochs: f64,
    classes: Vec<String>,
    findings: Vec<String>,
    /// Time to target of each row, one sentence each.
    targets: Vec<String>,
    #[serde(flatten)]
    scored: Scored,
    rows: Vec<RowData>,
    runs: Vec<RunData>,
    curves: Vec<Curve>,
    comparisons: Vec<ComparisonData>,
    sources: Vec<SourceData>,
    config: Settings,
    environment: Vec<Origin>,
    left_out: Vec<LeftOut>,
    not_begun: Vec<String>,
    /// Seconds since 1970.
    written: Option<u64>,
    program: &'static str,
}

#[derive(Debug, Serialize)]
struct RowData {
    title: String,
    state: String,
    optimizer: String,
    inner: Option<usize>,
    /// The row that this one is compared with, unless the reader chooses another.
    baseline: Option<usize>,
    hue: &'static str,
    strong: bool,
    dash: &'static str,
    runs: Vec<usize>,
    numbers: Vec<Option<Spread>>,
    references: Vec<Reference>,
    /// Sums over finished runs; `None` for a task without classes.
    classes: Option<Classes>,
    sample: Option<Sample>,
    time: Vec<(&'static str, f64)>,
}

#[derive(Debug, Serialize)]
struct RunData {
    name: String,
    seed: u64,
    status: &'static str,
    /// One number per entry of `metrics`; empty for an unfinished run.
    numbers: Vec<f64>,
    best_score: Option<f64>,
    best_epoch: Option<u64>,
    ece: Option<f64>,
    peak_rss_mb: Option<u64>,
    steps_per_epoch: f64,
    /// Steps and seconds, for the time axis.
    clock: (Vec<u64>, Vec<f64>),
    /// Positions in the page's `curves` by name.
    curves: BTreeMap<&'static str, usize>,
}

#[derive(Debug, Serialize)]
struct ComparisonData {
    row: usize,
    baseline: usize,
    /// Key of a metric.
    metric: &'static str,
    pairs: usize,
    mean: f64,
    low: Option<f64>,
    high: Option<f64>,
    smallest_visible: Option<f64>,
}

#[derive(Debug, Serialize)]
struct SourceData {
    source: Source,
    title: &'static str,
    about: &'static str,
}

impl Data {
    pub(crate) fn new(report: &Report, found_left_out: &[LeftOut]) -> Self {
        let runs = &report.runs;
        let Pool { curves, of_runs } = Pool::of(runs, report.task());
        let run_data = runs.iter().zip(of_runs).map(|(run, curves)| run_data(run, report.task(), curves)).collect();
        let inks = Ink::of_rows(report.rows.iter().map(|row| &row.id));
        let theirs = report.references();
        let used = |source: &Source| theirs.iter().any(|row| row.source == *source);
        let rows = report.rows.iter().zip(inks).enumerate();
        let sources = Source::ALL.into_iter().filter(used);
        Self {
            title: report.title().to_owned(),
            about_data: report.about_data(),
            data_sha256: report.data.sha256.clone(),
            warnings: report.warnings.clone(),
            experiment: report.name.clone(),
            protocol: report.protocol.clone(),
            model: report.model.clone(),
            device: report.device.clone(),
            epochs: report.epochs(),
            classes: report.data.classes.clone(),
            findings: findings(report),
            targets: report.times_to_target().iter().map(TimeToTarget::sentence).collect(),
            scored: Scored::of(report),
            rows: rows.map(|(position, (row, ink))| row_data(report, position, row, ink, &theirs)).collect(),
            runs: run_data,
            curves,
            comparisons: report.comparisons.iter().map(ComparisonData::of).collect(),
            sources: sources
                .map(|source| SourceData { source, title: source.title(), about: source.about() })
                .collect(),
            config: Settings::of(report),
            environment: Origin::of(runs),
            left_out: found_left_out.iter().chain(&report.left_out).cloned().collect(),
            not_begun: report.not_begun.clone(),
            written: report.read_at,
            program: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")),
        }
    }
}

impl ComparisonData {
    fn of(comparison: &Comparison) -> Self {
        let Comparison { row, baseline, metric, pairs, mean, interval } = *comparison;
        Self {
            row,
            baseline,
            metric: metric.key(),
            pairs,
            mean,
            low: interval.map(|of| of.low),
            high: interval.map(|of| of.high),
            smallest_visible: interval.map(|of| of.smallest_visible()),
        }
    }
}

fn row_data(report: &Report, position: usize, row: &Row, ink: Ink, theirs: &[Reference]) -> RowData {
    let beside = theirs.iter().filter(|their| their.is_beside(&row.id.name, &row.id.state));
    RowData {
        title: row.id.title.clone(),
        state: row.id.state.clone(),
        optimizer: row.id.name.clone(),
        inner: row.inner,
        baseline: baseline(&report.rows, position),
        hue: ink.hue,
        strong: ink.strong,
        dash: ink.dash,
        runs: row.runs.clone(),
        numbers: row.numbers.iter().map(|(_, number)| *number).collect(),
        references: beside.copied().collect(),
        classes: Classes::of(report.finished(row), report.data.classes.len()),
        sample: sample(report.finished(row)),
        time: mean_time(report.finished(row)),
    }
}

fn run_data(run: &Run, task: TaskKind, curves: BTreeMap<&'static str, usize>) -> RunData {
    let summary = run.summary.as_ref();
    let details = summary.and_then(|summary| summary.details.as_ref());
    let numbers = summary.map(|summary| metrics(task).iter().map(|metric| metric.of(&summary.figures)).collect());
    RunData {
        name: run.name.clone(),
        seed: run.seed,
        status: run.status.name(),
        numbers: numbers.unwrap_or_default(),
        best_score: details.map(|details| details.best_score),
        best_epoch: details.map(|details| details.best_epoch),
        ece: details.and_then(|details| details.ece),
        // Zero if the system does not report it.
        peak_rss_mb: summary.map(|summary| summary.peak_rss_mb).filter(|&peak| peak > 0),
        steps_per_epoch: run.steps_per_epoch(),
        clock: clock(run),
        curves,
    }
}

/// JSON that is safe inside `<script>`: `<`, `>` and `&` are escaped, so no name can end the element.
pub(crate) fn embeddable_json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string(value)?;
    // These characters occur only in JSON strings, where the escape has the same meaning.
    Ok(text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn no_name_can_end_the_script_element() {
        let text = embeddable_json(&json!(["</script><script>alert(1)</script>", "<!--", "a & b"])).unwrap();
        assert!(!text.contains(['<', '>', '&']), "{text}");
        let back: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(back[0], "</script><script>alert(1)</script>");
    }
}
