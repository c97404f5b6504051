//! The results of a study, in sentences.

use lookahead_runs::Measure;

use super::StudyReport;
use super::rates::{self, Bound, Factor};
use super::tables::{CERTAIN, Compared, chance_of_noise, compared, spread};
use crate::number::{interval, signed};

/// One sentence per comparison at the best settings, and one per comparison of the ranges of learning rates.
pub(super) fn answers(study: &StudyReport) -> Vec<String> {
    let measure = study.task.score();
    let mut all: Vec<String> = compared(study).iter().filter_map(|of| at_best(measure, of)).collect();
    all.extend(rates::against(study).into_iter().map(|of| wider(of.title, of.baseline, of.factor)));
    all
}

/// The comparison of two rows, each at its best setting.
fn at_best(measure: Measure, of: &Compared<'_>) -> Option<String> {
    let (difference, p) = of.difference?;
    let scores = |row: &super::StudyRow| {
        let scores: Vec<f64> = row.scores(measure).iter().map(|(_, score)| *score).collect();
        format!("{}{}", spread(&scores, 2), measure.unit())
    };
    let verdict = match (p < CERTAIN, measure.is_better(difference.mean, 0.0)) {
        (true, true) => "is better than",
        (true, false) => "is worse than",
        (false, _) => "cannot be distinguished from",
    };
    let p = chance_of_noise(p);
    Some(format!(
        "{} {verdict} {}, each at its best setting: {} {} against {}, a difference of {}{} (95 % interval {}, p {} corrected, {} pairs).",
        of.row.title,
        of.baseline.title,
        measure.name(),
        scores(of.row),
        scores(of.baseline),
        signed(difference.mean),
        measure.unit_of_difference(),
        interval(difference.low, difference.high),
        if p.starts_with('<') { p } else { format!("= {p}") },
        of.pairs.len()
    ))
}

/// The comparison of the widths of two ranges of good rates.
fn wider(row: &str, baseline: &str, factor: Factor) -> String {
    let times = factor.times;
    let of = "The range of good learning rates of";
    match factor.bound {
        Bound::None => {}
        Bound::AtLeast => {
            return format!(
                "{of} {row} is at least {times:.2} times as wide as that of {baseline}: it extends beyond the rates tried."
            );
        }
        Bound::AtMost => {
            return format!(
                "{of} {row} is at most {times:.2} times as wide as that of {baseline}, which extends beyond the rates tried."
            );
        }
        Bound::Unknown => {
            return format!(
                "{of} {row} cannot be compared with that of {baseline}: both extend beyond the rates tried."
            );
        }
    }
    let verdict = match factor.interval {
        Some((low, _)) if low > 1.0 => "is wider than",
        Some((_, high)) if high < 1.0 => "is narrower than",
        _ => "cannot be distinguished in width from",
    };
    let range =
        factor.interval.map_or_else(String::new, |(low, high)| format!(" (95 % interval {low:.2} to {high:.2})"));
    format!("{of} {row} {verdict} that of {baseline}: {times:.2} times as wide{range}.")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{of_language, study};
    use super::*;

    #[test]
    fn a_study_is_answered_in_sentences() {
        let mut study = study();
        let found = answers(&study);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("Lookahead/<SGD> cannot be distinguished from SGD, each at its best setting: top-1 ")
        );
        let figures = study.rows[0].finals[0].figures.unwrap();
        for run in &mut study.rows[1].finals {
            run.figures.get_or_insert(figures).score = 75.0 + 0.01 * run.seed as f64;
        }
        let found = answers(&study);
        assert!(
            found[0].starts_with("Lookahead/<SGD> is better than SGD") && found[0].contains(" points ("),
            "{found:?}"
        );
        // A diverged run is infinite: there is no mean to speak of.
        assert!(answers(&of_language()).is_empty());
    }

    #[test]
    fn a_width_is_told_with_its_interval() {
        let of = |interval| wider("A", "B", Factor { times: 1.5, bound: Bound::None, interval });
        assert_eq!(
            of(Some((1.2, 1.9))),
            "The range of good learning rates of A is wider than that of B: 1.50 times as wide (95 % interval 1.20 to 1.90)."
        );
        assert!(of(Some((0.9, 1.9))).contains("cannot be distinguished in width from that of B"));
        assert!(of(None).ends_with("1.50 times as wide."));
        let of = |bound| wider("A", "B", Factor { times: 1.5, bound, interval: None });
        assert!(of(Bound::AtLeast).contains("of A is at least 1.50 times as wide as that of B: it extends"));
        assert!(of(Bound::AtMost).contains("of A is at most 1.50 times as wide as that of B, which extends"));
        assert!(of(Bound::Unknown).contains("of A cannot be compared with that of B: both"));
    }
}
