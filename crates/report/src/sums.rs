//! What the page shows of a row or a run as a whole: confusions, the time split, the clock.

use lookahead_runs::{Run, RunDetails};

use crate::thin::{of_epochs, of_steps, rounded};

/// Points of the line from steps to seconds.
const TIME_POINTS: usize = 48;

/// Steps and the seconds of training at which they were done, few enough to be small, near enough for an axis. Epochs, whose
/// seconds include validation, count only where no step tells the time.
pub(crate) fn clock(run: &Run) -> (Vec<u64>, Vec<f64>) {
    let timed = |points: Vec<(u64, f64)>| points.into_iter().filter(|point| point.1.is_finite()).collect::<Vec<_>>();
    let mut points = timed(of_steps(run, |record| record.seconds));
    if points.is_empty() {
        points = timed(of_epochs(run, |record| record.seconds));
    }
    let every = points.len().div_ceil(TIME_POINTS).max(1);
    let last = points.len().saturating_sub(1);
    let kept = points.iter().enumerate().filter(|(position, _)| position % every == 0 || *position == last);
    kept.map(|(_, &(step, seconds))| (step, rounded(seconds))).unzip()
}

/// Confusions summed over `runs`, rows one after another: zeros before each count, then the count. Those of another number of
/// classes are passed over.
pub(crate) fn confusion<'a>(runs: impl Iterator<Item = &'a Run>, classes: usize) -> Vec<u64> {
    let all = details(runs).map(|details| &details.confusion).filter(|rows| rows.len() == classes);
    let all: Vec<&Vec<Vec<u64>>> = all.collect();
    let (mut sparse, mut zeros) = (Vec::new(), 0);
    for row in 0..classes {
        for column in 0..classes {
            let counts = all.iter().filter_map(|rows| rows[row].get(column));
            match counts.fold(0u64, |sum, &count| sum.saturating_add(count)) {
                0 => zeros += 1,
                count => sparse.extend([std::mem::take(&mut zeros), count]),
            }
        }
    }
    sparse
}

/// Mean seconds by part of the work, in the order in which a step does them; empty where no run says.
pub(crate) fn mean_time<'a>(runs: impl Iterator<Item = &'a Run>) -> Vec<(&'static str, f64)> {
    let splits: Vec<_> = details(runs).map(|details| details.time.parts()).collect();
    let mean = |part: usize| splits.iter().map(|split| split[part].1).sum::<f64>() / splits.len() as f64;
    let parts = splits.first().into_iter().flatten().enumerate();
    parts.map(|(position, (part, _))| (*part, mean(position))).collect()
}

fn details<'a>(runs: impl Iterator<Item = &'a Run>) -> impl Iterator<Item = &'a RunDetails> {
    runs.filter_map(|run| run.summary.as_ref()?.details.as_ref())
}

#[cfg(test)]
mod tests {
    use lookahead_runs::{Log, TimeSplit};

    use super::*;
    use crate::testing::{finished, unfinished};

    fn run(name: &str, confusion: &[&[u64]], forward: f64) -> Run {
        let mut run = finished(name, 80.0);
        let details = RunDetails {
            confusion: confusion.iter().map(|row| row.to_vec()).collect(),
            time: TimeSplit { forward, data: 1.0, ..TimeSplit::default() },
            ..RunDetails::default()
        };
        run.summary.as_mut().unwrap().details = Some(details);
        run
    }

    #[test]
    fn confusions_are_summed_over_seeds_and_zeros_are_counted() {
        let runs = [
            run("a-s1", &[&[5, 0], &[1, 4]], 0.0),
            run("a-s2", &[&[4, 0], &[0, 6]], 0.0),
            run("a-s3", &[&[1]], 0.0),
            run("a-s4", &[&[], &[0, 0, 9]], 0.0),
            unfinished("a-s5"),
        ];
        // 9 0 / 1 10
        assert_eq!(confusion(runs.iter(), 2), [0, 9, 1, 1, 0, 10]);
        assert!(confusion(runs.iter(), 0).is_empty());
    }

    #[test]
    fn the_time_split_is_a_mean_in_the_order_of_the_work() {
        let runs = [run("a-s1", &[], 3.0), run("a-s2", &[], 5.0), finished("a-s3", 80.0)];
        let parts = [("data", 1.0), ("forward", 4.0), ("backward", 0.0), ("optimizer", 0.0), ("validation", 0.0)];
        assert_eq!(mean_time(runs.iter()), parts);
        assert!(mean_time(runs[2..].iter()).is_empty());
    }

    #[test]
    fn the_clock_keeps_its_ends() {
        let mut run = unfinished("a-s1");
        let line = |step: u32| format!("{{\"kind\":\"step\",\"step\":{step},\"seconds\":{}}}\n", (step + 1) * 2);
        run.log = Log::parse((0..1000).map(line).collect::<String>().as_bytes());
        let (steps, seconds) = clock(&run);
        assert!(steps.len() <= TIME_POINTS + 1);
        assert_eq!((steps[0], *steps.last().unwrap(), *seconds.last().unwrap()), (1, 1000, 2000.0));
    }
}
