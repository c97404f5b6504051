//! Figures for papers, as SVG on white.
//!
//! TeX (through `svg` or Inkscape), Word and browsers read SVG, and it stays sharp at any size. PNG would need a second
//! renderer; `rsvg-convert figure.svg -o figure.png` converts.

use std::collections::BTreeSet;

use lookahead_runs::{Run, Spread, TaskKind};

use crate::chart::{Chart, Line, Stroke};
use crate::palette::Ink;
use crate::report::Report;
use crate::thin::{Curve, Values, of_epochs, of_steps};

/// Maximum number of points of a curve.
const BUCKETS: usize = 300;

/// A figure: the values drawn for each run.
struct Drawn {
    /// File name without the extension.
    name: &'static str,
    title: &'static str,
    y_is_logarithmic: bool,
    y_range: Option<(f64, f64)>,
    values: Box<Values>,
}

impl Drawn {
    fn new(
        name: &'static str,
        title: &'static str,
        y_is_logarithmic: bool,
        values: impl Fn(&Run) -> Vec<(u64, f64)> + 'static,
    ) -> Self {
        Self { name, title, y_is_logarithmic, y_range: None, values: Box::new(values) }
    }

    /// All figures of an experiment.
    fn all(task: TaskKind) -> [Self; 5] {
        [
            Self::new("train-loss", "Training loss (nats)", true, |run| of_steps(run, |record| record.train_loss)),
            Self::new("valid-loss", "Validation loss (nats)", true, |run| of_epochs(run, |record| record.valid_loss)),
            Self::of_score(task),
            Self::new("learning-rate", "Learning rate", false, |run| of_steps(run, |record| record.learning_rate)),
            Self::new("momentum", "Momentum", false, |run| of_steps(run, |record| record.momentum.unwrap_or(f64::NAN))),
        ]
    }

    fn of_score(task: TaskKind) -> Self {
        let score = task.score();
        let (title, is_logarithmic) = match task {
            TaskKind::Images => ("Validation accuracy (%)", false),
            // Perplexity falls by factors, like the losses.
            TaskKind::Language => ("Validation perplexity", true),
        };
        let values = move |run: &Run| of_epochs(run, |record| record.scores.get(score));
        Self { y_range: Some(score.range()), ..Self::new(score.key(), title, is_logarithmic, values) }
    }
}

/// The figures of an experiment, as (file name, SVG text): losses, score, learning rate and momentum by step, with the
/// mean and standard deviation over seeds. Figures without values are left out.
pub fn figures(report: &Report) -> Vec<(String, String)> {
    let inks = Ink::of_rows(report.rows.iter().map(|row| &row.id));
    let last_step = report.runs.iter().map(|run| run.log.steps_done()).max().unwrap_or(0);
    let mut figures = Vec::new();
    for Drawn { name, title, y_is_logarithmic, y_range, values } in Drawn::all(report.task()) {
        let points: Vec<Vec<(u64, f64)>> = report.runs.iter().map(&*values).collect();
        let curves = Curve::thin(&points, last_step, BUCKETS);
        let lines: Vec<Line> = report
            .rows
            .iter()
            .zip(&inks)
            .map(|(row, ink)| {
                let curves = row.runs.iter().filter_map(|&run| curves[run].as_ref());
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
            y_range,
            lines,
            mark: None,
        };
        figures.push((format!("{name}.svg"), chart.to_svg()));
    }
    figures
}

/// A row's mean and standard deviation over seeds at each step of any of them. Seeds may have been logged at different
/// steps; if each counted only at its own, the mean would jump from seed to seed.
fn mean_over_seeds<'a>(curves: impl Iterator<Item = &'a Curve>) -> Vec<(f64, Spread)> {
    let curves: Vec<Vec<(u64, f64)>> = curves.map(Curve::points).collect();
    let steps: BTreeSet<u64> = curves.iter().flatten().map(|point| point.0).collect();
    let mean = |step: u64| {
        let values: Vec<f64> = curves.iter().filter_map(|points| value_at(points, step)).collect();
        Some((step as f64, Spread::of(&values)?))
    };
    steps.into_iter().filter_map(mean).collect()
}

/// The value of a curve at `step`, linear between its points; `None` before the first and after the last.
fn value_at(points: &[(u64, f64)], step: u64) -> Option<f64> {
    let next = points.partition_point(|point| point.0 < step);
    let (after, value) = *points.get(next)?;
    if after == step {
        return Some(value);
    }
    let (before, earlier) = *points.get(next.checked_sub(1)?)?;
    let share = (step - before) as f64 / (after - before) as f64;
    Some((1.0 - share) * earlier + share * value)
}

#[cfg(test)]
mod tests {
    use lookahead_runs::{EpochRecord, Scores};

    use super::*;
    use crate::testing::{finished, language, report};

    #[test]
    fn the_score_is_drawn_whatever_it_is() {
        for (run, scores, name, title) in [
            (finished("sgd-s1", 80.0), Scores::of_images(80.0, 99.0), "top1.svg", "Validation accuracy (%)"),
            (language("sgd-s1", 90.0), Scores::of_language(4.5), "perplexity.svg", "Validation perplexity"),
        ] {
            let mut run = run;
            let record = EpochRecord {
                epoch: 1,
                step: 9,
                learning_rate: f64::NAN,
                train_loss: f64::NAN,
                valid_loss: f64::NAN,
                scores,
                ece: None,
                seconds: f64::NAN,
            };
            run.log.epochs.push(record);
            let all = figures(&report(vec![run]));
            assert_eq!(all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), [name]);
            assert!(all[0].1.contains(title), "{}", all[0].1);
        }
    }

    #[test]
    fn seeds_are_averaged_where_they_share_a_step() {
        let curve = |y: [f64; 2]| Curve { x: vec![10, 10], y: y.to_vec(), lo: vec![], hi: vec![] };
        let mean = mean_over_seeds([curve([1.0, 2.0]), curve([3.0, 2.0])].iter());
        assert_eq!(mean[0].0, 10.0);
        assert_eq!((mean[0].1.mean, mean[1].1.std), (2.0, Some(0.0)));
    }

    /// One seed logged every 10 steps, one every 15: where both have a curve, the mean is of both.
    #[test]
    fn seeds_of_other_steps_are_averaged_between_their_points() {
        let curve = |x: &[u64], y: &[f64]| Curve { x: x.to_vec(), y: y.to_vec(), lo: vec![], hi: vec![] };
        let (tens, fifteens) = (curve(&[10, 10, 10], &[1.0, 2.0, 3.0]), curve(&[15, 15], &[3.5, 5.0]));
        let mean: Vec<(f64, f64)> =
            mean_over_seeds([tens, fifteens].iter()).into_iter().map(|(step, of)| (step, of.mean)).collect();
        // At 15: 1.5 and 3.5. At 20: 2 and 4. At 30: 3 and 5.
        assert_eq!(mean, [(10.0, 1.0), (15.0, 2.5), (20.0, 3.0), (30.0, 4.0)]);
    }
}
