//! A study's figures.

use lookahead_runs::{Spread, TaskKind, expected_best};

use super::heatmap::Heatmap;
use super::{RATE, StudyReport, StudyRow};
use crate::chart::{Chart, Line, Stroke};
use crate::words::noun;

/// A figure: what it shows, and its SVG.
pub(super) struct Figure {
    pub(super) title: String,
    pub(super) about: String,
    pub(super) svg: String,
}

/// Colours of rows, near Okabe and Ito's, and dashes for those after.
const COLOURS: [&str; 6] = ["#4394d8", "#0a4a86", "#e0762c", "#a02f06", "#2f9e76", "#7b52b9"];
const DASHES: [&str; 3] = ["", "7 3", "2 2.5"];

/// Every figure that the study has the numbers for.
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

/// What a budget of so many trials is worth.
fn budget(study: &StudyReport) -> Figure {
    let measure = study.task.score();
    let line = |(position, row): (usize, &StudyRow)| {
        let gains: Vec<f64> = row.trials.iter().map(|trial| measure.gain(trial.mean())).collect();
        let best = expected_best(&gains).into_iter().map(|best| alone(measure.gain(best)));
        let points = best.enumerate().map(|(trials, best)| ((trials + 1) as f64, best)).collect();
        Line { name: row.title.clone(), stroke: stroke(position), points }
    };
    let title = "Best of so many trials".to_owned();
    let (y_title, of_diverged) = match study.task {
        TaskKind::Images => ("Expected best accuracy, held-out images (%)", "diverged trials count as 0"),
        TaskKind::Language => (
            "Expected best perplexity, held-out tokens",
            "diverged trials count as infinite, so a budget that may hold nothing else has no point",
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
        "The best held-out {} that so many trials give on average, drawn from those that were made; {of_diverged}.",
        noun(study.task)
    );
    Figure { title, about, svg: chart.to_svg() }
}

/// The loss over the learning rate as a multiple of the best one: how far off a rate may be.
fn basins(study: &StudyReport) -> Option<Figure> {
    let line = |(position, row): (usize, &StudyRow)| {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for trial in row.trials.iter().filter(|trial| trial.loss.is_finite()) {
            let Some(rate) = trial.number(RATE) else { continue };
            // The best of the trials that share a rate.
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
    let title = "Loss over the learning rate, shifted to the best".to_owned();
    let chart = Chart {
        title: title.clone(),
        x_title: "Learning rate / the row's best",
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
    let about = "The flatter and wider a curve, the less its row minds a learning rate that is off; at each rate the best trial. Diverged trials are not drawn.";
    Some(Figure { title, about: about.to_owned(), svg: chart.to_svg() })
}

fn heatmap(task: TaskKind, row: &StudyRow, x: &str, y: &str) -> Option<Figure> {
    let map = Heatmap::of(task.score(), row, x, y)?;
    let title = format!("{}: {x} and {y}", row.title);
    let in_percent = if task.score().unit().is_empty() { "" } else { " in percent" };
    let mut about = format!("Held-out {}{in_percent}, at each place the best of the trials there.", noun(task));
    if map.has_identity() {
        about += " A ring: not to be told from the identity (step size 1), or too few seeds to tell.";
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
            "Best of so many trials",
            "Loss over the learning rate, shifted to the best",
            "Lookahead/<SGD>: slow_step_size and sync_period",
        ];
        assert_eq!(titles, wanted);
        assert!(all.iter().all(|figure| figure.svg.starts_with("<svg ")));
        assert!(all[0].about.ends_with("diverged trials count as 0."), "{}", all[0].about);
        assert_eq!(
            all[2].about.split('.').next(),
            Some("Held-out accuracy in percent, at each place the best of the trials there")
        );
    }

    /// SGD tried 99.75, 89.75 and a setting that diverged. One trial may be the diverged one; of two the best is 89.75, 89.75 or 99.75,
    /// and of three it is 89.75.
    #[test]
    fn the_best_of_perplexities_is_the_lowest() {
        let figure = budget(&of_language());
        assert!(figure.svg.contains("Expected best perplexity") && !figure.svg.contains("inf"), "{}", figure.svg);
        assert!(figure.about.starts_with("The best held-out perplexity") && figure.about.contains("infinite"));
        let path = figure.svg.lines().find(|line| line.contains(COLOURS[0])).unwrap().split('"').nth(1).unwrap();
        let heights: Vec<f64> =
            path.split('L').map(|point| point.split(' ').nth(1).unwrap().parse().unwrap()).collect();
        assert_eq!(heights.len(), 2, "one trial has no point: {path}");
        assert!(heights[0] < heights[1], "a larger budget finds a lower perplexity, which is further down: {path}");
        let maps = figures(&of_language());
        assert!(maps[2].about.starts_with("Held-out perplexity, at each place"), "{}", maps[2].about);
    }
}
