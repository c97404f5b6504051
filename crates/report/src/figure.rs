//! Figures for papers, as SVG on white.
//!
//! SVG alone: TeX (through `svg` or Inkscape), Word and browsers take it and it stays sharp; a PNG would need a second
//! renderer here, and `rsvg-convert figure.svg -o figure.png` makes one of any size.

use std::collections::BTreeMap;

use lookahead_runs::{Run, Spread};

use crate::chart::{Chart, Line, Stroke};
use crate::palette::Ink;
use crate::report::Report;
use crate::thin::{Curve, of_epochs, of_steps};

/// Points of a curve.
const BUCKETS: usize = 300;

type Values = fn(&Run) -> Vec<(u64, f64)>;

/// Name, title, whether the axis is logarithmic, and what is drawn.
const CHARTS: [(&str, &str, bool, Values); 5] = [
    ("train-loss", "Training loss (nats)", true, |run| of_steps(run, |record| record.train_loss)),
    ("valid-loss", "Validation loss (nats)", true, |run| of_epochs(run, |record| record.valid_loss)),
    ("top1", "Validation accuracy (%)", false, |run| of_epochs(run, |record| record.top1)),
    ("learning-rate", "Learning rate", false, |run| of_steps(run, |record| record.learning_rate)),
    ("momentum", "Momentum", false, |run| of_steps(run, |record| record.momentum.unwrap_or(f64::NAN))),
];

/// The figures of an experiment: file name and SVG text. A figure that no run has values for is left out.
pub fn figures(report: &Report) -> Vec<(String, String)> {
    let inks = Ink::of_rows(report.rows.iter().map(|row| &row.id));
    let last_step = report.runs.iter().map(|run| run.log.steps_done()).max().unwrap_or(0);
    let mut figures = Vec::new();
    for (name, title, y_is_logarithmic, values) in CHARTS {
        let lines: Vec<Line> = report
            .rows
            .iter()
            .zip(&inks)
            .map(|(row, ink)| {
                let curves =
                    row.runs.iter().filter_map(|&run| Curve::thin(&values(&report.runs[run]), last_step, BUCKETS));
                let width = if ink.strong { 2.0 } else { 1.5 };
                let stroke = Stroke { colour: ink.on_white, width, dash: ink.dash };
                Line { name: row.id.label(), stroke, points: mean_over_seeds(curves) }
            })
            .filter(|line| !line.points.is_empty())
            .collect();
        if lines.is_empty() {
            continue;
        }
        let chart = Chart {
            title: format!("{}: {title}", report.name),
            x_title: "Step",
            y_title: title,
            x_is_logarithmic: false,
            y_is_logarithmic,
            lines,
            mark: None,
        };
        figures.push((format!("{name}.svg"), chart.to_svg()));
    }
    figures
}

/// A row's mean over seeds at each step, with its spread.
fn mean_over_seeds(curves: impl Iterator<Item = Curve>) -> Vec<(f64, Spread)> {
    let mut by_step: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for curve in curves {
        let mut step = 0;
        for (x, y) in curve.x.iter().zip(&curve.y) {
            step += x;
            by_step.entry(step).or_default().push(*y);
        }
    }
    by_step.into_iter().filter_map(|(step, values)| Some((step as f64, Spread::of(&values)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_averaged_where_they_share_a_step() {
        let curve = |y: [f64; 2]| Curve { x: vec![10, 10], y: y.to_vec(), lo: vec![], hi: vec![] };
        let mean = mean_over_seeds([curve([1.0, 2.0]), curve([3.0, 2.0])].into_iter());
        assert_eq!(mean[0].0, 10.0);
        assert_eq!((mean[0].1.mean, mean[1].1.std), (2.0, Some(0.0)));
    }
}
