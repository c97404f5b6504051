//! Comparisons in plain sentences.

use lookahead_runs::{PairedDifference, Spread};

use crate::compare::{Comparison, differences, pairs};
use crate::metric::Metric;
use crate::number::{interval, signed};
use crate::report::Report;
use crate::row::Row;
use crate::words::value;

/// One sentence per entry of [`differences`]. If nothing can be compared, one per row: its score and the uncertainty.
pub(crate) fn findings(report: &Report) -> Vec<String> {
    let measure = report.task().score();
    let found = differences(report);
    if found.is_empty() {
        return report.rows.iter().filter_map(|row| alone(report, row)).collect();
    }
    let sentence = |found: &Comparison| {
        let [row, baseline] = [found.row, found.baseline].map(|position| &report.rows[position]);
        // The means are over the paired seeds, as the difference is: a row may have others, too.
        let pairs = pairs(&report.runs, row, baseline, Metric::Score(measure));
        let (ours, theirs): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let reached = |scores: &[f64]| Some(format!("{:.2}", Spread::of(scores)?.mean));
        let verdict = match found.interval {
            None if found.pairs > 1 => format!("the same in all {} paired seeds, so the noise is unknown", found.pairs),
            None => "one pair, so the effect cannot be distinguished from noise".to_owned(),
            Some(of) => format!(
                "95 % interval {} over {} paired seeds: {}",
                interval(of.low, of.high),
                found.pairs,
                if of.is_distinguishable() { "more than noise" } else { "not distinguishable from noise" }
            ),
        };
        Some(format!(
            "{} reaches {}, {} {}: {}{}{} ({verdict}).",
            row.id.label(),
            value(measure, &reached(&ours)?),
            baseline.id.label(),
            reached(&theirs)? + measure.unit(),
            signed(found.mean),
            measure.unit_of_difference(),
            if measure.is_higher_better() { "" } else { ", where lower is better" },
        ))
    };
    found.iter().filter_map(sentence).collect()
}

/// A sentence on the score of one row; `None` without a finished run.
fn alone(report: &Report, row: &Row) -> Option<String> {
    let measure = report.task().score();
    let scores = report.finished(row).filter_map(|run| Some(run.summary.as_ref()?.figures.scores.get(measure)));
    // The difference from zero has the same interval.
    let pairs: Vec<(f64, f64)> = scores.map(|score| (score, 0.0)).collect();
    let sure = match PairedDifference::of(&pairs) {
        Some(of) => format!("95 % interval of the mean {:.2} to {:.2} over {} seeds", of.low, of.high, of.pairs),
        None if pairs.len() > 1 => format!("the same in all {} seeds, so the noise is unknown", pairs.len()),
        None => "one seed, so the spread over seeds is unknown".to_owned(),
    };
    let reached = format!("{:.2}", row.number(Metric::Score(measure))?.mean);
    Some(format!("{} reaches {} ({sure}).", row.id.label(), value(measure, &reached)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{finished, language, report};

    /// Without another row the claim is the accuracy: 2 +- 4.3027 / sqrt(3) around 80.
    #[test]
    fn one_row_says_what_it_reaches_and_how_sure_that_is() {
        let of = |accuracies: &[f64]| {
            let runs = accuracies.iter().zip(1..).map(|(&top1, seed)| finished(&format!("sgd-s{seed}"), top1));
            findings(&report(runs.collect()))
        };
        let interval = "95 % interval of the mean 77.52 to 82.48 over 3 seeds";
        assert_eq!(of(&[79.0, 80.0, 81.0]), [format!("SGD reaches 80.00 % ({interval}).")]);
        assert_eq!(of(&[80.0]), ["SGD reaches 80.00 % (one seed, so the spread over seeds is unknown)."]);
        assert!(of(&[80.0, 80.0])[0].contains("the same in all 2 seeds"));
        assert!(findings(&report(vec![crate::testing::unfinished("sgd-s1")])).is_empty());
    }

    #[test]
    fn a_difference_says_how_sure_it_is() {
        let runs = [("sgd-s1", 90.0), ("sgd-s2", 80.0), ("adamw-s1", 91.0), ("adamw-s2", 83.0)];
        let found = findings(&report(runs.map(|(name, top1)| finished(name, top1)).to_vec()));
        let interval = "95 % interval \u{2212}10.71 to +14.71 over 2 paired seeds: not distinguishable from noise";
        let wanted = format!("AdamW reaches 87.00 %, SGD 85.00 %: +2.00 points ({interval}).");
        assert_eq!(found, std::slice::from_ref(&wanted));
        // A seed that only one row has is in no figure of the sentence.
        let runs = [runs.as_slice(), &[("sgd-s3", 10.0)]].concat();
        let found = findings(&report(runs.iter().map(|(name, top1)| finished(name, *top1)).collect()));
        assert_eq!(found, [wanted]);
        // Two seeds each, one of them in common.
        let runs = [("sgd-s1", 90.0), ("sgd-s2", 80.0), ("adamw-s2", 83.0), ("adamw-s3", 10.0)];
        let found = findings(&report(runs.map(|(name, top1)| finished(name, top1)).to_vec()));
        let verdict = "one pair, so the effect cannot be distinguished from noise";
        assert_eq!(found, [format!("AdamW reaches 83.00 %, SGD 80.00 %: +3.00 points ({verdict}).")]);
    }

    /// Differences of -5.0 and -4.8: a lower perplexity is the better one.
    #[test]
    fn a_lower_perplexity_is_said_to_be_better() {
        let runs = [("sgd-s1", 90.0), ("sgd-s2", 92.0), ("adamw-s1", 85.0), ("adamw-s2", 87.2)];
        let runs = runs.map(|(name, perplexity)| language(name, perplexity)).to_vec();
        let interval = "95 % interval \u{2212}6.17 to \u{2212}3.63 over 2 paired seeds: more than noise";
        let wanted =
            format!("AdamW reaches perplexity 86.10, SGD 91.00: \u{2212}4.90, where lower is better ({interval}).");
        assert_eq!(findings(&report(runs.clone())), [wanted]);
        let alone = findings(&report(runs[..2].to_vec()));
        assert!(alone[0].starts_with("SGD reaches perplexity 91.00 (95 % interval of the mean 78.29 to"), "{alone:?}");
    }
}
