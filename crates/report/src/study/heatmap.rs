//! The score by two settings, as a grid of coloured cells.

use std::fmt::Write as _;

use lookahead_runs::Measure;

use super::{StudyRow, Trial};
use crate::escape::escaped;

/// Width and height of a cell, pixels.
const CELL: (f64, f64) = (74.0, 34.0);
/// Left and top margins, and height of the strip below with the title of x.
const MARGIN: (f64, f64, f64) = (92.0, 14.0, 44.0);

/// A grid over two keys with the best trial in each cell.
#[derive(Debug)]
pub(super) struct Heatmap<'a> {
    measure: Measure,
    x: (&'a str, Vec<f64>),
    y: (&'a str, Vec<f64>),
    /// The best trial of each cell, row by row.
    cells: Vec<Option<&'a Trial>>,
    /// The best trial that is the identity.
    identity: Option<&'a Trial>,
}

impl<'a> Heatmap<'a> {
    /// The map of `row` over the keys `x` and `y`; `None` if either has fewer than 2 or more than 12 values, which are
    /// no grid.
    pub(super) fn of(measure: Measure, row: &'a StudyRow, x: &'a str, y: &'a str) -> Option<Self> {
        const MOST: usize = 12;
        let values = |key: &str| {
            let mut values: Vec<f64> = row.trials.iter().filter_map(|trial| trial.number(key)).collect();
            values.sort_by(f64::total_cmp);
            values.dedup();
            Some(values).filter(|values| (2..=MOST).contains(&values.len()))
        };
        let (xs, ys) = (values(x)?, values(y)?);
        let best = |is_at: &dyn Fn(&Trial) -> bool| {
            row.trials.iter().filter(|trial| is_at(trial)).min_by(|a, b| measure.best_first(a.mean(), b.mean()))
        };
        let mut cells = Vec::new();
        for at_y in &ys {
            for at_x in &xs {
                cells.push(best(&|trial| trial.number(x) == Some(*at_x) && trial.number(y) == Some(*at_y)));
            }
        }
        let identity = best(&|trial| trial.is_identity);
        Some(Self { measure, x: (x, xs), y: (y, ys), cells, identity })
    }

    /// True if there is an identity to compare cells with.
    pub(super) fn has_identity(&self) -> bool {
        self.identity.is_some()
    }

    /// The map as an SVG document. A ring marks cells that are not distinguishable from the identity, also for lack of
    /// seeds.
    pub(super) fn to_svg(&self, title: &str) -> String {
        let (columns, rows) = (self.x.1.len(), self.y.1.len());
        let (width, height) = (MARGIN.0 + CELL.0 * columns as f64 + 14.0, MARGIN.1 + CELL.1 * rows as f64 + MARGIN.2);
        let gains = || self.cells.iter().flatten().map(|trial| self.measure.gain(trial.mean()));
        let gains = || gains().filter(|gain| gain.is_finite());
        let (low, high) = (gains().fold(f64::INFINITY, f64::min), gains().fold(f64::NEG_INFINITY, f64::max));
        // The best cell is the darkest; diverged cells are as pale as the worst.
        let share = |gain: f64| match gain.is_finite() {
            true if high > low => (gain - low) / (high - low),
            is_finite => f64::from(u8::from(is_finite)),
        };
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#222\">\n<title>{}</title>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
            escaped(title)
        );
        for (position, trial) in self.cells.iter().enumerate() {
            let (x, y) = (
                MARGIN.0 + CELL.0 * (position % columns) as f64,
                // The lowest value of y is at the bottom, as on any axis.
                MARGIN.1 + CELL.1 * (rows - 1 - position / columns) as f64,
            );
            let Some(trial) = trial else { continue };
            let mean = trial.mean();
            let share = share(self.measure.gain(mean));
            let ink = if share > 0.55 { "#fff" } else { "#222" };
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"{ink}\">{}</text>",
                CELL.0 - 2.0,
                CELL.1 - 2.0,
                colour(share),
                x + CELL.0 / 2.0 - 1.0,
                y + CELL.1 / 2.0 + 3.0,
                if mean.is_finite() { format!("{mean:.1}") } else { "\u{221e}".to_owned() },
            );
            if self.is_like_identity(trial) {
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"none\" stroke=\"{ink}\" stroke-width=\"1.4\"/>",
                    x + CELL.0 - 11.0,
                    y + 9.0
                );
            }
        }
        self.draw_ticks(&mut svg, height);
        svg.push_str("</svg>\n");
        svg
    }

    fn is_like_identity(&self, trial: &Trial) -> bool {
        let is_finite = |trial: &Trial| trial.mean().is_finite();
        // A diverged trial differs from one that did not, without any statistics.
        self.identity
            .filter(|identity| is_finite(identity) && is_finite(trial))
            .is_some_and(|identity| !trial.minus(identity).is_some_and(|found| found.is_distinguishable()))
    }

    fn draw_ticks(&self, svg: &mut String, height: f64) {
        let rows = self.y.1.len();
        for (position, value) in self.x.1.iter().enumerate() {
            let x = MARGIN.0 + CELL.0 * (position as f64 + 0.5) - 1.0;
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{value}</text>",
                height - MARGIN.2 + 16.0
            );
        }
        for (position, value) in self.y.1.iter().enumerate() {
            let y = MARGIN.1 + CELL.1 * ((rows - 1 - position) as f64 + 0.5) + 3.0;
            let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{value}</text>", MARGIN.0 - 8.0);
        }
        let middle = MARGIN.0 + CELL.0 * self.x.1.len() as f64 / 2.0;
        let _ = writeln!(
            svg,
            "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            height - 8.0,
            escaped(self.x.0)
        );
        let centre = MARGIN.1 + CELL.1 * rows as f64 / 2.0;
        let _ = writeln!(
            svg,
            "<text transform=\"translate(14 {centre:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            escaped(self.y.0)
        );
    }
}

/// A colour from near white (0) to dark blue (1).
fn colour(share: f64) -> String {
    let mix = |from: f64, to: f64| (from + (to - from) * share).round() as u8;
    format!("#{:02x}{:02x}{:02x}", mix(236.0, 10.0), mix(243.0, 74.0), mix(250.0, 134.0))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{of_language, study};
    use super::*;

    #[test]
    fn a_map_shows_the_best_trial_at_each_place_and_who_is_like_the_identity() {
        let study = study();
        let map = Heatmap::of(Measure::Top1, &study.rows[1], "slow_step_size", "sync_period").unwrap();
        let means: Vec<f64> = map.cells.iter().map(|cell| cell.unwrap().mean()).collect();
        assert_eq!(means, [67.75, 69.25, 68.25, 71.25]);
        // The identity is the best of step size 1: 71.25. The differences of 0.5 at period 5 to it are -2 and -5.
        assert_eq!(map.identity.unwrap().mean(), 71.25);
        assert!(map.is_like_identity(map.cells[0].unwrap()));
        let svg = map.to_svg("a & b");
        assert!(svg.contains("<title>a &amp; b</title>") && svg.matches("<rect").count() == 5, "{svg}");
    }

    /// The same trials in perplexity: the best at each place and the identity are the same ones, and the lowest is the
    /// darkest.
    #[test]
    fn a_map_of_perplexities_shows_the_lowest() {
        let mut study = of_language();
        let [darkest, palest] = [1.0, 0.0].map(colour);
        let svg = |study: &super::super::StudyReport| {
            let map = Heatmap::of(Measure::Perplexity, &study.rows[1], "slow_step_size", "sync_period").unwrap();
            (map.identity.unwrap().mean(), map.to_svg("map"))
        };
        let (identity, drawn) = svg(&study);
        assert_eq!(identity, 160.0 - 71.25);
        let cell = |svg: &str, colour: &str| svg.lines().find(|line| line.contains(colour)).unwrap().to_owned();
        assert!(cell(&drawn, &darkest).contains(">88.8<") && cell(&drawn, &palest).contains(">92.2<"), "{drawn}");
        study.rows[1].trials[0].scores[1].1 = f64::INFINITY;
        let (_, drawn) = svg(&study);
        assert!(cell(&drawn, "\u{221e}").contains(&palest) && !drawn.contains("NaN"), "{drawn}");
    }

    /// Step size 1 is not the identity if syncs reset the state or the step size falls: no cell has a ring.
    #[test]
    fn a_step_size_of_one_alone_is_no_identity() {
        let mut study = study();
        study.rows[1].trials.iter_mut().for_each(|trial| trial.is_identity = false);
        let map = Heatmap::of(Measure::Top1, &study.rows[1], "slow_step_size", "sync_period").unwrap();
        assert!(!map.has_identity() && !map.to_svg("map").contains("<circle"));
    }

    #[test]
    fn one_value_makes_no_map() {
        let study = study();
        assert!(Heatmap::of(Measure::Top1, &study.rows[0], "learning_rate", "sync_period").is_none());
    }
}
