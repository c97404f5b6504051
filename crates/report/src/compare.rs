//! Differences between rows, paired by seed, and the selection of those that are printed.

use lookahead_runs::{PairedDifference, Run, TaskKind, by_seed};

use crate::conditions::Conditions;
use crate::metric::{Metric, compared};
use crate::report::Report;
use crate::row::Row;

/// One row minus another in one metric, over the seeds that are finished in both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Index of the row in [`Report::rows`].
    pub row: usize,
    /// Index of the row that is subtracted.
    pub baseline: usize,
    /// The metric, one of [`compared`].
    pub metric: Metric,
    /// Number of seeds that both have, at least 1.
    pub pairs: usize,
    /// Mean difference.
    pub mean: f64,
    /// Interval and smallest visible difference. `None` if the noise is unknown: with a single pair, or if all differences are equal.
    pub interval: Option<PairedDifference>,
}

impl Comparison {
    /// Whether the row is better than the baseline; `None` if the two are not distinguishable.
    pub fn is_better(&self) -> Option<bool> {
        let of = self.interval.filter(PairedDifference::is_distinguishable)?;
        Some((of.mean > 0.0) == self.metric.is_higher_better())
    }

    /// The opposite difference: the baseline minus the row.
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

    /// A phrase on whether the difference is distinguishable from noise. It is empty if the sign of the difference suffices,
    /// that is, if higher is better.
    pub(crate) fn verdict(&self) -> &'static str {
        match (self.interval, self.is_better()) {
            (None, _) if self.pairs > 1 => "the same in all seeds",
            (None, _) => "one pair",
            (_, None) => "not distinguishable",
            (_, Some(_)) if self.metric.is_higher_better() => "",
            (_, Some(true)) => "better",
            (_, Some(false)) => "worse",
        }
    }
}

/// The differences in score that tables and sentences show, in the order of the rows. A row with a wrapper is compared
/// with the row of its inner optimizer, every other row with the first. If there are three rows, the third pair comes
/// last: the later row minus the earlier one. Rows on different data or with other settings than their optimizer's, such
/// as the number of epochs, are not compared, nor are rows without a common finished seed;
/// [`warnings`](Report::warnings) name them.
pub fn differences(report: &Report) -> Vec<Comparison> {
    let score = Metric::Score(report.task().score());
    let of = |(row, baseline): (usize, usize)| {
        let mut found = report.comparisons.iter().filter(|found| found.metric == score);
        found.find_map(|found| match (found.row, found.baseline) {
            pair if pair == (row, baseline) => Some(*found),
            pair if pair == (baseline, row) => Some(found.turned()),
            _ => None,
        })
    };
    shown(&report.rows).into_iter().filter_map(of).collect()
}

/// The pairs of rows whose differences are shown if they can be compared, as (row, baseline).
pub(crate) fn shown(rows: &[Row]) -> Vec<(usize, usize)> {
    let usual: Vec<(usize, usize)> = (0..rows.len()).filter_map(|row| Some((row, baseline(rows, row)?))).collect();
    let is_new = |&(row, other): &(usize, usize)| !usual.contains(&(row, other)) && !usual.contains(&(other, row));
    let third = [(1, 0), (2, 0), (2, 1)].into_iter().filter(|pair| rows.len() == 3 && is_new(pair));
    usual.iter().copied().chain(third).collect()
}

/// Index of the row that `row` is compared with.
pub(crate) fn baseline(rows: &[Row], row: usize) -> Option<usize> {
    match rows[row].inner {
        Some(inner) => Some(inner),
        // The first row on the same data, unless it is this one or is already compared with this one.
        None => {
            let first = rows.iter().position(|other| other.data == rows[row].data)?;
            (first != row && rows[first].inner != Some(row)).then_some(first)
        }
    }
}

/// All pairs of rows on the same data and under the same conditions, each once: the later row minus the earlier one.
pub(crate) fn compare(runs: &[Run], rows: &[Row], task: TaskKind) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    let conditions: Vec<Conditions<'_>> = rows.iter().map(|row| Conditions::of(row, runs)).collect();
    let is_comparable = |row: usize, baseline: usize| {
        rows[baseline].data == rows[row].data && conditions[baseline].are_those_of(&conditions[row])
    };
    for row in 0..rows.len() {
        for baseline in (0..row).filter(|&baseline| is_comparable(row, baseline)) {
            for metric in compared(task) {
                let pairs = pairs(runs, &rows[row], &rows[baseline], metric);
                if pairs.is_empty() {
                    continue;
                }
                let mean = pairs.iter().map(|(ours, theirs)| ours - theirs).sum::<f64>() / pairs.len() as f64;
                let interval = PairedDifference::of(&pairs);
                comparisons.push(Comparison { row, baseline, metric, pairs: pairs.len(), mean, interval });
            }
        }
    }
    comparisons
}

/// Pairs of the seeds for which both rows have the metric.
pub(crate) fn pairs(runs: &[Run], ours: &Row, theirs: &Row, metric: Metric) -> Vec<(f64, f64)> {
    let of_row = |row: &Row| -> Vec<(u64, f64)> {
        let summaries = row.runs.iter().filter_map(|&run| Some((runs[run].seed, runs[run].summary.as_ref()?)));
        let numbers = summaries.map(|(seed, summary)| (seed, metric.of(&summary.figures)));
        numbers.filter(|(_, number)| number.is_finite()).collect()
    };
    by_seed(&of_row(ours), &of_row(theirs))
}

#[cfg(test)]
mod tests {
    use lookahead_runs::Measure;

    use super::*;
    use crate::testing::{finished, language, report};

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
        assert_eq!((found.metric, found.pairs, found.mean), (Metric::Score(Measure::Top1), 2, 2.0));
        assert_eq!((found.is_better(), found.verdict()), (None, "not distinguishable"));
    }

    /// Five epochs beside ten: neither a row that mixes them nor rows that differ in them are compared.
    #[test]
    fn rows_of_other_settings_are_not_compared() {
        let trained = |name: &str, epochs: &str| {
            let mut run = finished(name, 80.0);
            run.settings.insert("train.epochs".to_owned(), epochs.to_owned());
            run
        };
        let pairs = |epochs: [&str; 4]| {
            let names = ["sgd-s1", "sgd-s2", "adamw-s1", "adamw-s2"];
            let runs = names.iter().zip(epochs).map(|(name, epochs)| trained(name, epochs)).collect();
            let report = report(runs);
            (differences(&report).len(), report.warnings)
        };
        assert_eq!(pairs(["5"; 4]), (1, vec![]));
        let (count, warnings) = pairs(["5", "5", "10", "10"]);
        assert_eq!(count, 0);
        assert_eq!(warnings, ["Rows that differ in these settings are not compared: train.epochs (5, 10)."]);
        let (count, warnings) = pairs(["5", "10", "5", "10"]);
        assert_eq!(count, 0);
        let of = |row| {
            format!(
                "{row} has runs with different settings, so its mean is mixed and not compared: train.epochs (5, 10)."
            )
        };
        assert_eq!(warnings, [of("SGD"), of("AdamW")]);
        let (_, warnings) = pairs(["5", "10", "5", "5"]);
        assert_eq!(warnings, [of("SGD")]);
    }

    #[test]
    fn one_pair_has_a_difference_and_no_interval() {
        let report = report(vec![finished("sgd-s1", 90.0), finished("lookahead-sgd-keep-s1", 89.5)]);
        let found = differences(&report)[0];
        assert_eq!((found.mean, found.interval, found.verdict()), (-0.5, None, "one pair"));
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
        let said = &crate::findings::findings(&report)[0];
        assert!(said.contains("+3.33 points (the same in all 3 paired seeds"), "{said}");
    }

    /// A row with an inner optimizer is compared with it, every other row with the first, and no pair twice.
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
    }

    /// Three rows have three pairs: two of them around one optimizer are compared with each other, too.
    #[test]
    fn three_rows_have_three_pairs() {
        let names = ["sgd-s1", "lookahead-sgd-keep-s1", "polyak-s1", "sgd-s2"];
        let found = differences(&report(names.map(|name| finished(name, 80.0)).to_vec()));
        let pairs: Vec<(usize, usize)> = found.iter().map(|found| (found.row, found.baseline)).collect();
        assert_eq!(pairs, [(1, 0), (2, 0), (2, 1)]);
        // Rows without a common seed are still not compared.
        let apart = report(["sgd-s1", "adamw-s1", "rmsprop-s2"].map(|name| finished(name, 80.0)).to_vec());
        assert_eq!(differences(&apart).len(), 1);
    }

    /// An average comes before optimizers of other kinds, so its inner optimizer's row may come after it.
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

    #[test]
    fn a_lower_perplexity_and_a_higher_accuracy_are_better() {
        let of = |run: fn(&str, f64) -> Run, row: f64, baseline: f64| {
            let runs = [("sgd-s1", baseline), ("sgd-s2", baseline + 2.0), ("adamw-s1", row), ("adamw-s2", row + 2.2)];
            differences(&report(runs.map(|(name, score)| run(name, score)).to_vec()))[0]
        };
        let [up, down] = [of(finished, 85.0, 80.0), of(finished, 75.0, 80.0)];
        assert_eq!([up.is_better(), down.is_better()], [Some(true), Some(false)]);
        assert_eq!([up.verdict(), down.verdict()], ["", ""]);
        let [up, down] = [of(language, 85.0, 80.0), of(language, 75.0, 80.0)];
        assert!(up.mean > 0.0 && down.mean < 0.0);
        assert_eq!([up.verdict(), down.verdict()], ["worse", "better"]);
        // A run that has no score is in no pair.
        let mut runs = ["sgd-s1", "sgd-s2", "adamw-s1", "adamw-s2"].map(|name| language(name, 80.0)).to_vec();
        runs[3].summary.as_mut().unwrap().figures.scores.perplexity = None;
        let report = report(runs);
        assert_eq!(differences(&report)[0].pairs, 1);
        assert_eq!(report.rows[1].number(Metric::Score(Measure::Perplexity)), None);
    }
}
