//! Differences between rows, paired by seed.

use super::experiment::{METRICS, Row};
use super::run::{Figures, Run, Status};
use crate::stats::{PairedDifference, by_seed};

/// The keys of the metrics that are compared.
pub const COMPARED: [&str; 3] = ["top1", "valid_loss", "train_loss"];

/// One row minus another in one metric, over the seeds that both have finished.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Position of the row.
    pub row: usize,
    /// Position of the row that is taken away.
    pub baseline: usize,
    /// Key of the metric, one of [`COMPARED`].
    pub metric: &'static str,
    /// Seeds that both have.
    pub pairs: usize,
    /// Mean difference.
    pub mean: f64,
    /// Interval and effect size; `None` for a single pair, which leaves the noise unknown.
    pub interval: Option<PairedDifference>,
}

/// All pairs of rows, each once: the later row minus the earlier one.
pub(crate) fn compare(runs: &[Run], rows: &[Row]) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    for row in 0..rows.len() {
        for baseline in 0..row {
            for metric in METRICS.iter().filter(|metric| COMPARED.contains(&metric.key)) {
                let pairs = pairs(runs, &rows[row], &rows[baseline], metric.of);
                if pairs.is_empty() {
                    continue;
                }
                let mean = pairs.iter().map(|(ours, theirs)| ours - theirs).sum::<f64>() / pairs.len() as f64;
                let interval = PairedDifference::of(&pairs);
                comparisons.push(Comparison { row, baseline, metric: metric.key, pairs: pairs.len(), mean, interval });
            }
        }
    }
    comparisons
}

fn pairs(runs: &[Run], ours: &Row, theirs: &Row, of: fn(&Figures) -> f64) -> Vec<(f64, f64)> {
    let of_row = |row: &Row| -> Vec<(u64, f64)> {
        let done = row.runs.iter().map(|&run| &runs[run]).filter(|run| run.status == Status::Done);
        done.filter_map(|run| Some((run.seed, of(run.figures.as_ref()?)))).collect()
    };
    by_seed(&of_row(ours), &of_row(theirs))
}

/// What the runs say of each Lookahead row against its inner optimizer, one plain sentence each.
pub(crate) fn findings(rows: &[Row], comparisons: &[Comparison]) -> Vec<String> {
    let top1 = METRICS.iter().position(|metric| metric.key == "top1").unwrap_or(0);
    let mut sentences = Vec::new();
    for (position, row) in rows.iter().enumerate() {
        let Some(baseline) = row.inner else { continue };
        let found = comparisons.iter().find(|comparison| {
            (comparison.row, comparison.baseline, comparison.metric) == (position, baseline, "top1")
        });
        let (Some(found), Some(ours), Some(theirs)) = (found, row.numbers[top1], rows[baseline].numbers[top1]) else {
            continue;
        };
        let verdict = match found.interval {
            None => "one seed, so noise cannot be told from effect".to_owned(),
            Some(interval) => format!(
                "95 % interval {} to {} over {} paired seeds: {}",
                signed(interval.low),
                signed(interval.high),
                found.pairs,
                if interval.is_distinguishable() { "more than noise" } else { "not distinguishable from noise" }
            ),
        };
        sentences.push(format!(
            "{} reaches {:.2} %, {} {:.2} %: {} points ({verdict}).",
            row.label(),
            ours.mean,
            rows[baseline].label(),
            theirs.mean,
            signed(found.mean)
        ));
    }
    sentences
}

/// With its sign, a true minus and two digits.
pub(crate) fn signed(value: f64) -> String {
    let text = format!("{:.2}", value.abs());
    let zero = text.bytes().all(|byte| byte == b'0' || byte == b'.');
    match (zero, value < 0.0) {
        (true, _) => text,
        (false, true) => format!("\u{2212}{text}"),
        (false, false) => format!("+{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, top1: f64) -> Run {
        let mut run = Run::read(std::path::Path::new(name));
        run.status = Status::Done;
        run.figures =
            Some(Figures { train_loss: 1.0, valid_loss: 1.0, top1, top5: 99.0, seconds: 1.0, images_per_second: 1.0 });
        run
    }

    fn row(optimizer: &str, runs: Vec<usize>, inner: Option<usize>, top1: f64) -> Row {
        let spread = crate::stats::Spread { mean: top1, std: 0.0 };
        Row {
            optimizer: optimizer.into(),
            state: String::new(),
            runs,
            inner,
            numbers: vec![Some(spread); METRICS.len()],
        }
    }

    #[test]
    fn seeds_are_matched_and_seeds_of_one_row_alone_are_left_out() {
        let runs = [
            run("sgd-s1", 90.0),
            run("sgd-s2", 80.0),
            run("sgd-s3", 1.0),
            run("lookahead-sgd-s2", 83.0),
            run("lookahead-sgd-s1", 91.0),
        ];
        let rows = [row("sgd", vec![0, 1, 2], None, 85.0), row("lookahead-sgd", vec![3, 4], Some(0), 87.0)];
        let comparisons = compare(&runs, &rows);
        assert_eq!(comparisons.len(), 3);
        // Differences 3 and 1.
        assert_eq!((comparisons[2].metric, comparisons[2].pairs, comparisons[2].mean), ("top1", 2, 2.0));
        let sentence = &findings(&rows, &comparisons)[0];
        assert!(sentence.contains("+2.00 points") && sentence.contains("not distinguishable from noise"), "{sentence}");
    }

    #[test]
    fn one_pair_has_a_difference_and_no_interval() {
        let runs = [run("sgd-s1", 90.0), run("lookahead-sgd-s1", 89.5)];
        let rows = [row("sgd", vec![0], None, 90.0), row("lookahead-sgd", vec![1], Some(0), 89.5)];
        let comparisons = compare(&runs, &rows);
        assert_eq!((comparisons[2].mean, comparisons[2].interval), (-0.5, None));
        assert!(findings(&rows, &comparisons)[0].contains("one seed"));
    }

    #[test]
    fn signs_are_written_out() {
        assert_eq!(
            [signed(0.5), signed(-0.5), signed(0.001), signed(-0.001)],
            ["+0.50", "\u{2212}0.50", "0.00", "0.00"]
        );
    }
}
