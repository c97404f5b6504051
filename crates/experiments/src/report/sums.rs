//! What the page shows of a row or a run as a whole: confusions, the time split, the clock.

use super::run::Run;
use super::thin::rounded;

/// Points of the line from steps to seconds.
const TIME_POINTS: usize = 48;

/// Steps and the seconds of training at which they were done, few enough to be small, near enough for an axis. Epochs, whose
/// seconds include validation, count only where no step tells the time.
pub(super) fn clock(run: &Run) -> (Vec<u64>, Vec<f64>) {
    let steps: Vec<(u64, f64)> = run.log.steps.iter().map(|point| (point.step, point.seconds)).collect();
    let epochs: Vec<(u64, f64)> = run.log.epochs.iter().map(|point| (point.step, point.seconds)).collect();
    let timed = |points: &[(u64, f64)]| points.iter().copied().filter(|point| point.1.is_finite()).collect::<Vec<_>>();
    let mut points = timed(&steps);
    if points.is_empty() {
        points = timed(&epochs);
    }
    let every = points.len().div_ceil(TIME_POINTS).max(1);
    let last = points.len().saturating_sub(1);
    let kept = points.iter().enumerate().filter(|(position, _)| position % every == 0 || *position == last);
    kept.map(|(_, &(step, seconds))| (step, rounded(seconds))).unzip()
}

/// Confusions summed over `runs`, rows one after another: zeros before each count, then the count.
pub(super) fn confusion<'a>(runs: impl Iterator<Item = &'a Run>, classes: usize) -> Vec<u64> {
    let mut sum = vec![0u64; classes * classes];
    for run in runs {
        let Some(rows) = run.detail("confusion").as_array().filter(|rows| rows.len() == classes) else { continue };
        for (row, counts) in rows.iter().enumerate() {
            for (column, count) in counts.as_array().into_iter().flatten().take(classes).enumerate() {
                sum[row * classes + column] += count.as_u64().unwrap_or(0);
            }
        }
    }
    let (mut sparse, mut zeros) = (Vec::new(), 0);
    for count in sum {
        if count == 0 {
            zeros += 1;
        } else {
            sparse.extend([std::mem::take(&mut zeros), count]);
        }
    }
    sparse
}

/// Mean seconds by part of the work, in the order in which a step does them; empty where no run says.
pub(super) fn mean_time<'a>(runs: impl Iterator<Item = &'a Run>) -> Vec<(&'static str, f64)> {
    let splits: Vec<_> = runs.map(Run::time_split).filter(|split| !split.is_empty()).collect();
    let Some(first) = splits.first() else { return Vec::new() };
    let mean = |part: &str| {
        let of =
            |split: &Vec<(&'static str, f64)>| split.iter().find(|(name, _)| *name == part).map_or(0.0, |(_, s)| *s);
        splits.iter().map(of).sum::<f64>() / splits.len() as f64
    };
    first.iter().map(|(part, _)| (*part, mean(part))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn run(name: &str, confusion: &Value) -> Run {
        let mut run = Run::read(std::path::Path::new(name));
        run.summary = json!({ "confusion": confusion, "time": { "forward": 3.0, "data": 1.0 } });
        run
    }

    #[test]
    fn confusions_are_summed_over_seeds_and_zeros_are_counted() {
        let runs =
            [run("a-s1", &json!([[5, 0], [1, 4]])), run("a-s2", &json!([[4, 0], [0, 6]])), run("a-s3", &json!([[1]]))];
        // 9 0 / 1 10
        assert_eq!(confusion(runs.iter(), 2), [0, 9, 1, 1, 0, 10]);
    }

    #[test]
    fn the_time_split_is_a_mean_in_the_order_of_the_work() {
        let mut second = run("a-s2", &json!([]));
        second.summary["time"]["forward"] = json!(5.0);
        let runs = [run("a-s1", &json!([])), second];
        assert_eq!(mean_time(runs.iter()), [("data", 1.0), ("forward", 4.0)]);
    }

    #[test]
    fn the_clock_keeps_its_ends() {
        let mut run = Run::read(std::path::Path::new("a-s1"));
        run.log = super::super::log::Log::parse(
            (0..1000)
                .map(|step| format!("{{\"kind\":\"step\",\"step\":{step},\"seconds\":{}}}\n", (step + 1) * 2))
                .collect::<String>()
                .as_bytes(),
        );
        let (steps, seconds) = clock(&run);
        assert!(steps.len() <= TIME_POINTS + 1);
        assert_eq!((steps[0], *steps.last().unwrap(), *seconds.last().unwrap()), (1, 1000, 2000.0));
    }
}
