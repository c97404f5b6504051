//! What explains the collapse: each suspected cause, judged by a row that has it and one that does not.

use lookahead_report::{Report, Row, counted, interval, signed};
use lookahead_runs::{Measure, PairedDifference, Run, Status, by_seed};

/// The two suspected causes, each with a row that has it and a row without it.
const SUSPECTS: &[(&str, &str, &str)] = &[
    ("the learning rate 0.1", "lookahead-adamw-high-keep", "lookahead-adamw-keep"),
    ("the reset of the moments without the step counter", "lookahead-adamw-zeroed-keep", "lookahead-adamw-reset"),
];

/// One or two sentences on which causes lower the accuracy by more than noise.
pub(super) fn verdict(report: &Report) -> String {
    let (mut guilty, mut others) = (Vec::new(), Vec::new());
    for (suspect, with, without) in SUSPECTS {
        let (Some(with), Some(without)) = (find(report, with), find(report, without)) else { continue };
        let diverged = diverged_instead(report, with, without);
        if diverged > 0 {
            guilty.push(format!("{suspect} (diverged with {})", counted(diverged, "seed")));
            continue;
        }
        let pairs = pairs(report, with, without);
        match (PairedDifference::of(&pairs), pairs.as_slice()) {
            (Some(d), _) if d.mean < 0.0 && d.is_distinguishable() => {
                guilty.push(format!("{suspect} ({} points)", signed(d.mean)))
            }
            (Some(d), _) => others.push(format!("{suspect} ({})", signed(d.mean))),
            (None, [first, _, ..]) => others.push(format!("{suspect} ({} in all seeds)", signed(first.0 - first.1))),
            (None, _) => others.push(format!("{suspect} (too few runs)")),
        }
    }
    match (guilty.as_slice(), others.as_slice()) {
        ([], others) => format!("No effect exceeds the noise: {}.", others.join(", ")),
        ([_, _, ..], []) => format!("**Both: {}.**", guilty.join(" and ")),
        (guilty, []) => format!("**{}.**", capitalized(&guilty.join(" and "))),
        (guilty, others) => format!(
            "**{}.** The effect of {} does not exceed the noise.",
            capitalized(&guilty.join(" and ")),
            others.join(" and ")
        ),
    }
}

/// The question that each pair of rows answers.
pub(super) const QUESTIONS: &[(&str, &str, &str)] = &[
    ("Lookahead itself, state kept", "lookahead-adamw-keep", "adamw"),
    ("A correct reset instead of keeping", "lookahead-adamw-reset", "lookahead-adamw-keep"),
    ("Interpolating instead of keeping", "lookahead-adamw-interpolate", "lookahead-adamw-keep"),
    (
        "Resetting moments without the counter, instead of a correct reset",
        "lookahead-adamw-zeroed-keep",
        "lookahead-adamw-reset",
    ),
    ("The learning rate 0.1 in AdamW alone", "adamw-high", "adamw"),
    ("The learning rate 0.1 under Lookahead, state kept", "lookahead-adamw-high-keep", "lookahead-adamw-keep"),
    ("Lookahead at the learning rate 0.1, compared with AdamW at 0.1", "lookahead-adamw-high-keep", "adamw-high"),
    (
        "Both mistakes, compared with the learning rate alone",
        "lookahead-adamw-zeroed-high-keep",
        "lookahead-adamw-high-keep",
    ),
];

/// One line: the difference between the two rows of a question, and whether it exceeds the noise.
pub(super) fn answer(report: &Report, question: &str, ours: &str, theirs: &str) -> String {
    let (Some(ours), Some(theirs)) = (find(report, ours), find(report, theirs)) else { return String::new() };
    let pairs = pairs(report, ours, theirs);
    match (PairedDifference::of(&pairs), pairs.as_slice()) {
        (None, [first, _, ..]) => {
            let difference = signed(first.0 - first.1);
            format!("- {question}: {difference} points, the same in all seeds, so the noise is unknown.\n")
        }
        (None, _) => match diverged_instead(report, ours, theirs) {
            0 => format!("- {question}: too few finished runs to tell.\n"),
            seeds => format!("- {question}: diverged with {}.\n", counted(seeds, "seed")),
        },
        (Some(d), _) => format!(
            "- {question}: {} points ({}), {}.\n",
            signed(d.mean),
            interval(d.low, d.high),
            if d.is_distinguishable() { "more than noise" } else { "not distinguishable from noise" }
        ),
    }
}

/// The number of seeds that diverged in the row `with` and ended in the row `without`.
fn diverged_instead(report: &Report, with: &Row, without: &Row) -> usize {
    let ended: Vec<u64> = report.finished(without).map(|run| run.seed).collect();
    with.runs.iter().filter(|&&run| is_diverged(&report.runs[run]) && ended.contains(&report.runs[run].seed)).count()
}

pub(super) fn is_diverged(run: &Run) -> bool {
    run.status == Status::Diverged
}

/// The accuracies of the two rows, by seed; without seeds that have none in one of them.
pub(super) fn pairs(report: &Report, ours: &Row, theirs: &Row) -> Vec<(f64, f64)> {
    let accuracies = |row: &Row| -> Vec<(u64, f64)> {
        let top1 = |run: &Run| Some((run.seed, run.summary.as_ref()?.figures.scores.get(Measure::Top1)));
        report.finished(row).filter_map(top1).filter(|(_, top1)| top1.is_finite()).collect()
    };
    by_seed(&accuracies(ours), &accuracies(theirs))
}

/// The row with the folder name `name`.
pub(super) fn find<'a>(report: &'a Report, name: &str) -> Option<&'a Row> {
    report.rows.iter().find(|row| row.id.folder() == name)
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
}
