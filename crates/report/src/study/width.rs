//! The width of the range of good learning rates of one seed.

use lookahead_runs::Measure;

/// How far a score is behind `best`, in units of the tolerance: above 1, it is not good.
fn shortfall(measure: Measure, score: f64, best: f64) -> f64 {
    match measure {
        // One point.
        Measure::Top1 | Measure::Top5 => best - score,
        // Five percent.
        Measure::Perplexity => (score / best).ln() / 1.05f64.ln(),
    }
}

/// The tolerance, in words.
pub(super) fn tolerance(measure: Measure) -> &'static str {
    match measure {
        Measure::Top1 | Measure::Top5 => "within one point of",
        Measure::Perplexity => "at most 5 % above",
    }
}

/// The range of good rates of one seed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Width {
    /// Base-2 logarithm of the highest good rate over the lowest.
    pub(super) doublings: f64,
    /// True if the range extends beyond the rates tried.
    pub(super) is_open: bool,
}

/// The range around the best of `points`, the rates and scores of one seed. Its ends are interpolated over the
/// logarithm of the rate. `None` if no rate is good because all diverged.
pub(super) fn width(measure: Measure, points: &[(f64, f64)]) -> Option<Width> {
    let best = (0..points.len()).min_by(|a, b| measure.best_first(points[*a].1, points[*b].1))?;
    if points[best].1 == measure.worst() {
        return None;
    }
    let behind = |at: usize| shortfall(measure, points[at].1, points[best].1);
    let is_good = |at: usize| behind(at) <= 1.0;
    let log = |at: usize| points[at].0.log2();
    // The end of the range, between a good rate and a neighbour that is not good.
    let end = |good: usize, bad: usize| {
        let share = (1.0 - behind(good)) / (behind(bad) - behind(good));
        if share.is_finite() { log(good) + share * (log(bad) - log(good)) } else { log(good) }
    };
    let down = (0..best).rev().find(|&at| !is_good(at));
    let up = (best + 1..points.len()).find(|&at| !is_good(at));
    let low = down.map_or(log(0), |bad| end(bad + 1, bad));
    let high = up.map_or(log(points.len() - 1), |bad| end(bad - 1, bad));
    Some(Width { doublings: high - low, is_open: down.is_none() || up.is_none() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rates 1, 2, 4, 8: the best is 80 at 2.
    #[test]
    fn a_width_worked_by_hand() {
        let of = |scores: [f64; 4]| {
            let points: Vec<(f64, f64)> = [1.0, 2.0, 4.0, 8.0].into_iter().zip(scores).collect();
            width(Measure::Top1, &points).unwrap()
        };
        // Two points behind at 1, so one point behind half way to it; half a point at 4, and 1.5 at 8: half way again.
        let found = of([78.0, 80.0, 79.5, 78.5]);
        assert!((found.doublings - 2.0).abs() < 1e-12 && !found.is_open, "{found:?}");
        // Diverged at 4: the last good rate is the end.
        let found = of([78.0, 80.0, f64::NEG_INFINITY, 0.0]);
        assert!((found.doublings - 0.5).abs() < 1e-12 && !found.is_open, "{found:?}");
        let found = of([79.5, 80.0, 79.5, 79.2]);
        assert_eq!(found, Width { doublings: 3.0, is_open: true });
    }

    /// A seed that diverged everywhere has no best rate, and no range.
    #[test]
    fn where_all_diverged_nothing_is_good() {
        for measure in [Measure::Top1, Measure::Perplexity] {
            assert_eq!(width(measure, &[1.0, 2.0, 4.0].map(|rate| (rate, measure.worst()))), None);
        }
    }

    /// 100 at the best rate: 105 is the limit, above which lies 110.25, twice five percent.
    #[test]
    fn perplexities_are_good_up_to_five_percent_above_the_best() {
        let points = [(1.0, 110.25), (2.0, 100.0), (4.0, f64::INFINITY)];
        let found = width(Measure::Perplexity, &points).unwrap();
        assert!((found.doublings - 0.5).abs() < 1e-12 && !found.is_open, "{found:?}");
    }
}
