//! The figures of a study.

use lookahead_runs::{Spread, TaskKind, expected_best};

use super::heatmap::Heatmap;
use super::{RATE, StudyReport, StudyRow};
use crate::chart::{Chart, Line, Stroke};
use crate::words::noun;

/// A figure: title, caption and SVG.
pub(super) struct Figure {
    pub(super) title: String,
    pub(super) about: String,
    pub(super) svg: String,
}

/// Colours of the rows, close to those of Okabe and Ito; after six rows, the next dash.
const COLOURS: [&str; 6] = ["#4394d8", "#0a4a86", "#e0762c", "#a02f06", "#2f9e76", "#7b52b9"];
const DASHES: [&str; 3] = ["", "7 3", "2 2.5"];

/// All figures that the study has values for.
pub(super) fn figures(study: &StudyReport) -> Vec<Figure> {
    let mut all = vec![budget(study)];
    all.extend(basins(study));
    for row in &study.rows {
        for (x, y) in [("slow_step_size", "sync_period"), ("slow_step_size", RATE), ("sync_period", RATE)] {
            all.extend(heatmap(study.task, row, x, y));
        }
    }
    all
}

fn stroke(row: usize) -> Stroke {
    let dash = DASHES[row / COLOURS.len() % DASHES.len()];
    Stroke { colour: COLOURS[row % COLOURS.len()], width: 2.0, dash }
}

fn alone(mean: f64) -> Spread {
    Spread { mean, std: None }
}

/// The expected best score by number of trials.
fn budget(study: &StudyReport) -> Figure {
    let measure = study.task.score();
    let line = |(position, row): (usize, &StudyRow)| {
        let gains: Vec<f64> = row.trials.iter().map(|trial| measure.gain(trial.mean())).collect();
        let best = expected_best(&gains).into_iter().map(|best| alone(measure.gain(best)));
        let points = best.enumerate().map(|(trials, best)| ((trials + 1) as f64, best)).collect();
        Line { name: row.title.clone(), stroke: stroke(position), points }
    };
    let title = "Expected best by number of trials".to_owned();
    let (y_title, of_diverged) = match study.task {
        TaskKind::Images => ("Expected best accuracy, held-out images (%)", "diverged trials count as 0"),
        TaskKind::Language => (
            "Expected best perplexity, held-out tokens",
            "diverged trials count as infinite, so numbers of trials that may all diverge have no point",
        ),
    };
    let chart = Chart {
        title: title.clone(),
        x_title: "Trials",
        y_title,
        x_is_logarithmic: false,
        y_is_logarithmic: false,
        y_range: Some(measure.range()),
        lines: study.rows.iter().enumerate().map(line).collect(),
        mark: None,
    };
    let about = format!(
        "The expected best held-out {} of a given number of trials, drawn at random from those made; {of_diverged}.",
        noun(study.task)
    );
    Figure { title, about, svg: chart.to_svg() }
}

/// The loss over the learning rate, relative to the best rate: how sensitive a row is to its rate.
fn basins(study: &StudyReport) -> Option<Figure> {
    let line = |(position, row): (usize, &StudyRow)| {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for trial in row.trials.iter().filter(|trial| trial.loss.is_finite()) {
            let Some(rate) = trial.number(RATE) else { continue };
            // The best of the trials with the same rate.
            match points.iter_mut().find(|(other, _)| *other == rate) {
                Some((_, loss)) => *loss = loss.min(trial.loss),
                None => points.push((rate, trial.loss)),
            }
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let best = points.iter().min_by(|a, b| a.1.total_cmp(&b.1))?.0;
        let points: Vec<(f64, Spread)> = points.iter().map(|(rate, loss)| (rate / best, alone(*loss))).collect();
        (points.len() > 1).then(|| Line { name: row.title.clone(), stroke: stroke(position), points })
    };
    let lines: Vec<Line> = study.rows.iter().enumerate().filter_map(line).collect();
    if lines.is_empty() {
        return None;
    }
    let title = "Loss by learning rate, relative to the best rate".to_owned();
    let chart = Chart {
        title: title.clone(),
        x_title: "Learning rate / the row's best rate",
        y_title: match study.task {
            TaskKind::Images => "Loss, held-out images (nats)",
            TaskKind::Language => "Loss, held-out tokens (nats)",
        },
        x_is_logarithmic: true,
        y_is_logarithmic: false,
        y_range: None,
        lines,
        mark: Some((1.0, "best".to_owned())),
    };
    let about = "The flatter and wider a curve, the less sensitive its row is to the learning rate. Each point is the best trial at its rate; diverged trials are not drawn.";
    Some(Figure { title, about: about.to_owned(), svg: chart.to_svg() })
}

fn heatmap(task: TaskKind, row: &StudyRow, x: &str, y: &str) -> Option<Figure> {
    let map = Heatmap::of(task.score(), row, x, y)?;
    let title = format!("{}: {x} and {y}", row.title);
    let in_percent = if task.score().unit().is_empty() { "" } else { " in percent" };
    let mut about = format!("Held-out {}{in_percent}; each cell shows its best trial.", noun(task));
    if map.has_identity() {
        about +=
            " A ring marks cells that are not distinguishable from the identity (step size 1) or have too few seeds.";
    }
    Some(Figure { about, svg: map.to_svg(&title), title })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{of_language, study};
    use super::*;

    #[test]
    fn a_study_has_the_figures_its_axes_allow() {
        let all = figures(&study());
        let titles: Vec<&str> = all.iter().map(|figure| figure.title.as_str()).collect();
        let wanted = [
            "Expected best by number of trials",
            "Loss by learning rate, relative to the best rate",
            "Lookahead/<SGD>: slow_step_size and sync_period",
        ];
        assert_eq!(titles, wanted);
        assert!(all.iter().all(|figure| figure.svg.starts_with("<svg ")));
        assert!(all[0].about.ends_with("diverged trials count as 0."), "{}", all[0].about);
        assert_eq!(
            all[2].about.split('.').next(),
            Some("Held-out accuracy in percent; each cell shows its best trial")
        );
    }

    /// SGD tried 99.75, 89.75 and a setting that diverged. One trial may be the diverged one; of two the best is 89.75,
    /// 89.75 or 99.75, and of three it is 89.75.
    #[test]
    fn the_best_of_perplexities_is_the_lowest() {
        let figure = budget(&of_language());
        assert!(figure.svg.contains("Expected best perplexity") && !figure.svg.contains("inf"), "{}", figure.svg);
        assert!(figure.about.starts_with("The expected best held-out perplexity") && figure.about.contains("infinite"));
        let path = figure.svg.lines().find(|line| line.contains(COLOURS[0])).unwrap().split('"').nth(1).unwrap();
        let heights: Vec<f64> =
            path.split('L').map(|point| point.split(' ').nth(1).unwrap().parse().unwrap()).collect();
        assert_eq!(heights.len(), 2, "one trial has no point: {path}");
        assert!(heights[0] < heights[1], "a larger budget finds a lower perplexity, which is further down: {path}");
        let maps = figures(&of_language());
        assert!(maps[2].about.starts_with("Held-out perplexity; each cell"), "{}", maps[2].about);
    }
}
