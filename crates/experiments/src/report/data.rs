//! What the page holds, as one JSON value.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::LeftOut;
use super::compare::findings;
use super::experiment::{Experiment, METRICS};
use super::palette::Ink;
use super::run::{Run, Status};
use super::settings::{Origin, Settings};
use super::sums::{clock, confusion, mean_time};
use super::thin::Curve;
use crate::reference::{Reference, Source};
use crate::stats::Spread;

/// Buckets of all curves of one kind together: what keeps fifty runs well under two megabytes.
const BUCKETS: usize = 24_000;
/// Buckets of one curve: more than a wide screen has pixels to show.
const MOST_BUCKETS: usize = 1_000;
/// Below this a curve would look angular, whatever the number of runs.
const FEWEST_BUCKETS: usize = 80;

#[derive(Debug, Serialize)]
pub(crate) struct Data {
    experiment: String,
    protocol: String,
    model: String,
    device: String,
    epochs: u64,
    classes: Vec<String>,
    findings: Vec<String>,
    metrics: Vec<MetricData>,
    rows: Vec<RowData>,
    runs: Vec<RunData>,
    /// Curves, each once: seeds share their learning rate.
    curves: Vec<Curve>,
    comparisons: Vec<ComparisonData>,
    sources: Vec<SourceData>,
    config: Settings,
    environment: Vec<Origin>,
    left_out: Vec<LeftOut>,
    program: String,
}

#[derive(Debug, Serialize)]
struct MetricData {
    key: &'static str,
    title: &'static str,
    digits: usize,
}

#[derive(Debug, Serialize)]
struct RowData {
    title: String,
    state: String,
    optimizer: String,
    inner: Option<usize>,
    hue: &'static str,
    strong: bool,
    dash: &'static str,
    runs: Vec<usize>,
    numbers: Vec<Option<Spread>>,
    references: Vec<Reference>,
    /// Sum over finished runs, rows one after another: zeros before each count, then the count.
    confusion: Vec<u64>,
    time: Vec<(&'static str, f64)>,
}

#[derive(Debug, Serialize)]
struct RunData {
    name: String,
    seed: u64,
    status: &'static str,
    /// In the order of `metrics`; empty for an unfinished run.
    numbers: Vec<f64>,
    best_top1: Option<f64>,
    best_epoch: Option<u64>,
    ece: Option<f64>,
    peak_rss_mb: Option<u64>,
    steps_per_epoch: f64,
    /// Steps and seconds: the axis of time.
    clock: (Vec<u64>, Vec<f64>),
    /// Positions in `curves` by name.
    curves: BTreeMap<&'static str, usize>,
}

#[derive(Debug, Serialize)]
struct ComparisonData {
    row: usize,
    baseline: usize,
    metric: &'static str,
    pairs: usize,
    mean: f64,
    low: Option<f64>,
    high: Option<f64>,
    effect_size: Option<f64>,
}

#[derive(Debug, Serialize)]
struct SourceData {
    source: Source,
    title: &'static str,
    about: &'static str,
}

impl Data {
    pub(crate) fn new(experiment: &Experiment, found_left_out: &[LeftOut]) -> Self {
        let runs = &experiment.runs;
        let last_step = runs.iter().map(|run| run.log.last_step()).max().unwrap_or(0);
        let buckets = (BUCKETS / runs.len().max(1)).clamp(FEWEST_BUCKETS, MOST_BUCKETS);
        let mut pool = Pool::default();
        let run_data = runs.iter().map(|run| run_data(run, last_step, buckets, &mut pool)).collect();
        let inks = Ink::of_rows(experiment.rows.iter().map(|row| (row.optimizer.as_str(), row.state.as_str())));
        let theirs = experiment.references();
        let used = |source: &Source| theirs.iter().any(|row| row.source == *source);
        Self {
            experiment: experiment.name.clone(),
            protocol: experiment.protocol.clone(),
            model: experiment.model.clone(),
            device: experiment.device.clone(),
            epochs: experiment.epochs(),
            classes: experiment.classes.clone(),
            findings: findings(&experiment.rows, &experiment.comparisons),
            metrics: METRICS
                .iter()
                .map(|metric| MetricData { key: metric.key, title: metric.title, digits: metric.digits })
                .collect(),
            rows: experiment
                .rows
                .iter()
                .zip(inks)
                .map(|(row, ink)| RowData {
                    title: row.title(),
                    state: row.state.clone(),
                    optimizer: row.optimizer.clone(),
                    inner: row.inner,
                    hue: ink.hue,
                    strong: ink.strong,
                    dash: ink.dash,
                    runs: row.runs.clone(),
                    numbers: row.numbers.clone(),
                    references: theirs
                        .iter()
                        .filter(|their| their.is_beside(&row.optimizer, &row.state))
                        .cloned()
                        .collect(),
                    confusion: confusion(experiment.finished(row), experiment.classes.len()),
                    time: mean_time(experiment.finished(row)),
                })
                .collect(),
            runs: run_data,
            curves: pool.curves,
            comparisons: experiment
                .comparisons
                .iter()
                .map(|comparison| ComparisonData {
                    row: comparison.row,
                    baseline: comparison.baseline,
                    metric: comparison.metric,
                    pairs: comparison.pairs,
                    mean: comparison.mean,
                    low: comparison.interval.map(|interval| interval.low),
                    high: comparison.interval.map(|interval| interval.high),
                    effect_size: comparison.interval.map(|interval| interval.effect_size),
                })
                .collect(),
            sources: Source::ALL
                .into_iter()
                .filter(used)
                .map(|source| SourceData { source, title: source.title(), about: source.about() })
                .collect(),
            config: Settings::of(experiment),
            environment: Origin::of(runs),
            left_out: found_left_out.iter().chain(&experiment.left_out).cloned().collect(),
            program: format!("lookahead-experiments {}", env!("CARGO_PKG_VERSION")),
        }
    }
}

/// Curves by their content, so that equal ones are held once.
#[derive(Default)]
struct Pool {
    curves: Vec<Curve>,
    known: HashMap<String, usize>,
}

impl Pool {
    fn position(&mut self, curve: Curve) -> usize {
        let content = format!("{curve:?}");
        *self.known.entry(content).or_insert_with(|| {
            self.curves.push(curve);
            self.curves.len() - 1
        })
    }
}

fn run_data(run: &Run, last_step: u64, buckets: usize, pool: &mut Pool) -> RunData {
    let mut curves = BTreeMap::new();
    let steps = &run.log.steps;
    let epochs = &run.log.epochs;
    let step_curve =
        |of: fn(&super::log::StepPoint) -> f64| steps.iter().map(|point| (point.step, of(point))).collect();
    let epoch_curve =
        |of: fn(&super::log::EpochPoint) -> f64| epochs.iter().map(|point| (point.step, of(point))).collect();
    let mut train_loss: Vec<(u64, f64)> = step_curve(|point| point.train_loss);
    // A short run may log fewer steps than it has epochs.
    if steps.len() < epochs.len() {
        train_loss = epoch_curve(|point| point.train_loss);
    }
    let all: [(&str, Vec<(u64, f64)>); 6] = [
        ("train_loss", train_loss),
        ("valid_loss", epoch_curve(|point| point.valid_loss)),
        ("top1", epoch_curve(|point| point.top1)),
        ("top5", epoch_curve(|point| point.top5)),
        ("learning_rate", step_curve(|point| point.learning_rate)),
        ("momentum", step_curve(|point| point.momentum)),
    ];
    for (name, points) in all {
        if let Some(curve) = Curve::thin(&points, last_step, buckets) {
            curves.insert(name, pool.position(curve));
        }
    }
    RunData {
        name: run.name.clone(),
        seed: run.seed,
        status: run.status.name(),
        numbers: run
            .figures
            .map(|figures| METRICS.iter().map(|metric| (metric.of)(&figures)).collect())
            .unwrap_or_default(),
        best_top1: run.detail("best_top1").as_f64(),
        best_epoch: run.detail("best_epoch").as_u64(),
        ece: run.detail("ece").as_f64(),
        // Zero where the system did not tell.
        peak_rss_mb: run.detail("peak_rss_mb").as_u64().filter(|&peak| peak > 0),
        steps_per_epoch: run.steps_per_epoch(),
        clock: clock(run),
        curves,
    }
}

/// Whether a run counts in the table; used by the writers of plain tables.
pub(crate) fn is_done(run: &Run) -> bool {
    run.status == Status::Done
}

/// JSON that may stand inside `<script>`: no `<`, `>` or `&` is left as it is, so no name can end the element.
pub(crate) fn embeddable_json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string(value)?;
    // These characters only occur within JSON strings, where the escape means the same.
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
