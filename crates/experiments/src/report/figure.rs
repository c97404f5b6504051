//! Figures for papers, as SVG on white.
//!
//! SVG alone: TeX (through `svg` or Inkscape), Word and browsers take it and it stays sharp; a PNG would need a second
//! renderer here, and `rsvg-convert figure.svg -o figure.png` makes one of any size.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::experiment::Experiment;
use super::page::escaped;
use super::palette::Ink;
use super::run::Run;
use super::thin::Curve;
use crate::stats::Spread;

/// Width and height, in pixels of 1/96 inch.
const SIZE: (f64, f64) = (560.0, 340.0);
/// Left, top, right and bottom margins.
const MARGIN: (f64, f64, f64, f64) = (62.0, 16.0, 16.0, 46.0);
/// Points of a curve.
const BUCKETS: usize = 300;

type Values = fn(&Run) -> Vec<(u64, f64)>;

/// Name, title, whether the axis is logarithmic, and what is drawn.
const CHARTS: [(&str, &str, bool, Values); 5] = [
    ("train-loss", "Training loss (nats)", true, |run| run.log.steps.iter().map(|p| (p.step, p.train_loss)).collect()),
    ("valid-loss", "Validation loss (nats)", true, |run| {
        run.log.epochs.iter().map(|p| (p.step, p.valid_loss)).collect()
    }),
    ("top1", "Validation accuracy (%)", false, |run| run.log.epochs.iter().map(|p| (p.step, p.top1)).collect()),
    ("learning-rate", "Learning rate", false, |run| run.log.steps.iter().map(|p| (p.step, p.learning_rate)).collect()),
    ("momentum", "Momentum", false, |run| run.log.steps.iter().map(|p| (p.step, p.momentum)).collect()),
];

/// A row's mean over seeds at each step, with its spread.
struct Line {
    label: String,
    ink: Ink,
    points: Vec<(f64, Spread)>,
}

/// The figures of an experiment: file name and SVG text. A figure that no run has values for is left out.
pub fn figures(experiment: &Experiment) -> Vec<(String, String)> {
    let inks = Ink::of_rows(experiment.rows.iter().map(|row| (row.optimizer.as_str(), row.state.as_str())));
    let last_step = experiment.runs.iter().map(|run| run.log.last_step()).max().unwrap_or(0);
    let mut figures = Vec::new();
    for (name, title, logarithmic, values) in CHARTS {
        let lines: Vec<Line> = experiment
            .rows
            .iter()
            .zip(&inks)
            .map(|(row, ink)| {
                let curves =
                    row.runs.iter().filter_map(|&run| Curve::thin(&values(&experiment.runs[run]), last_step, BUCKETS));
                Line { label: row.label(), ink: *ink, points: mean_over_seeds(curves) }
            })
            .filter(|line| !line.points.is_empty())
            .collect();
        if !lines.is_empty() {
            figures.push((format!("{name}.svg"), draw(title, logarithmic, &lines)));
        }
    }
    figures
}

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

/// An axis: from value to pixel.
struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    from: f64,
    to: f64,
}

impl Axis {
    fn at(&self, value: f64) -> f64 {
        let flat = |value: f64| if self.logarithmic { value.max(self.low).log10() } else { value };
        let share = (flat(value) - flat(self.low)) / (flat(self.high) - flat(self.low));
        self.from + share * (self.to - self.from)
    }

    /// Round values within the axis, about `count` of them.
    fn ticks(&self, count: f64) -> Vec<f64> {
        if self.logarithmic {
            let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
            let of_decades = |steps: &[f64]| -> Vec<f64> {
                let all = decades.clone().flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
                all.filter(|tick| (self.low..=self.high).contains(tick)).collect()
            };
            let whole = of_decades(&[1.0]);
            return if whole.len() >= 3 { whole } else { of_decades(&[1.0, 2.0, 5.0]) };
        }
        let step = round_step((self.high - self.low) / count);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last).map(|index| index as f64 * step).collect()
    }
}

/// The next of 1, 2, 5, 10, ... times a power of ten.
fn round_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let factor =
        [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| rough <= factor * power * (1.0 + 1e-9)).unwrap_or(10.0);
    factor * power
}

fn axis_of(values: impl Iterator<Item = f64>, logarithmic: bool, from: f64, to: f64) -> Axis {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values.filter(|value| value.is_finite() && (!logarithmic || *value > 0.0)) {
        (low, high) = (low.min(value), high.max(value));
    }
    if low > high {
        (low, high) = (0.1, 1.0);
    }
    if low == high {
        (low, high) = if low == 0.0 { (-1.0, 1.0) } else { (low - 0.5 * low.abs(), high + 0.5 * high.abs()) };
    }
    if !logarithmic {
        let room = 0.04 * (high - low);
        (low, high) = (low - room, high + room);
    }
    Axis { low, high, logarithmic, from, to }
}

fn draw(title: &str, logarithmic: bool, lines: &[Line]) -> String {
    let (width, legend_rows) = (SIZE.0, lines.len().div_ceil(2));
    let (bottom, right) = (SIZE.1 - MARGIN.3, width - MARGIN.2);
    let height = SIZE.1 + 18.0 * legend_rows as f64;
    let spans = lines.iter().flat_map(|line| &line.points);
    let mut x = axis_of(spans.clone().map(|(step, _)| *step), false, MARGIN.0, right);
    x.low = 0.0;
    let ends = spans.flat_map(|(_, spread)| [spread.mean - spread.std, spread.mean + spread.std, spread.mean]);
    let y = axis_of(ends, logarithmic, bottom, MARGIN.1);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#222\">\n<title>{}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        escaped(title)
    );
    for tick in y.ticks(5.0) {
        let at = y.at(tick);
        let _ = writeln!(svg, "<path d=\"M{:.1} {at:.1}H{right:.1}\" stroke=\"#e4e4e4\"/>", MARGIN.0);
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            MARGIN.0 - 8.0,
            at + 4.0,
            tick_text(tick)
        );
    }
    for tick in x.ticks(6.0) {
        let at = x.at(tick);
        let _ = writeln!(svg, "<path d=\"M{at:.1} {bottom:.1}v5\" stroke=\"#222\"/>");
        let _ = writeln!(
            svg,
            "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 19.0,
            tick_text(tick)
        );
    }
    let _ = writeln!(svg, "<path d=\"M{:.1} {bottom:.1}H{right:.1}\" stroke=\"#222\"/>", MARGIN.0);
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">Step</text>",
        0.5 * (MARGIN.0 + right),
        bottom + 38.0
    );
    let middle = 0.5 * (bottom + MARGIN.1);
    let _ = writeln!(
        svg,
        "<text transform=\"translate(15 {middle:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        escaped(title)
    );
    for line in lines {
        draw_line(&mut svg, line, &x, &y);
    }
    for (position, line) in lines.iter().enumerate() {
        let left = MARGIN.0 + (position % 2) as f64 * 0.5 * (right - MARGIN.0);
        let top = SIZE.1 + 4.0 + 18.0 * (position / 2) as f64;
        let _ = writeln!(svg, "<path d=\"M{left:.1} {top:.1}h26\" {}/>", stroke(&line.ink));
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>", left + 34.0, top + 4.0, escaped(&line.label));
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw_line(svg: &mut String, line: &Line, x: &Axis, y: &Axis) {
    let at = |step: f64, value: f64| format!("{:.1} {:.1}", x.at(step), y.at(value));
    if line.points.iter().any(|(_, spread)| spread.std > 0.0) {
        let upper = line.points.iter().map(|(step, spread)| at(*step, spread.mean + spread.std));
        let lower = line.points.iter().rev().map(|(step, spread)| at(*step, spread.mean - spread.std));
        let outline = upper.chain(lower).collect::<Vec<_>>().join("L");
        let _ = writeln!(svg, "<path d=\"M{outline}Z\" fill=\"{}\" fill-opacity=\"0.16\"/>", line.ink.on_white);
    }
    let path = line.points.iter().map(|(step, spread)| at(*step, spread.mean)).collect::<Vec<_>>().join("L");
    let _ = writeln!(svg, "<path d=\"M{path}\" {}/>", stroke(&line.ink));
}

fn stroke(ink: &Ink) -> String {
    let width = if ink.strong { 2.0 } else { 1.5 };
    let dash = if ink.dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{}\"", ink.dash) };
    format!("fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"{dash}", ink.on_white)
}

/// A tick without needless digits: `20k`, `0.05`, `1e-5`.
fn tick_text(tick: f64) -> String {
    match tick.abs() {
        0.0 => "0".to_owned(),
        size if size >= 10_000.0 => format!("{}k", digits(tick / 1000.0)),
        size if size < 0.001 => format!("{tick:.0e}"),
        _ => digits(tick),
    }
}

fn digits(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.replacen('-', "\u{2212}", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_axis() {
        let axis = |low, high, logarithmic| Axis { low, high, logarithmic, from: 0.0, to: 1.0 };
        assert_eq!(axis(0.0, 20_000.0, false).ticks(6.0), [0.0, 5_000.0, 10_000.0, 15_000.0, 20_000.0]);
        assert_eq!(axis(-0.3, 1.1, false).ticks(5.0), [0.0, 0.5, 1.0]);
        let decades = axis(0.004, 3.0, true).ticks(5.0);
        assert_eq!(decades.iter().map(|tick| tick_text(*tick)).collect::<Vec<_>>(), ["0.01", "0.1", "1"]);
        assert_eq!(axis(0.4, 3.0, true).ticks(5.0).len(), 3);
    }

    #[test]
    fn a_logarithmic_axis_puts_decades_at_equal_distances() {
        let axis = Axis { low: 0.01, high: 1.0, logarithmic: true, from: 0.0, to: 100.0 };
        assert!((axis.at(0.1) - 50.0).abs() < 1e-9);
        assert_eq!(axis.at(-1.0), 0.0);
    }

    #[test]
    fn a_constant_or_empty_range_still_gives_an_axis() {
        for values in [vec![], vec![0.0], vec![0.9], vec![-2.0], vec![f64::NAN]] {
            let axis = axis_of(values.clone().into_iter(), false, 0.0, 1.0);
            assert!(axis.low < axis.high, "{values:?}");
        }
    }

    #[test]
    fn seeds_are_averaged_where_they_share_a_step() {
        let curve = |y: [f64; 2]| Curve { x: vec![10, 10], y: y.to_vec(), lo: vec![], hi: vec![] };
        let mean = mean_over_seeds([curve([1.0, 2.0]), curve([3.0, 2.0])].into_iter());
        assert_eq!(mean[0].0, 10.0);
        assert_eq!((mean[0].1.mean, mean[1].1.std), (2.0, 0.0));
    }

    #[test]
    fn tick_texts_are_short() {
        assert_eq!([0.0, 20_000.0, 0.05, -1.5, 1e-5].map(tick_text), ["0", "20k", "0.05", "\u{2212}1.5", "1e-5"]);
    }
}
