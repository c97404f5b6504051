//! Line charts as SVG on white, for papers and for programs that draw a chart.
//!
//! ```
//! use lookahead_report::chart::{Chart, Line, Stroke};
//! use lookahead_runs::Spread;
//!
//! let points = [(1e-3, 2.3), (1e-2, 1.1), (1e-1, 0.4)].map(|(rate, mean)| (rate, Spread { mean, std: None }));
//! let stroke = Stroke { colour: "#0a4a86", width: 2.0, dash: "" };
//! let chart = Chart {
//!     title: "Loss by learning rate".into(),
//!     x_title: "Learning rate",
//!     y_title: "Loss (nats)",
//!     x_is_logarithmic: true,
//!     y_is_logarithmic: false,
//!     y_range: Some((0.0, f64::INFINITY)),
//!     lines: vec![Line { name: "SGD".into(), stroke, points: points.to_vec() }],
//!     mark: Some((1e-1, "chosen".into())),
//! };
//! assert!(chart.to_svg().starts_with("<svg "));
//! ```

mod axis;

use std::fmt::Write as _;

use lookahead_runs::Spread;
use unicode_width::UnicodeWidthStr as _;

use crate::escape::escaped;
use axis::{Axis, tick_text};

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stroke {
    /// An SVG colour.
    pub colour: &'static str,
    /// Width in pixels.
    pub width: f64,
    /// SVG dash pattern; empty for a solid line.
    pub dash: &'static str,
}

/// A line: name, stroke, and points from left to right.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The name in the legend.
    pub name: String,
    /// How the line is drawn.
    pub stroke: Stroke,
    /// (x, mean and standard deviation of y), in ascending order of x. Points that are not finite, or not positive on a
    /// logarithmic axis, are left out.
    pub points: Vec<(f64, Spread)>,
}

/// A line chart. A linear x axis starts at zero, since it counts steps or epochs.
#[derive(Debug, Clone)]
pub struct Chart {
    /// Title of the SVG document, for screen readers; not drawn.
    pub title: String,
    /// Title of the x axis.
    pub x_title: &'static str,
    /// Title of the y axis.
    pub y_title: &'static str,
    /// True for a logarithmic x axis.
    pub x_is_logarithmic: bool,
    /// True for a logarithmic y axis.
    pub y_is_logarithmic: bool,
    /// Lowest and highest possible y; neither the axis nor a band goes beyond them. `None` for no limits.
    pub y_range: Option<(f64, f64)>,
    /// The lines; two or more get a legend.
    pub lines: Vec<Line>,
    /// An x value to mark with a vertical line, and its label.
    pub mark: Option<(f64, String)>,
}

/// Width and height without the legend, in pixels of 1/96 inch.
const SIZE: (f64, f64) = (560.0, 340.0);
/// Left, top, right and bottom margins.
const MARGIN: (f64, f64, f64, f64) = (62.0, 16.0, 16.0, 46.0);
/// Height of a row of the legend.
const LEGEND_ROW: f64 = 18.0;
/// Left end of a name in its column of the legend, and approximate width of a letter.
const LEGEND_NAME: (f64, f64) = (34.0, 6.5);

impl Chart {
    /// The chart as an SVG document.
    pub fn to_svg(&self) -> String {
        let columns = self.legend_columns();
        let legend_rows = if self.lines.len() > 1 { self.lines.len().div_ceil(columns) } else { 0 };
        let (width, height) = (SIZE.0, SIZE.1 + LEGEND_ROW * legend_rows as f64);
        let (bottom, right) = (SIZE.1 - MARGIN.3, width - MARGIN.2);
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let mut x = Axis::of(points().map(|(x, _)| *x), self.x_is_logarithmic, 0.0, MARGIN.0, right);
        if !self.x_is_logarithmic {
            x.low = 0.0;
        }
        let limits = self.y_range.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
        let ends = points().flat_map(|(_, y)| {
            let (low, high) = band(y, limits);
            [y.mean, low, high]
        });
        let mut y = Axis::of(ends, self.y_is_logarithmic, 0.04, bottom, MARGIN.1);
        y.stay_within(limits);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#222\">\n<title>{}</title>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
            escaped(&self.title)
        );
        self.draw_axes(&mut svg, &x, &y);
        if let Some((at, word)) = &self.mark {
            let at = x.at(*at);
            // The label is on the side with more room.
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
            line.draw(&mut svg, &x, &y, limits);
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

    /// Two columns if the longest name fits into half of the width, else one.
    fn legend_columns(&self) -> usize {
        let longest = self.lines.iter().map(|line| line.name.width()).max().unwrap_or(0);
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

/// The ends of the band around a point, within `limits`; both are the mean if the standard deviation is unknown.
fn band(spread: &Spread, limits: (f64, f64)) -> (f64, f64) {
    let Spread { mean, std } = *spread;
    let half = std.unwrap_or(0.0);
    ((mean - half).max(limits.0).min(mean), (mean + half).min(limits.1).max(mean))
}

impl Line {
    fn draw(&self, svg: &mut String, x: &Axis, y: &Axis, limits: (f64, f64)) {
        let points: Vec<&(f64, Spread)> = self.points.iter().filter(|p| x.has(p.0) && y.has(p.1.mean)).collect();
        if points.is_empty() {
            return;
        }
        let at = |across: f64, value: f64| format!("{:.1} {:.1}", x.at(across), y.at(value));
        if let [(across, spread)] = points[..] {
            // A path of one point would be invisible.
            let (x, y, colour) = (x.at(*across), y.at(spread.mean), self.stroke.colour);
            let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
            return;
        }
        if points.iter().any(|(_, spread)| spread.std.is_some_and(|std| std > 0.0)) {
            let upper = points.iter().map(|(across, spread)| at(*across, band(spread, limits).1));
            let lower = points.iter().rev().map(|(across, spread)| at(*across, band(spread, limits).0));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, points: &[(f64, f64)]) -> Chart {
        let line = Line {
            name: name.to_owned(),
            stroke: Stroke { colour: "#000", width: 2.0, dash: "" },
            points: points.iter().map(|&(x, mean)| (x, Spread { mean, std: None })).collect(),
        };
        Chart {
            title: "a < b".into(),
            x_title: "x",
            y_title: "y",
            x_is_logarithmic: false,
            y_is_logarithmic: false,
            y_range: None,
            lines: vec![line],
            mark: Some((1.0, "<here>".into())),
        }
    }

    fn chart(points: &[(f64, f64)]) -> String {
        of("a < b", points).to_svg()
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

    /// Means of 99 and 1.5 whose bands of 3 would reach 102 and -1.5.
    #[test]
    fn bands_and_axis_stay_within_what_y_can_be() {
        let limits = |mean, limits| band(&Spread { mean, std: Some(3.0) }, limits);
        assert_eq!(limits(99.0, (0.0, 100.0)), (96.0, 100.0));
        assert_eq!(limits(1.5, (1.0, f64::INFINITY)), (1.0, 4.5));
        assert_eq!(limits(1.5, (f64::NEG_INFINITY, f64::INFINITY)), (-1.5, 4.5));
        let mut axis = Axis::of([98.0, 100.0].into_iter(), false, 0.04, 0.0, 100.0);
        axis.stay_within((0.0, 100.0));
        assert_eq!(axis.at(100.0), 100.0);
    }

    /// Half of the width has room for 31 letters: for 15 characters of two columns each, and not for 16.
    #[test]
    fn wide_names_have_a_column_of_the_legend_each() {
        let columns = |letters| of(&"\u{6162}".repeat(letters), &[]).legend_columns();
        assert_eq!([columns(15), columns(16)], [2, 1]);
    }

    #[test]
    fn one_point_is_drawn() {
        let svg = chart(&[(1.0, 2.0)]);
        assert!(svg.contains("<circle cx=\"383.3\"") && !svg.contains("stroke-linejoin"), "{svg}");
    }
}
