//! Line charts as SVG, for the programs that end in a figure.

use std::fmt::Write as _;

/// A line: its name and its points.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    /// The name in the legend.
    pub(crate) name: String,
    /// (x, y); points that are not finite interrupt the line.
    pub(crate) points: Vec<(f64, f64)>,
}

/// A chart of lines.
#[derive(Debug, Clone)]
pub(crate) struct Chart {
    /// Above the chart.
    pub(crate) title: String,
    /// Below it.
    pub(crate) x_label: String,
    /// Beside it.
    pub(crate) y_label: String,
    /// Whether x is drawn by its logarithm.
    pub(crate) x_is_logarithmic: bool,
    /// The lines.
    pub(crate) lines: Vec<Line>,
    /// An x to mark, with a word.
    pub(crate) mark: Option<(f64, String)>,
}

const SIZE: (f64, f64) = (720.0, 420.0);
const LEFT: f64 = 70.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
/// Okabe and Ito's colours, which people with any colour vision tell apart.
const COLOURS: [&str; 7] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"];

impl Chart {
    /// The chart as an SVG document.
    pub(crate) fn to_svg(&self) -> String {
        let across = |x: f64| if self.x_is_logarithmic { x.log10() } else { x };
        let finite =
            || self.lines.iter().flat_map(|line| &line.points).filter(|(x, y)| across(*x).is_finite() && y.is_finite());
        let (x_low, x_high) = range(finite().map(|(x, _)| across(*x)));
        let (y_low, y_high) = range(finite().map(|(_, y)| *y));
        let place = |x: f64, y: f64| {
            let right = (across(x) - x_low) / (x_high - x_low) * (SIZE.0 - LEFT - RIGHT);
            let up = (y - y_low) / (y_high - y_low) * (SIZE.1 - TOP - BOTTOM);
            (LEFT + right, SIZE.1 - BOTTOM - up)
        };
        let (width, height) = SIZE;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n\
             <text x=\"{LEFT}\" y=\"24\" font-size=\"16\">{}</text>\n",
            escaped(&self.title)
        );
        self.axes(&mut svg, (x_low, x_high), (y_low, y_high));
        for (index, line) in self.lines.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            for part in
                line.points.split(|(x, y)| !(across(*x).is_finite() && y.is_finite())).filter(|part| !part.is_empty())
            {
                let points: Vec<String> =
                    part.iter().map(|&(x, y)| place(x, y)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
                let _ = writeln!(
                    svg,
                    "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>",
                    points.join(" ")
                );
            }
            let y = TOP + 18.0 * (index as f64 + 0.5);
            let x = width - RIGHT + 12.0;
            let _ = writeln!(
                svg,
                "<line x1=\"{x}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"3\"/>\
                 <text x=\"{}\" y=\"{}\">{}</text>",
                x + 18.0,
                x + 24.0,
                y + 4.0,
                escaped(&line.name)
            );
        }
        if let Some((x, word)) = &self.mark {
            let (x, _) = place(*x, y_low);
            let _ = writeln!(
                svg,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{}\" stroke=\"#888\" stroke-dasharray=\"4 4\"/>\
                 <text x=\"{:.1}\" y=\"{}\" fill=\"#555\">{}</text>",
                height - BOTTOM,
                x + 4.0,
                TOP + 12.0,
                escaped(word)
            );
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn axes(&self, svg: &mut String, (x_low, x_high): (f64, f64), (y_low, y_high): (f64, f64)) {
        let (width, height) = SIZE;
        let (bottom, right) = (height - BOTTOM, width - RIGHT);
        for tick in 0..=5 {
            let share = f64::from(tick) / 5.0;
            let x = LEFT + share * (right - LEFT);
            let value = x_low + share * (x_high - x_low);
            let text = if self.x_is_logarithmic { format!("{:.1e}", 10f64.powf(value)) } else { short(value) };
            let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>", bottom + 18.0);
            let y = bottom - share * (bottom - TOP);
            let value = short(y_low + share * (y_high - y_low));
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
             <text x=\"16\" y=\"{}\" text-anchor=\"middle\" transform=\"rotate(-90 16 {})\">{}</text>",
            0.5 * (LEFT + right),
            height - 10.0,
            escaped(&self.x_label),
            0.5 * (TOP + bottom),
            0.5 * (TOP + bottom),
            escaped(&self.y_label)
        );
    }
}

fn short(value: f64) -> String {
    let digits = if value.abs() >= 100.0 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$}")
}

/// Lowest and highest, apart even where all are equal or there are none.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    match low <= high {
        true if low < high => (low, high),
        true => (low - 0.5, high + 0.5),
        false => (0.0, 1.0),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> String {
        Chart {
            title: "a < b".into(),
            x_label: "x".into(),
            y_label: "y".into(),
            x_is_logarithmic: false,
            lines: vec![Line { name: "line".into(), points }],
            mark: None,
        }
        .to_svg()
    }

    #[test]
    fn corners_of_the_data_are_corners_of_the_plot() {
        let svg = chart(vec![(0.0, 0.0), (1.0, 2.0)]);
        assert!(svg.contains("points=\"70.0,370.0 530.0,40.0\""), "{svg}");
        assert!(svg.contains("a &lt; b"));
    }

    #[test]
    fn points_that_are_not_finite_interrupt_the_line() {
        let svg = chart(vec![(0.0, 0.0), (1.0, f64::NAN), (2.0, 1.0)]);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(!svg.contains("NaN"), "{svg}");
    }

    #[test]
    fn empty_and_constant_data_are_drawn_too() {
        assert!(!chart(vec![]).contains("NaN"));
        assert!(!chart(vec![(1.0, 1.0)]).contains("NaN"));
    }
}
