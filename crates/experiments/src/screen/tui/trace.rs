//! A curve over many steps with few points.

/// The maximum number of points of a curve. Beyond it, neighbours are merged in pairs.
const MOST_POINTS: usize = 1024;

/// Values at regular steps, thinned by merging neighbours as they grow.
#[derive(Debug, Clone, Default)]
pub(super) struct Trace {
    points: Vec<(f64, f64)>,
    /// The number of values per point, and the values that do not fill a point yet.
    stride: usize,
    pending: Vec<(f64, f64)>,
}

impl Trace {
    pub(super) fn push(&mut self, x: f64, y: f64) {
        if !y.is_finite() {
            return;
        }
        self.stride = self.stride.max(1);
        self.pending.push((x, y));
        if self.pending.len() < self.stride {
            return;
        }
        self.points.push(mean(&self.pending));
        self.pending.clear();
        if self.points.len() >= MOST_POINTS {
            self.points = self.points.chunks(2).map(mean).collect();
            self.stride *= 2;
        }
    }

    pub(super) fn points(&self) -> &[(f64, f64)] {
        &self.points
    }
}

fn mean(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    (points.iter().map(|point| point.0).sum::<f64>() / n, points.iter().map(|point| point.1).sum::<f64>() / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_trace_stays_short_and_keeps_its_mean() {
        let mut trace = Trace::default();
        for step in 0..100_000 {
            trace.push(f64::from(step), f64::from(step % 2));
        }
        trace.push(1.0, f64::NAN);
        assert!(trace.points().len() < MOST_POINTS);
        assert!(trace.points()[5..].iter().all(|point| (point.1 - 0.5).abs() < 1e-9));
        assert!(trace.points().is_sorted_by(|a, b| a.0 < b.0));
    }
}
