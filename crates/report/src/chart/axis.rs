//! Axes of a chart: mapping from values to pixels, and round ticks.

/// An axis: maps values to pixels.
pub(super) struct Axis {
    pub(super) low: f64,
    high: f64,
    is_logarithmic: bool,
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Axis {
    /// An axis over `values`. A linear axis has `room` at both ends, as a fraction of the range of values.
    pub(super) fn of(values: impl Iterator<Item = f64>, is_logarithmic: bool, room: f64, from: f64, to: f64) -> Self {
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

    /// Shortens the axis to `limits`.
    pub(super) fn stay_within(&mut self, limits: (f64, f64)) {
        let (low, high) = (self.low.max(limits.0), self.high.min(limits.1));
        if low < high {
            (self.low, self.high) = (low, high);
        }
    }

    pub(super) fn has(&self, value: f64) -> bool {
        value.is_finite() && (!self.is_logarithmic || value > 0.0)
    }

    pub(super) fn at(&self, value: f64) -> f64 {
        let flat = |value: f64| if self.is_logarithmic { value.max(self.low).log10() } else { value };
        let share = (flat(value) - flat(self.low)) / (flat(self.high) - flat(self.low));
        self.from + share * (self.to - self.from)
    }

    /// About `count` round values on the axis; on a logarithmic axis, at most six decades, else 1, 2, 5 steps, or the
    /// ticks of a linear axis if there are fewer than three of those.
    pub(super) fn ticks(&self, count: f64) -> Vec<f64> {
        if self.is_logarithmic {
            let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
            let within = |tick: &f64| *tick >= self.low * (1.0 - 1e-9) && *tick <= self.high * (1.0 + 1e-9);
            let of_decades = |steps: &[f64]| -> Vec<f64> {
                let all = decades.clone().flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
                all.filter(within).collect()
            };
            let whole = of_decades(&[1.0]);
            if whole.len() >= 3 {
                let every = whole.len().div_ceil(MOST_DECADES);
                return whole.into_iter().step_by(every).collect();
            }
            let fine = of_decades(&[1.0, 2.0, 5.0]);
            if fine.len() >= 3 {
                return fine;
            }
        }
        let step = round_step((self.high - self.low) / count);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last).map(|index| index as f64 * step).collect()
    }
}

/// Maximum number of decades with a tick: labels of more would overlap.
const MOST_DECADES: usize = 6;

/// The next value of the form 1, 2 or 5 times a power of ten.
fn round_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let factor =
        [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| rough <= factor * power * (1.0 + 1e-9)).unwrap_or(10.0);
    factor * power
}

/// A tick label without unnecessary digits: `20k`, `0.05`, `1e-5`, `1.5e6`.
pub(super) fn tick_text(tick: f64) -> String {
    let text = match tick.abs() {
        0.0 => "0".to_owned(),
        size if !(0.000_999..1e6).contains(&size) => with_exponent(size),
        size if size >= 10_000.0 => format!("{}k", without_zeros(&format!("{:.4}", size / 1000.0))),
        size => without_zeros(&format!("{size:.4}")).to_owned(),
    };
    if tick < 0.0 { format!("\u{2212}{text}") } else { text }
}

/// Up to four significant digits and an exponent.
fn with_exponent(size: f64) -> String {
    let text = format!("{size:.3e}");
    match text.split_once('e') {
        Some((digits, exponent)) => format!("{}e{exponent}", without_zeros(digits)),
        None => text,
    }
}

fn without_zeros(decimal: &str) -> &str {
    decimal.trim_end_matches('0').trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_axis() {
        let axis = |low, high, is_logarithmic| Axis { low, high, is_logarithmic, from: 0.0, to: 1.0 };
        assert_eq!(axis(0.0, 20_000.0, false).ticks(6.0), [0.0, 5_000.0, 10_000.0, 15_000.0, 20_000.0]);
        assert_eq!(axis(-0.3, 1.1, false).ticks(5.0), [0.0, 0.5, 1.0]);
        let texts = |axis: Axis| axis.ticks(5.0).into_iter().map(tick_text).collect::<Vec<_>>();
        assert_eq!(texts(axis(0.004, 3.0, true)), ["0.01", "0.1", "1"]);
        assert_eq!(texts(axis(1e-5, 1.0, true)), ["1e-5", "1e-4", "0.001", "0.01", "0.1", "1"]);
        assert_eq!(axis(0.4, 3.0, true).ticks(5.0).len(), 3);
    }

    /// A loss between 1.05 and 1.95 has no 1, 2 or 5 in its range, and one that explodes has thirty decades.
    #[test]
    fn a_logarithmic_axis_has_a_few_ticks_over_any_range() {
        let texts = |low, high| {
            let axis = Axis { low, high, is_logarithmic: true, from: 0.0, to: 1.0 };
            axis.ticks(5.0).into_iter().map(tick_text).collect::<Vec<_>>()
        };
        assert_eq!(texts(1.05, 1.95), ["1.2", "1.4", "1.6", "1.8"]);
        assert_eq!(texts(1.05e-4, 1.95e-4), ["1.2e-4", "1.4e-4", "1.6e-4", "1.8e-4"]);
        assert_eq!(texts(0.5, 1e30), ["1", "1e6", "1e12", "1e18", "1e24", "1e30"]);
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
        assert_eq!([1e6, -1.25e7, 1.5e-4].map(tick_text), ["1e6", "\u{2212}1.25e7", "1.5e-4"]);
    }
}
