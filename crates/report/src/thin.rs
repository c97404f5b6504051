//! Thins curves of many steps to a few points, keeping the extremes.

use lookahead_runs::{EpochRecord, Run, StepRecord};
use serde::Serialize;

/// A thinned curve.
///
/// The steps of the whole experiment are divided into equal buckets, so that the curves of all runs share one grid,
/// however many points each has. A bucket has the mean of the steps with a value, and the mean, lowest and highest of
/// the values. Charts draw the mean and average it over seeds; the extremes form the pale area around it, so a spike of
/// one step is never lost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curve {
    /// Mean step of each bucket, as the difference to the previous one.
    pub x: Vec<u64>,
    /// Mean value of each bucket, to five significant digits.
    pub y: Vec<f64>,
    /// Lowest value of each bucket; empty if no bucket holds different values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lo: Vec<f64>,
    /// Highest value of each bucket; empty if `lo` is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hi: Vec<f64>,
}

#[derive(Clone, Copy)]
struct Bucket {
    index: u64,
    count: u64,
    steps: u128,
    sum: f64,
    low: f64,
    high: f64,
}

/// How the steps of an experiment are divided.
#[derive(Clone, Copy)]
enum Grid {
    /// Few points: each is its own bucket.
    Points,
    /// Equal buckets over `steps` steps.
    Buckets { steps: u128, buckets: u64 },
}

impl Grid {
    /// The bucket of a curve's point.
    fn bucket(self, position: usize, step: u64) -> u64 {
        match self {
            Self::Points => position as u64,
            Self::Buckets { steps, buckets } => {
                u64::try_from(u128::from(step) * u128::from(buckets) / steps).unwrap_or(u64::MAX)
            }
        }
    }
}

impl Curve {
    /// Thins the curves of an experiment, `(step, value)` points in ascending order of steps, to at most `buckets`
    /// points each, over steps 0 to `last_step`. If the longest has no more, all keep their points. Values that are not
    /// finite and points that go back are left out; a curve without any other point is `None`.
    ///
    /// ```
    /// use lookahead_report::Curve;
    /// let curves = [vec![(0, 1.0), (1, 9.0), (2, 2.0), (3, 2.0)], vec![(0, 3.0), (1, 5.0)]];
    /// let thin: Vec<Curve> = Curve::thin(&curves, 3, 2).into_iter().flatten().collect();
    /// assert_eq!((&thin[0].y, &thin[0].lo, &thin[0].hi), (&vec![5.0, 2.0], &vec![1.0, 2.0], &vec![9.0, 2.0]));
    /// assert_eq!(thin[1].y, [4.0], "in the first bucket, although it has few points");
    /// ```
    pub fn thin(curves: &[Vec<(u64, f64)>], last_step: u64, buckets: usize) -> Vec<Option<Self>> {
        let buckets = buckets.max(1);
        let last_step = curves.iter().filter_map(|points| points.last()).map(|point| point.0).fold(last_step, u64::max);
        let grid = match curves.iter().map(Vec::len).max() {
            Some(longest) if longest > buckets => {
                Grid::Buckets { steps: u128::from(last_step) + 1, buckets: buckets as u64 }
            }
            _ => Grid::Points,
        };
        curves.iter().map(|points| Self::on(grid, points)).collect()
    }

    fn on(grid: Grid, points: &[(u64, f64)]) -> Option<Self> {
        let mut kept: Vec<Bucket> = Vec::new();
        let mut last = 0;
        for (position, &(step, value)) in points.iter().enumerate().filter(|(_, point)| point.1.is_finite()) {
            // The epochs of a damaged file may go back.
            if step < last {
                continue;
            }
            last = step;
            let index = grid.bucket(position, step);
            match kept.last_mut() {
                Some(bucket) if bucket.index == index => {
                    bucket.count += 1;
                    bucket.steps += u128::from(step);
                    bucket.sum += value;
                    bucket.low = bucket.low.min(value);
                    bucket.high = bucket.high.max(value);
                }
                _ => kept.push(Bucket { index, count: 1, steps: step.into(), sum: value, low: value, high: value }),
            }
        }
        if kept.is_empty() {
            return None;
        }
        let mut before = 0;
        let x = kept.iter().map(|bucket| {
            // The mean of the steps is at most the largest of them, a u64.
            let step = u64::try_from(bucket.steps / u128::from(bucket.count)).unwrap_or(u64::MAX);
            step - std::mem::replace(&mut before, step)
        });
        let x = x.collect();
        let y = kept.iter().map(|bucket| rounded(bucket.sum / bucket.count as f64)).collect();
        let (mut lo, mut hi) = (Vec::new(), Vec::new());
        if kept.iter().any(|bucket| bucket.low < bucket.high) {
            lo = kept.iter().map(|bucket| rounded(bucket.low)).collect();
            hi = kept.iter().map(|bucket| rounded(bucket.high)).collect();
        }
        Some(Self { x, y, lo, hi })
    }

    /// Its steps and mean values.
    pub(crate) fn points(&self) -> Vec<(u64, f64)> {
        let mut step = 0;
        let mut after = |difference: &u64| {
            step += difference;
            step
        };
        self.x.iter().zip(&self.y).map(|(x, y)| (after(x), *y)).collect()
    }
}

/// The points of a run: steps done, and the value at that step.
pub(crate) type Values = dyn Fn(&Run) -> Vec<(u64, f64)>;

/// One number per logged step of a run, with the steps done.
pub(crate) fn of_steps(run: &Run, of: impl Fn(&StepRecord) -> f64) -> Vec<(u64, f64)> {
    run.log.steps.iter().map(|record| (record.steps_done(), of(record))).collect()
}

/// One number per epoch of a run, with the steps done.
pub(crate) fn of_epochs(run: &Run, of: impl Fn(&EpochRecord) -> f64) -> Vec<(u64, f64)> {
    run.log.epochs.iter().map(|record| (record.steps_done(), of(record))).collect()
}

/// `value` to five significant digits: enough for any screen.
pub(crate) fn rounded(value: f64) -> f64 {
    format!("{value:.4e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thin(points: &[(u64, f64)], last_step: u64, buckets: usize) -> Option<Curve> {
        Curve::thin(&[points.to_vec()], last_step, buckets).remove(0)
    }

    #[test]
    fn few_points_stay_as_they_are() {
        let curve = thin(&[(10, 3.0), (20, 2.0), (40, 1.0)], 40, 3).unwrap();
        assert_eq!((curve.x, curve.y), (vec![10, 10, 20], vec![3.0, 2.0, 1.0]));
        assert!(curve.lo.is_empty() && curve.hi.is_empty());
    }

    #[test]
    fn a_spike_of_one_step_survives() {
        let mut points: Vec<(u64, f64)> = (0..20_000).map(|step| (step, 1.0)).collect();
        points[12_345].1 = 77.0;
        points[4_321].1 = -5.0;
        let curve = thin(&points, 19_999, 100).unwrap();
        assert_eq!(curve.y.len(), 100);
        assert_eq!(curve.hi.iter().copied().fold(f64::MIN, f64::max), 77.0);
        assert_eq!(curve.lo.iter().copied().fold(f64::MAX, f64::min), -5.0);
        // Bucket 61 holds steps 12,200 to 12,399: their mean is 1 + 76/200.
        assert_eq!(curve.y[61], 1.38);
    }

    /// 1000 points in buckets of 20: a run cut short is on the same grid, with few points, too.
    #[test]
    fn seeds_share_a_grid_whatever_their_length() {
        let long: Vec<(u64, f64)> = (0..1000).map(|step| (step, 0.0)).collect();
        let curves = [long.clone(), long[..600].to_vec(), long[..40].to_vec()];
        let steps: Vec<Vec<u64>> = Curve::thin(&curves, 999, 50)
            .iter()
            .flatten()
            .map(|curve| curve.points().iter().map(|point| point.0).collect())
            .collect();
        assert_eq!(steps[0][..3], [9, 29, 49]);
        assert_eq!(steps[1], steps[0][..30]);
        assert_eq!(steps[2], steps[0][..2]);
    }

    #[test]
    fn what_is_not_finite_is_left_out() {
        let curve = thin(&[(0, f64::NAN), (1, 2.0), (2, f64::INFINITY)], 2, 10).unwrap();
        assert_eq!((curve.x, curve.y), (vec![1], vec![2.0]));
        let curve = thin(&[(5, 1.0), (3, 9.0), (7, 2.0)], 7, 10).unwrap();
        assert_eq!((curve.x, curve.y), (vec![5, 2], vec![1.0, 2.0]), "what goes back, too");
        assert_eq!(thin(&[(0, f64::NAN)], 0, 10), None);
        assert_eq!(thin(&[], 0, 10), None);
    }

    #[test]
    fn five_digits_are_kept() {
        assert_eq!(rounded(0.123_456_7), 0.12346);
        assert_eq!(rounded(-98_765.4), -98_765.0);
        assert_eq!(rounded(0.0), 0.0);
    }
}
