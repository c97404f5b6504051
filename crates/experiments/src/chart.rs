//! Line charts as SVG on white: figures for papers, and of the programs that end in one.

use std::fmt::Write as _;

use crate::report::escaped;
use crate::stats::Spread;

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stroke {
    /// An SVG colour.
    pub(crate) colour: &'static str,
    /// Pixels.
    pub(crate) width: f64,
    /// Dashes as SVG spells them; empty for a whole line.
    pub(crate) dash: &'static str,
}

/// A line: its name, its strokes, and its points from left to right, each with the spread of what it is the mean of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    /// The name in the legend.
    pub(crate) name: String,
    /// How it is drawn.
    pub(crate) stroke: Stroke,
    /// Points that are not finite, or not positive on a logarithmic axis, are left out.
    pub(crate) points: Vec<(f64, Spread)>,
}

/// A chart. An axis of x that is not logarithmic starts at zero: it counts steps or epochs.
#[derive(Debug, Clone)]
pub(crate) struct Chart {
    /// What it is about; not drawn, for readers of the file and of screens.
    pub(crate) title: String,
    /// Below it.
    pub(crate) x_title: &'static str,
    /// Beside it.
    pub(crate) y_title: &'static str,
    /// Whether x is drawn by its logarithm.
    pub(crate) x_is_logarithmic: bool,
    /// Whether y is drawn by its logarithm.
    pub(crate) y_is_logarithmic: bool,
    /// The lines; several get a legend.
    pub(crate) lines: Vec<Line>,
    /// An x to mark, with a word.
    pub(crate) mark: Option<(f64, String)>,
}

/// Width and height without the legend, in pixels of 1/96 inch.
const SIZE: (f64, f64) = (560.0, 340.0);
/// Left, top, right and bottom margins.
const MARGIN: (f64, f64, f64, f64) = (62.0, 16.0, 16.0, 46.0);
/// Height of a row of the legend.
const LEGEND_ROW: f64 = 18.0;
/// Where a name begins in its column of the legend, and about how wide a letter is.
const LEGEND_NAME: (f64, f64) = (34.0, 6.5);

impl Chart {
    /// The chart as an SVG document.
    pub(crate) fn to_svg(&self) -> String {
        let columns = self.legend_columns();
        let legend_rows = if self.lines.len() > 1 { self.lines.len().div_ceil(columns) } else { 0 };
        let (width, height) = (SIZE.0, SIZE.1 + LEGEND_ROW * legend_rows as f64);
        let (bottom, right) = (SIZE.1 - MARGIN.3, width - MARGIN.2);
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let mut x = Axis::of(points().map(|(x, _)| *x), self.x_is_logarithmic, 0.0, MARGIN.0, right);
        if !self.x_is_logarithmic {
            x.low = 0.0;
        }
        let ends = points().flat_map(|(_, y)| [y.mean, y.mean - y.std, y.mean + y.std]);
        let y = Axis::of(ends, self.y_is_logarithmic, 0.04, bottom, MARGIN.1);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#222\">\n<title>{}</title>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
            escaped(&self.title)
        );
        self.draw_axes(&mut svg, &x, &y);
        if let Some((at, word)) = &self.mark {
            let at = x.at(*at);
            // The word stands on the side where there is room for it.
            let (beside, anchor) = if at < 0.5 * (MARGIN.0 + right) { (at + 5.0, "start") } else { (at - 5.0, "end") };
            let _ = writeln!(
                svg,
                "<path d=\"M{at:.1} {bottom:.1}V{:.1}\" stroke=\"#888\" stroke-dasharray=\"4 4\"/>\n\
                 <text x=\"{beside:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\" fill=\"#555\">{}</text>",
                MARGIN.1,
                MARGIN.1 + 11.0,
                escaped(word)
            );
        }
        for line in &self.lines {
            line.draw(&mut svg, &x, &y);
        }
        for (position, line) in self.lines.iter().enumerate().filter(|_| legend_rows > 0) {
            let left = MARGIN.0 + (position % columns) as f64 * 0.5 * (right - MARGIN.0);
            let top = SIZE.1 + 4.0 + LEGEND_ROW * (position / columns) as f64;
            let _ = writeln!(svg, "<path d=\"M{left:.1} {top:.1}h26\" {}/>", line.stroke.attributes());
            let (left, top, name) = (left + LEGEND_NAME.0, top + 4.0, escaped(&line.name));
            let _ = writeln!(svg, "<text x=\"{left:.1}\" y=\"{top:.1}\">{name}</text>");
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// Two, if the longest name leaves room for its neighbour.
    fn legend_columns(&self) -> usize {
        let longest = self.lines.iter().map(|line| line.name.chars().count()).max().unwrap_or(0);
        let half = 0.5 * (SIZE.0 - MARGIN.0 - MARGIN.2);
        if LEGEND_NAME.0 + LEGEND_NAME.1 * longest as f64 <= half { 2 } else { 1 }
    }

    fn draw_axes(&self, svg: &mut String, x: &Axis, y: &Axis) {
        let (left, right, bottom) = (x.from, x.to, y.from);
        for tick in y.ticks(5.0) {
            let at = y.at(tick);
            let _ = writeln!(
                svg,
                "<path d=\"M{left:.1} {at:.1}H{right:.1}\" stroke=\"#e4e4e4\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 8.0,
                at + 4.0,
                tick_text(tick)
            );
        }
        for tick in x.ticks(6.0) {
            let at = x.at(tick);
            let _ = writeln!(
                svg,
                "<path d=\"M{at:.1} {bottom:.1}v5\" stroke=\"#222\"/>\n\
                 <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 19.0,
                tick_text(tick)
            );
        }
        let _ = writeln!(
            svg,
            "<path d=\"M{left:.1} {bottom:.1}H{right:.1}\" stroke=\"#222\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n\
             <text transform=\"translate(15 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            0.5 * (left + right),
            bottom + 38.0,
            escaped(self.x_title),
            0.5 * (bottom + y.to),
            escaped(self.y_title)
        );
    }
}

impl Line {
    fn draw(&self, svg: &mut String, x: &Axis, y: &Axis) {
        let points: Vec<&(f64, Spread)> = self.points.iter().filter(|p| x.has(p.0) && y.has(p.1.mean)).collect();
        if points.is_empty() {
            return;
        }
        let at = |across: f64, value: f64| format!("{:.1} {:.1}", x.at(across), y.at(value));
        if points.iter().any(|(_, spread)| spread.std > 0.0) {
            let upper = points.iter().map(|(across, spread)| at(*across, spread.mean + spread.std));
            let lower = points.iter().rev().map(|(across, spread)| at(*across, spread.mean - spread.std));
            let outline = upper.chain(lower).collect::<Vec<_>>().join("L");
            let _ = writeln!(svg, "<path d=\"M{outline}Z\" fill=\"{}\" fill-opacity=\"0.16\"/>", self.stroke.colour);
        }
        let path = points.iter().map(|(across, spread)| at(*across, spread.mean)).collect::<Vec<_>>().join("L");
        let _ = writeln!(svg, "<path d=\"M{path}\" {}/>", self.stroke.attributes());
    }
}

impl Stroke {
    fn attributes(&self) -> String {
        let Self { colour, width, dash } = self;
        let dash = if dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dash}\"") };
        format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"{dash}")
    }
}

/// An axis: from value to pixel.
struct Axis {
    low: f64,
    high: f64,
    is_logarithmic: bool,
    from: f64,
    to: f64,
}

impl Axis {
    /// Over `values`, with `room` at both ends as a share of their range where it is not logarithmic.
    fn of(values: impl Iterator<Item = f64>, is_logarithmic: bool, room: f64, from: f64, to: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite() && (!is_logarithmic || *value > 0.0)) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (0.1, 1.0);
        }
        if low == high {
            (low, high) = if low == 0.0 { (-1.0, 1.0) } else { (low - 0.5 * low.abs(), high + 0.5 * high.abs()) };
        }
        if !is_logarithmic {
            let room = room * (high - low);
            (low, high) = (low - room, high + room);
        }
        Self { low, high, is_logarithmic, from, to }
    }

    fn has(&self, value: f64) -> bool {
        value.is_finite() && (!self.is_logarithmic || value > 0.0)
    }

    fn at(&self, value: f64) -> f64 {
        let flat = |value: f64| if self.is_logarithmic { value.max(self.low).log10() } else { value };
        let share = (flat(value) - flat(self.low)) / (flat(self.high) - flat(self.low));
        self.from + share * (self.to - self.from)
    }

    /// Round values within the axis, about `count` of them.
    fn ticks(&self, count: f64) -> Vec<f64> {
        if self.is_logarithmic {
            let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
            let within = |tick: &f64| *tick >= self.low * (1.0 - 1e-9) && *tick <= self.high * (1.0 + 1e-9);
            let of_decades = |steps: &[f64]| -> Vec<f64> {
                let all = decades.clone().flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
                all.filter(within).collect()
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

/// A tick without needless digits: `20k`, `0.05`, `1e-5`.
fn tick_text(tick: f64) -> String {
    match tick.abs() {
        0.0 => "0".to_owned(),
        size if size >= 10_000.0 => format!("{}k", digits(tick / 1000.0)),
        size if size < 0.000_999 => format!("{tick:.0e}"),
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

    fn chart(points: &[(f64, f64)]) -> String {
        let line = Line {
            name: "a < b".into(),
            stroke: Stroke { colour: "#000", width: 2.0, dash: "" },
            points: points.iter().map(|&(x, mean)| (x, Spread { mean, std: 0.0 })).collect(),
        };
        Chart {
            title: "a < b".into(),
            x_title: "x",
            y_title: "y",
            x_is_logarithmic: false,
            y_is_logarithmic: false,
            lines: vec![line],
            mark: Some((1.0, "<here>".into())),
        }
        .to_svg()
    }

    /// Left and right ends are the margins; 4 % of the range are left free below and above.
    #[test]
    fn the_data_fill_the_plot() {
        let svg = chart(&[(0.0, 0.0), (1.0, 1.0)]);
        let [bottom, top] = [0.04 / 1.08, 1.04 / 1.08].map(|share| 294.0 - share * 278.0);
        assert!(svg.contains(&format!("M62.0 {bottom:.1}L544.0 {top:.1}")), "{svg}");
        assert!(svg.contains("<title>a &lt; b</title>") && svg.contains("&lt;here&gt;"));
        assert_eq!(svg.matches("stroke-linejoin").count(), 1, "one line needs no legend");
    }

    #[test]
    fn points_that_are_not_finite_and_empty_or_constant_data_do_no_harm() {
        for points in [&[][..], &[(1.0, 1.0)], &[(0.0, f64::NAN), (1.0, 2.0)], &[(f64::INFINITY, 1.0)]] {
            let svg = chart(points);
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn ticks_are_round_and_within_the_axis() {
        let axis = |low, high, is_logarithmic| Axis { low, high, is_logarithmic, from: 0.0, to: 1.0 };
        assert_eq!(axis(0.0, 20_000.0, false).ticks(6.0), [0.0, 5_000.0, 10_000.0, 15_000.0, 20_000.0]);
        assert_eq!(axis(-0.3, 1.1, false).ticks(5.0), [0.0, 0.5, 1.0]);
        let texts = |axis: Axis| axis.ticks(5.0).into_iter().map(tick_text).collect::<Vec<_>>();
        assert_eq!(texts(axis(0.004, 3.0, true)), ["0.01", "0.1", "1"]);
        assert_eq!(texts(axis(1e-5, 10.0, true)), ["1e-5", "1e-4", "0.001", "0.01", "0.1", "1", "10"]);
        assert_eq!(axis(0.4, 3.0, true).ticks(5.0).len(), 3);
    }

    #[test]
    fn a_logarithmic_axis_puts_decades_at_equal_distances() {
        let axis = Axis { low: 0.01, high: 1.0, is_logarithmic: true, from: 0.0, to: 100.0 };
        assert!((axis.at(0.1) - 50.0).abs() < 1e-9);
        assert_eq!(axis.at(-1.0), 0.0);
    }

    #[test]
    fn tick_texts_are_short() {
        assert_eq!([0.0, 20_000.0, 0.05, -1.5, 1e-5].map(tick_text), ["0", "20k", "0.05", "\u{2212}1.5", "1e-5"]);
    }
}
