//! The figure: accuracy by epoch.

use std::collections::BTreeMap;

use lookahead_report::chart::{Chart, Line, Stroke};
use lookahead_report::{Report, Row};
use lookahead_runs::{Measure, Spread};

/// Accuracy by epoch, one line per row.
pub(super) fn figure(report: &Report) -> String {
    let lines = report.rows.iter().map(|row| {
        let mut by_epoch: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for epoch in report.finished(row).flat_map(|run| &run.log.epochs) {
            by_epoch.entry(epoch.epoch).or_default().push(epoch.scores.get(Measure::Top1));
        }
        let points = by_epoch.iter().filter_map(|(&epoch, values)| Some((epoch as f64, Spread::of(values)?)));
        Line { name: row.id.label(), stroke: stroke(row), points: points.collect() }
    });
    Chart {
        title: "AdamW, alone and inside Lookahead".to_owned(),
        x_title: "Epoch",
        y_title: "Validation accuracy (%)",
        x_is_logarithmic: false,
        y_is_logarithmic: false,
        y_range: Some(Measure::Top1.range()),
        lines: lines.collect(),
        mark: None,
    }
    .to_svg()
}

/// The colour shows what happens to the state; dashes mark the high learning rate.
fn stroke(row: &Row) -> Stroke {
    let colour = match (row.id.around.as_str(), row.id.state.as_str()) {
        ("lookahead", "keep") => "#0a4a86",
        ("lookahead", "reset") => "#2f9e76",
        ("lookahead", _) => "#7b52b9",
        ("lookahead-moments-zeroed", _) => "#a02f06",
        _ => "#5f6b76",
    };
    Stroke { colour, width: 1.8, dash: if row.id.name.ends_with("-high") { "6 3" } else { "" } }
}
