//! Totals that the page shows for a row or a run: confusions, time per part, the clock, samples.

use lookahead_runs::{Confusion, Run, RunDetails};
use serde::Serialize;

use crate::thin::{of_epochs, of_steps, rounded};

/// Approximate number of points of the clock.
const TIME_POINTS: usize = 48;

/// Steps and the seconds of training at which they were done, thinned to a number that suffices for an axis. Epochs,
/// whose seconds include validation, are used only if no step has a time.
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

/// The classes of a row over its finished runs.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Classes {
    /// Number of images per class.
    images: Vec<u64>,
    /// Number of correctly predicted images per class.
    hits: Vec<u64>,
    /// The largest confusions: true class, predicted class, images.
    largest: Vec<[u64; 3]>,
    /// The matrix, row by row and run-length encoded: the number of zeros before each count, then the count. Empty
    /// above [`RunDetails::MATRIX_CLASSES`] classes.
    matrix: Vec<u64>,
}

impl Classes {
    /// Maximum number of confusions listed.
    const LARGEST: usize = 300;

    /// Sums over `runs`, ignoring runs with a different number of classes; `None` if no images remain.
    pub(crate) fn of<'a>(runs: impl Iterator<Item = &'a Run>, classes: usize) -> Option<Self> {
        let (mut confusion, mut images) = (Confusion::new(classes), vec![0u64; classes]);
        for details in details(runs).filter(|_| classes > 0) {
            let of_run = details.confusion();
            if of_run.classes() == classes {
                confusion.merge(&of_run);
                let counts = images.iter_mut().zip(details.images_of_classes());
                counts.for_each(|(sum, images)| *sum = sum.saturating_add(images));
            }
        }
        if images.iter().all(|&images| images == 0) {
            return None;
        }
        let matrix = if classes <= RunDetails::MATRIX_CLASSES { sparse(&confusion) } else { Vec::new() };
        Some(Self { images, hits: confusion.hits(), largest: confusion.largest(Self::LARGEST), matrix })
    }
}

fn sparse(confusion: &Confusion) -> Vec<u64> {
    let (mut sparse, mut zeros) = (Vec::new(), 0);
    for count in confusion.matrix().into_iter().flatten() {
        match count {
            0 => zeros += 1,
            count => sparse.extend([std::mem::take(&mut zeros), count]),
        }
    }
    sparse
}

/// The sample of the first run that has one.
pub(crate) fn sample<'a>(mut runs: impl Iterator<Item = &'a Run>) -> Option<Sample> {
    runs.find_map(|run| {
        let text = &run.summary.as_ref()?.details.as_ref()?.sample;
        (!text.is_empty()).then(|| Sample { run: run.name.clone(), text: text.clone() })
    })
}

/// A text, and the run that generated it.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Sample {
    run: String,
    text: String,
}

/// Mean seconds per part of the work, in the order of a step; empty if no run has them.
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
            per_class: vec![0.0; confusion.len()],
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
        // 9 0 / 1 10; the run of one class is left out, and what points beyond two classes too.
        let classes = Classes::of(runs.iter(), 2).unwrap();
        assert_eq!((classes.images, classes.hits), (vec![9, 11], vec![9, 10]));
        assert_eq!((classes.matrix, classes.largest), (vec![0, 9, 1, 1, 0, 10], vec![[1, 0, 1]]));
        assert_eq!(Classes::of(runs.iter(), 0), None);
    }

    #[test]
    fn the_time_split_is_a_mean_in_the_order_of_the_work() {
        let runs = [run("a-s1", &[], 3.0), run("a-s2", &[], 5.0), finished("a-s3", 80.0)];
        let parts = [("data", 1.0), ("forward", 4.0), ("backward", 0.0), ("optimizer", 0.0), ("validation", 0.0)];
        assert_eq!(mean_time(runs.iter()), parts);
        assert!(mean_time(runs[2..].iter()).is_empty());
    }

    #[test]
    fn a_sample_is_that_of_the_first_run_that_has_one() {
        let wrote = |name: &str, text: &str| {
            let mut run = run(name, &[], 0.0);
            run.summary.as_mut().unwrap().details.as_mut().unwrap().sample = text.to_owned();
            run
        };
        let runs = [unfinished("a-s1"), wrote("a-s2", ""), wrote("a-s3", "Once"), wrote("a-s4", "Twice")];
        let wanted = Sample { run: "a-s3".to_owned(), text: "Once".to_owned() };
        assert_eq!((sample(runs.iter()), sample(runs[..2].iter())), (Some(wanted), None));
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
