//! A study's tables, as cells of text.

use lookahead_runs::{Improvement, PairedDifference, Spread, by_seed, holm};

use super::{StudyReport, StudyRow};
use crate::number::{ABSENT, clock, interval, signed};

/// A table: its heading, and its rows.
pub(super) struct Cells {
    pub(super) head: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
}

/// Final runs from which on an effect size says something.
const ENOUGH: usize = 10;

/// The chosen settings and what they did with fresh seeds.
pub(super) fn chosen(study: &StudyReport) -> Cells {
    let head = vec![
        "Row",
        "Chosen of",
        "Setting",
        "Valid top-1 %",
        "Seeds",
        "Test top-1 %",
        "Test loss",
        "Diverged",
        "Time",
        "MiB",
    ];
    Cells { head, rows: study.rows.iter().map(chosen_row).collect() }
}

fn chosen_row(row: &StudyRow) -> Vec<String> {
    let trial = &row.trials[row.chosen];
    let edges =
        if row.edges.is_empty() { String::new() } else { format!(" (at the edge of {})", row.edges.join(", ")) };
    let tried = row.trials.iter().map(|trial| trial.diverged).sum::<usize>();
    let top1: Vec<f64> = row.accuracies().iter().map(|(_, top1)| *top1).collect();
    let loss = row.of_finals(|figures| Some(figures.loss));
    let peak = row.of_finals(|figures| (figures.peak_rss_mb > 0).then_some(figures.peak_rss_mb));
    vec![
        row.title.clone(),
        row.trials.len().to_string(),
        format!("{}{edges}", trial.words()),
        format!("{:.2}", trial.mean()),
        row.finals.len().to_string(),
        spread(&top1, 2),
        spread(&loss, 4),
        format!("{} of {}, tuning {tried}", row.diverged(), row.finals.len()),
        median_time(&mut row.of_finals(|figures| figures.seconds)),
        peak.iter().max().map_or_else(|| ABSENT.to_owned(), u64::to_string),
    ]
}

fn spread(values: &[f64], digits: usize) -> String {
    match Spread::of(values) {
        None => ABSENT.to_owned(),
        Some(Spread { mean, std: None }) => format!("{mean:.digits$}"),
        Some(Spread { mean, std: Some(std) }) => format!("{mean:.digits$} \u{b1} {std:.digits$}"),
    }
}

/// The median and the range of runs that had the machine to themselves.
fn median_time(seconds: &mut [f64]) -> String {
    seconds.sort_by(f64::total_cmp);
    match seconds {
        [] => ABSENT.to_owned(),
        [only] => clock(*only),
        [first, .., last] => {
            let (first, last) = (clock(*first), clock(*last));
            format!("{} ({first} to {last})", clock(seconds[seconds.len() / 2]))
        }
    }
}

/// The differences of the final runs, corrected for their number.
pub(super) fn differences(study: &StudyReport) -> Cells {
    let mut found: Vec<(String, PairedDifference, Improvement, usize)> = Vec::new();
    let mut same: Vec<Vec<String>> = Vec::new();
    for row in &study.rows {
        let Some(baseline) = row.baseline.map(|baseline| &study.rows[baseline]) else { continue };
        let (ours, theirs) = (row.accuracies(), baseline.accuracies());
        let pairs = by_seed(&ours, &theirs);
        let name = format!("{} \u{2212} {}", row.title, baseline.title);
        let values = |runs: &[(u64, f64)]| -> Vec<f64> { runs.iter().map(|(_, top1)| *top1).collect() };
        match (PairedDifference::of(&pairs), Improvement::of(&values(&ours), &values(&theirs))) {
            (Some(difference), Some(chance)) => found.push((name, difference, chance, pairs.len())),
            _ => {
                let mut line = vec![name, ABSENT.to_owned(), "the noise is unknown".to_owned()];
                line.extend(std::iter::repeat_n(ABSENT.to_owned(), 4));
                line.push(pairs.len().to_string());
                same.push(line);
            }
        }
    }
    let corrected = holm(&found.iter().map(|(_, difference, ..)| difference.p_value()).collect::<Vec<_>>());
    let line = |((name, difference, chance, pairs), p): (&(String, PairedDifference, Improvement, usize), &f64)| {
        let effect = if *pairs >= ENOUGH { signed(difference.effect_size) } else { ABSENT.to_owned() };
        let verdict = if *p < 0.05 { "" } else { ", not distinguishable" };
        vec![
            name.clone(),
            signed(difference.mean),
            interval(difference.low, difference.high),
            format!("{p:.3}{verdict}"),
            format!("{:.2} ({:.2} to {:.2})", chance.chance, chance.low, chance.high),
            format!("{:.2}", difference.smallest_visible()),
            effect,
            pairs.to_string(),
        ]
    };
    let mut rows: Vec<Vec<String>> = found.iter().zip(&corrected).map(line).collect();
    rows.append(&mut same);
    let head = vec![
        "Test top-1, paired by seed",
        "Points",
        "95 % interval",
        "p (Holm)",
        "Chance to be better",
        "Smallest visible",
        "Effect size",
        "Pairs",
    ];
    Cells { head, rows }
}

#[cfg(test)]
mod tests {
    use super::super::testing::study;
    use super::*;

    #[test]
    fn what_was_chosen_is_told_with_its_edges_and_losses() {
        let cells = chosen(&study());
        assert_eq!(cells.rows[0][2], "learning_rate 0.3");
        // 101 to 104 leave 2, 0, 1 and 2 when divided by 3; only the even ones had the machine to themselves.
        assert_eq!(cells.rows[0][5], "70.12 \u{b1} 0.10");
        assert_eq!(cells.rows[0][7..9], ["0 of 4, tuning 1", "1:54 (1:52 to 1:54)"]);
        assert_eq!(cells.rows[1][2], "slow_step_size 0.5, sync_period 10 (at the edge of sync_period)");
        assert_eq!(cells.rows[1][7], "1 of 4, tuning 0");
    }

    /// Lookahead is two points better in three seeds and diverged in one: on average 2 - 18 = -16.1.
    #[test]
    fn a_diverged_run_counts_against_its_row() {
        let cells = differences(&study());
        assert_eq!(cells.rows.len(), 1);
        assert!(cells.rows[0][1].starts_with('\u{2212}'), "{:?}", cells.rows[0]);
        assert!(cells.rows[0][3].ends_with("not distinguishable"));
        assert!(cells.rows[0][4].starts_with("0.75 ("), "{:?}", cells.rows[0]);
        assert_eq!(cells.rows[0][6..], [ABSENT, "4"], "four pairs are too few for an effect size");
    }
}
