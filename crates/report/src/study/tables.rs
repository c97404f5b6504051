//! The tables of a study, as cells of text.

use lookahead_runs::{Improvement, Measure, PairedDifference, Split, Spread, by_seed, holm};

use super::{StudyReport, StudyRow};
use crate::metric::Metric;
use crate::number::{ABSENT, clock, interval, median, signed};
use crate::words::direction;

/// A table: heading and rows.
pub(super) struct Cells {
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

/// Shown for the mean of a score if a run diverged and the worst score is infinite.
pub(super) const INFINITE: &str = "infinite";

/// A mean or loss with this number of decimals, or [`INFINITE`]; absent if it is not a number.
pub(super) fn or_infinite(value: f64, digits: usize) -> String {
    match value {
        value if value.is_nan() => ABSENT.to_owned(),
        value if value.is_infinite() => INFINITE.to_owned(),
        value => format!("{value:.digits$}"),
    }
}

/// Significance level of a corrected p.
pub(super) const CERTAIN: f64 = 0.05;

/// Minimum number of pairs for an effect size.
const ENOUGH: usize = 10;

/// Name of the part that the final runs are evaluated on.
fn judged(study: &StudyReport) -> &'static str {
    match study.split {
        Split::Test => "Test",
        Split::Valid => "Held-out",
    }
}

/// The chosen settings and their results with fresh seeds.
pub(super) fn chosen(study: &StudyReport) -> Cells {
    let measure = study.task.score();
    let judged = judged(study);
    let [valid, test] = ["Valid", judged].map(|split| format!("{split} {}", measure.title().to_lowercase()));
    let loss = format!("{judged} loss");
    let head = ["Row", "Trials", "Setting", &valid, "Seeds", &test, &loss, "Diverged", "Time", "MiB"];
    Cells {
        head: head.map(str::to_owned).to_vec(),
        rows: study.rows.iter().map(|row| chosen_row(measure, row)).collect(),
    }
}

fn chosen_row(measure: Measure, row: &StudyRow) -> Vec<String> {
    let trial = row.trials.get(row.chosen);
    let edges =
        if row.edges.is_empty() { String::new() } else { format!(" (at the edge of {})", row.edges.join(", ")) };
    let tried = row.trials.iter().map(|trial| trial.diverged).sum::<usize>();
    let scores: Vec<f64> = row.scores(measure).iter().map(|(_, score)| *score).collect();
    let loss = row.of_finals(|figures| Some(figures.loss));
    let peak = row.of_finals(|figures| (figures.peak_rss_mb > 0).then_some(figures.peak_rss_mb));
    vec![
        row.title.clone(),
        row.trials.len().to_string(),
        trial.map_or_else(|| ABSENT.to_owned(), |trial| format!("{}{edges}", trial.words())),
        trial.map_or_else(|| ABSENT.to_owned(), |trial| or_infinite(trial.mean(), 2)),
        row.finals.len().to_string(),
        spread(&scores, 2),
        spread(&loss, 4),
        format!("{} of {}, tuning {tried}", row.diverged(), row.finals.len()),
        median_time(&mut row.of_finals(|figures| figures.seconds)),
        peak.iter().max().map_or_else(|| ABSENT.to_owned(), u64::to_string),
    ]
}

pub(super) fn spread(values: &[f64], digits: usize) -> String {
    match Spread::of(values) {
        None => ABSENT.to_owned(),
        Some(Spread { mean, std: Some(std) }) if mean.is_finite() => format!("{mean:.digits$} \u{b1} {std:.digits$}"),
        Some(Spread { mean, .. }) => or_infinite(mean, digits),
    }
}

/// Median and range of the times of runs that had the machine to themselves.
fn median_time(seconds: &mut [f64]) -> String {
    match (median(seconds), &*seconds) {
        (None, _) => ABSENT.to_owned(),
        (Some(median), [first, .., last]) => format!("{} ({} to {})", clock(median), clock(*first), clock(*last)),
        (Some(only), _) => clock(only),
    }
}

/// A row compared with its baseline, by the final runs.
pub(super) struct Compared<'a> {
    pub(super) row: &'a StudyRow,
    pub(super) baseline: &'a StudyRow,
    pub(super) pairs: Vec<(f64, f64)>,
    /// The difference and its corrected p; `None` without a finite mean or without noise.
    pub(super) difference: Option<(PairedDifference, f64)>,
    /// Probability of improvement; `None` if a row has no final runs.
    chance: Option<Improvement>,
}

/// Every row that has a baseline, compared with it.
pub(super) fn compared(study: &StudyReport) -> Vec<Compared<'_>> {
    let measure = study.task.score();
    let gains = |runs: &[(u64, f64)]| -> Vec<f64> { runs.iter().map(|(_, score)| measure.gain(*score)).collect() };
    let mut all: Vec<Compared<'_>> = Vec::new();
    for row in &study.rows {
        let Some(baseline) = study.baseline_of(row) else { continue };
        let (ours, theirs) = (row.scores(measure), baseline.scores(measure));
        let pairs = by_seed(&ours, &theirs);
        let chance = Improvement::of(&gains(&ours), &gains(&theirs));
        let difference = PairedDifference::of(&pairs).map(|found| (found, found.p_value()));
        all.push(Compared { row, baseline, pairs, difference, chance });
    }
    let mut found: Vec<&mut (PairedDifference, f64)> = all.iter_mut().filter_map(|of| of.difference.as_mut()).collect();
    let corrected = holm(&found.iter().map(|(_, p)| *p).collect::<Vec<_>>());
    found.iter_mut().zip(corrected).for_each(|((_, p), corrected)| *p = corrected);
    all
}

/// The differences of the final runs.
pub(super) fn differences(study: &StudyReport) -> Cells {
    let measure = study.task.score();
    let line = |of: &Compared<'_>| {
        let name = format!("{} \u{2212} {}", of.row.title, of.baseline.title);
        let absent = || ABSENT.to_owned();
        let pairs = of.pairs.len().to_string();
        let Some((difference, p)) = of.difference else {
            let is_finite = of.pairs.iter().all(|(ours, theirs)| (ours - theirs).is_finite());
            let why = if is_finite { "the noise is unknown" } else { "a run diverged, so there is no mean" };
            // Diverged runs can be ranked, too.
            let chance = of.chance.filter(|_| !is_finite).map_or_else(absent, of_chance);
            return vec![name, absent(), why.to_owned(), absent(), chance, absent(), absent(), pairs];
        };
        let effect = if of.pairs.len() >= ENOUGH { signed(difference.effect_size) } else { absent() };
        let verdict = if p < CERTAIN { "" } else { ", not distinguishable" };
        vec![
            name,
            signed(difference.mean),
            interval(difference.low, difference.high),
            format!("{}{verdict}", chance_of_noise(p)),
            of.chance.map_or_else(absent, of_chance),
            format!("{:.2}", difference.smallest_visible()),
            effect,
            pairs,
        ]
    };
    // Rows with a mean come first.
    let mut all = compared(study);
    all.sort_by_key(|of| of.difference.is_none());
    let what = format!("{} {}, paired by seed{}", judged(study), measure.name(), direction(measure));
    let difference = Metric::Score(measure).title_of_difference();
    let head = [
        what.as_str(),
        difference,
        "95 % interval",
        "p (Holm)",
        "Probability of improvement",
        "Smallest visible",
        "Effect size",
        "Pairs",
    ];
    Cells { head: head.map(str::to_owned).to_vec(), rows: all.iter().map(line).collect() }
}

/// A p value to three decimals; `< 0.001` below 0.0005.
pub(super) fn chance_of_noise(p: f64) -> String {
    if p < 5e-4 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

fn of_chance(chance: Improvement) -> String {
    format!("{:.2} ({:.2} to {:.2})", chance.chance, chance.low, chance.high)
}

#[cfg(test)]
mod tests {
    use super::super::FinalFigures;
    use super::super::testing::{of_language, study};
    use super::*;

    #[test]
    fn what_was_chosen_is_told_with_its_edges_and_losses() {
        let cells = chosen(&study());
        assert_eq!(cells.rows[0][2], "learning_rate 0.3");
        // 101 to 104 leave 2, 0, 1 and 2 when divided by 3; only the even ones had the machine to themselves.
        assert_eq!(cells.rows[0][5], "70.12 \u{b1} 0.10");
        assert_eq!(cells.rows[0][7..9], ["0 of 4, tuning 1", "1:53 (1:52 to 1:54)"]);
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

    /// The same runs in perplexity: Lookahead is two lower in three seeds, which is better, and infinite in one.
    #[test]
    fn a_lower_perplexity_is_better_and_a_diverged_run_is_infinite() {
        let mut study = of_language();
        study.rows[1].chosen = 0;
        study.rows[1].trials[0].scores[0].1 = f64::INFINITY;
        let cells = chosen(&study);
        assert_eq!((cells.head[3].as_str(), cells.head[5].as_str()), ("Valid perplexity", "Test perplexity"));
        assert_eq!([&cells.rows[0][3], &cells.rows[1][3]], ["89.75", INFINITE], "one of two seeds diverged");
        assert_eq!((cells.rows[0][5].as_str(), cells.rows[1][5].as_str()), ("89.88 \u{b1} 0.10", INFINITE));
        let found = differences(&study);
        assert_eq!(found.head[..2], ["Test perplexity, paired by seed (lower is better)", "Difference"]);
        assert_eq!(found.rows[0][1..3], [ABSENT, "a run diverged, so there is no mean"]);
        assert!(found.rows[0][4].starts_with("0.75 ("), "{:?}", found.rows[0]);
        // Without the diverged run and with some noise.
        for (position, run) in study.rows[1].finals.iter_mut().enumerate() {
            let figures =
                FinalFigures { score: 87.9 + 0.1 * position as f64, loss: 1.0, seconds: None, peak_rss_mb: 0 };
            run.figures = Some(figures);
        }
        let found = &differences(&study).rows[0];
        assert!(found[1].starts_with('\u{2212}') && !found[3].contains("not"), "{found:?}");
        assert!(found[4].starts_with("1.00 ("), "{found:?}");
    }
}
