//! Differences between rows, paired by seed, and which of them are printed.

use lookahead_runs::{Figures, PairedDifference, Run, by_seed};

use crate::metric::{METRICS, TOP1};
use crate::number::{interval, signed};
use crate::report::Report;
use crate::row::Row;

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
    /// Interval and effect size; `None` for a single pair, and for differences that are the same in all pairs, both of which
    /// leave the noise unknown.
    pub interval: Option<PairedDifference>,
}

impl Comparison {
    /// The other way round: the baseline minus the row.
    fn turned(self) -> Self {
        let interval = self.interval.map(|of| PairedDifference {
            mean: -of.mean,
            low: -of.high,
            high: -of.low,
            effect_size: -of.effect_size,
            ..of
        });
        Self { row: self.baseline, baseline: self.row, mean: -self.mean, interval, ..self }
    }

    /// A word on whether the difference can be told from noise; empty where it can.
    pub(crate) fn verdict(&self) -> &'static str {
        match self.interval {
            None if self.pairs > 1 => "the same in all seeds",
            None => "one seed",
            Some(of) if of.is_distinguishable() => "",
            Some(_) => "not distinguishable",
        }
    }
}

/// The differences in top-1 accuracy that tables and sentences tell, in the order of the rows: each row that has a row
/// inside against that one, each other row against the first. Rows that share no finished seed, and rows on different data, are
/// passed over.
pub fn differences(report: &Report) -> Vec<Comparison> {
    let of = |row: usize| {
        let baseline = baseline(&report.rows, row)?;
        let mut found = report.comparisons.iter().filter(|found| found.metric == METRICS[TOP1].key);
        found.find_map(|found| match (found.row, found.baseline) {
            pair if pair == (row, baseline) => Some(*found),
            pair if pair == (baseline, row) => Some(found.turned()),
            _ => None,
        })
    };
    (0..report.rows.len()).filter_map(of).collect()
}

/// The row that `row` is compared with.
pub(crate) fn baseline(rows: &[Row], row: usize) -> Option<usize> {
    match rows[row].inner {
        Some(inner) => Some(inner),
        // The first row on the same data, unless it is this one or already stands against this one.
        None => {
            let first = rows.iter().position(|other| other.data == rows[row].data)?;
            (first != row && rows[first].inner != Some(row)).then_some(first)
        }
    }
}

/// All pairs of rows on the same data, each once: the later row minus the earlier one.
pub(crate) fn compare(runs: &[Run], rows: &[Row]) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    for row in 0..rows.len() {
        for baseline in (0..row).filter(|&baseline| rows[baseline].data == rows[row].data) {
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
        let summaries = row.runs.iter().filter_map(|&run| Some((runs[run].seed, runs[run].summary.as_ref()?)));
        summaries.map(|(seed, summary)| (seed, of(&summary.figures))).collect()
    };
    by_seed(&of_row(ours), &of_row(theirs))
}

/// What [`differences`] says, one plain sentence each. Where nothing can be compared, what each row reaches and how sure that is.
pub(crate) fn findings(report: &Report) -> Vec<String> {
    let found = differences(report);
    if found.is_empty() {
        return report.rows.iter().filter_map(|row| alone(report, row)).collect();
    }
    let sentence = |found: &Comparison| {
        let [row, baseline] = [found.row, found.baseline].map(|position| &report.rows[position]);
        let verdict = match found.interval {
            None if found.pairs > 1 => format!("the same in all {} paired seeds, so the noise is unknown", found.pairs),
            None => "one seed, so noise cannot be told from effect".to_owned(),
            Some(of) => format!(
                "95 % interval {} over {} paired seeds: {}",
                interval(of.low, of.high),
                found.pairs,
                if of.is_distinguishable() { "more than noise" } else { "not distinguishable from noise" }
            ),
        };
        Some(format!(
            "{} reaches {:.2} %, {} {:.2} %: {} points ({verdict}).",
            row.id.label(),
            row.numbers[TOP1]?.mean,
            baseline.id.label(),
            baseline.numbers[TOP1]?.mean,
            signed(found.mean)
        ))
    };
    found.iter().filter_map(sentence).collect()
}

/// The accuracy of one row by itself; `None` without a finished run.
fn alone(report: &Report, row: &Row) -> Option<String> {
    let figures = report.finished(row).filter_map(|run| Some(run.summary.as_ref()?.figures.top1));
    // Its difference from nothing: the same interval.
    let pairs: Vec<(f64, f64)> = figures.map(|top1| (top1, 0.0)).collect();
    let sure = match PairedDifference::of(&pairs) {
        Some(of) => format!("95 % interval of the mean {:.2} to {:.2} over {} seeds", of.low, of.high, of.pairs),
        None if pairs.len() > 1 => format!("the same in all {} seeds, so the noise is unknown", pairs.len()),
        None => "one seed, so how far another would be from it is unknown".to_owned(),
    };
    Some(format!("{} reaches {:.2} % ({sure}).", row.id.label(), row.numbers[TOP1]?.mean))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{finished, report};

    #[test]
    fn seeds_are_matched_and_seeds_of_one_row_alone_are_left_out() {
        let report = report(vec![
            finished("sgd-s1", 90.0),
            finished("sgd-s2", 80.0),
            finished("sgd-s3", 1.0),
            finished("lookahead-sgd-keep-s2", 83.0),
            finished("lookahead-sgd-keep-s1", 91.0),
        ]);
        assert_eq!(report.comparisons.len(), 3);
        // Differences 3 and 1.
        let found = differences(&report)[0];
        assert_eq!((found.metric, found.pairs, found.mean), ("top1", 2, 2.0));
        let sentence = &findings(&report)[0];
        assert!(sentence.contains("+2.00 points") && sentence.contains("not distinguishable from noise"), "{sentence}");
    }

    #[test]
    fn one_pair_has_a_difference_and_no_interval() {
        let report = report(vec![finished("sgd-s1", 90.0), finished("lookahead-sgd-keep-s1", 89.5)]);
        let found = differences(&report)[0];
        assert_eq!((found.mean, found.interval, found.verdict()), (-0.5, None, "one seed"));
        assert!(findings(&report)[0].contains("one seed"));
    }

    /// Without another row the claim is the accuracy: 2 +- 4.3027 / sqrt(3) around 80.
    #[test]
    fn one_row_says_what_it_reaches_and_how_sure_that_is() {
        let of = |accuracies: &[f64]| {
            let runs = accuracies.iter().zip(1..).map(|(&top1, seed)| finished(&format!("sgd-s{seed}"), top1));
            findings(&report(runs.collect()))
        };
        let interval = "95 % interval of the mean 77.52 to 82.48 over 3 seeds";
        assert_eq!(of(&[79.0, 80.0, 81.0]), [format!("SGD reaches 80.00 % ({interval}).")]);
        assert_eq!(of(&[80.0]), ["SGD reaches 80.00 % (one seed, so how far another would be from it is unknown)."]);
        assert!(of(&[80.0, 80.0])[0].contains("the same in all 2 seeds"));
        assert!(findings(&report(vec![crate::testing::unfinished("sgd-s1")])).is_empty());
    }

    /// On 30 images each seed gains one image: no interval, and no claim.
    #[test]
    fn equal_differences_are_said_to_be_the_same() {
        let mut runs = vec![];
        for (seed, hits) in [(1, 20), (2, 23), (3, 28)] {
            runs.push(finished(&format!("sgd-s{seed}"), 100.0 * f64::from(hits) / 30.0));
            runs.push(finished(&format!("lookahead-sgd-keep-s{seed}"), 100.0 * f64::from(hits + 1) / 30.0));
        }
        let report = report(runs);
        let found = differences(&report)[0];
        assert_eq!((found.interval, found.verdict()), (None, "the same in all seeds"));
        assert!(
            findings(&report)[0].contains("+3.33 points (the same in all 3 paired seeds"),
            "{:?}",
            findings(&report)
        );
    }

    /// What has an optimizer inside stands against it, everything else against the first row, and nothing twice.
    #[test]
    fn each_row_is_compared_once() {
        let names =
            ["sgd-s1", "lookahead-sgd-keep-s1", "adamw-s1", "lookahead-adamw-keep-s1", "polyak-s1", "rmsprop-s1"];
        let report = report(names.map(|name| finished(name, 80.0)).to_vec());
        let label = |position: usize| report.rows[position].id.label();
        let found: Vec<(String, String)> =
            differences(&report).iter().map(|found| (label(found.row), label(found.baseline))).collect();
        let wanted = [
            ("Lookahead/SGD (keep)", "SGD"),
            ("AdamW", "SGD"),
            ("Lookahead/AdamW (keep)", "AdamW"),
            ("RMSProp", "SGD"),
            ("Polyak", "SGD"),
        ];
        assert_eq!(found, wanted.map(|(row, baseline)| (row.to_owned(), baseline.to_owned())));
        assert_eq!(findings(&report).len(), wanted.len());
    }

    /// An average stands before optimizers of other kinds, so the row inside may come after it.
    #[test]
    fn a_row_before_its_inner_optimizer_is_turned_round() {
        let mut runs = vec![];
        for (seed, zeta, average) in [(1, 80.0, 81.0), (2, 82.0, 83.5)] {
            runs.push(finished(&format!("zeta-s{seed}"), zeta));
            let mut run = finished(&format!("mean-s{seed}"), average);
            (run.row.inner, run.row.around) = ("zeta".to_owned(), "average".to_owned());
            runs.push(run);
        }
        let report = report(runs);
        let found = differences(&report);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].row, found[0].baseline, found[0].mean), (0, 1, 1.25));
        let of = found[0].interval.unwrap();
        assert!(of.low < 1.25 && of.high > 1.25 && of.mean == 1.25 && of.effect_size > 0.0, "{of:?}");
    }
}
