//! Rows that would be compared if they had a seed in common.

use std::collections::BTreeSet;

use lookahead_runs::{Run, Status};

use crate::compare::shown;
use crate::conditions::Conditions;
use crate::row::Row;

/// A warning about pairs of rows whose differences would be shown if they shared a finished seed; `None` if there are
/// none. Rows that cannot be compared for another reason have a warning of their own.
pub(crate) fn unpaired(rows: &[Row], runs: &[Run]) -> Option<String> {
    let finished = |row: &Row| -> BTreeSet<u64> {
        let done = row.runs.iter().map(|&run| &runs[run]).filter(|run| run.status == Status::Done);
        done.map(|run| run.seed).collect()
    };
    let is_comparable = |row: &Row, baseline: &Row| {
        row.data == baseline.data && Conditions::of(row, runs).are_those_of(&Conditions::of(baseline, runs))
    };
    let (mut apart, mut are_others_paired) = (Vec::new(), false);
    for (row, baseline) in shown(rows).into_iter().map(|(row, baseline)| (&rows[row], &rows[baseline])) {
        let (ours, theirs) = (finished(row), finished(baseline));
        // A row without a finished run is in no table, so nobody looks for its difference.
        if ours.is_empty() || theirs.is_empty() || !is_comparable(row, baseline) {
            continue;
        }
        if ours.is_disjoint(&theirs) {
            apart.push(format!("{} and {}", row.id.label(), baseline.id.label()));
        } else {
            are_others_paired = true;
        }
    }
    match (apart.is_empty(), are_others_paired) {
        (true, _) => None,
        (false, false) => Some(
            "The rows have no seed in common, so no differences are shown: give all rows the same seeds.".to_owned(),
        ),
        (false, true) => {
            let pairs = apart.join("; ");
            Some(format!("No seed in common, so no difference is shown: {pairs}. Give all rows the same seeds."))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{finished, report, unfinished};
    use crate::{differences, markdown_differences, text};

    fn warnings(names: &[&str]) -> Vec<String> {
        report(names.iter().map(|name| finished(name, 80.0)).collect()).warnings
    }

    #[test]
    fn rows_without_a_common_seed_are_named() {
        let none = "The rows have no seed in common, so no differences are shown: give all rows the same seeds.";
        let apart = ["sgd-s1", "sgd-s2", "sgd-s3", "adamw-s4", "adamw-s5", "adamw-s6"];
        assert_eq!(warnings(&apart), [none]);
        let some = "No seed in common, so no difference is shown: AdamW and SGD. Give all rows the same seeds.";
        let keep = ["lookahead-sgd-keep-s1", "lookahead-adamw-keep-s4"];
        assert_eq!(warnings(&[&apart[..], &keep].concat()), [some]);
        // Of three rows, all pairs are shown: the third is missing here.
        let some = "No seed in common, so no difference is shown: RMSProp and AdamW. Give all rows the same seeds.";
        assert_eq!(warnings(&["sgd-s1", "sgd-s2", "adamw-s1", "rmsprop-s2"]), [some]);
        assert!(warnings(&["sgd-s1", "sgd-s2", "adamw-s2", "adamw-s3"]).is_empty());
    }

    /// The terminal shows the sentence where the differences would be missing without a word.
    #[test]
    fn the_terminal_says_why_there_are_no_differences() {
        let report = report(["sgd-s1", "adamw-s2"].map(|name| finished(name, 80.0)).to_vec());
        assert!(differences(&report).is_empty() && markdown_differences(&report).is_empty());
        assert!(text(&report, usize::MAX).contains("\nThe rows have no seed in common"));
    }

    /// Other reasons are told by other warnings, or there is nothing to compare yet.
    #[test]
    fn rows_that_would_not_be_compared_are_not_named() {
        let report_of = |epochs: &str| {
            let mut runs = vec![finished("sgd-s1", 80.0), finished("adamw-s2", 80.0)];
            for (run, epochs) in runs.iter_mut().zip(["5", epochs]) {
                run.settings.insert("train.epochs".to_owned(), epochs.to_owned());
            }
            report(runs)
        };
        assert!(report_of("5").warnings[0].starts_with("The rows have no seed"));
        assert_eq!(report_of("9").warnings.len(), 1, "{:?}", report_of("9").warnings);
        assert!(report_of("9").warnings[0].starts_with("Rows that differ in these settings"));
        assert!(report(vec![finished("sgd-s1", 80.0), unfinished("adamw-s2")]).warnings.is_empty());
    }
}
