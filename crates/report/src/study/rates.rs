//! Sensitivity to the learning rate: the width of the range of good rates, and two rows at the same rate.

use lookahead_runs::{Measure, PairedDifference};

use super::tables::{Cells, or_infinite};
use super::width::{Width, tolerance, width};
use super::{RATE, StudyReport, StudyRow, Trial};
use crate::metric::Metric;
use crate::number::{ABSENT, interval, signed};
use crate::words::direction;

/// Minimum number of rates for a range.
const FEWEST: usize = 3;

/// The best trial at each learning rate, in ascending order.
fn by_rate(measure: Measure, row: &StudyRow) -> Vec<(f64, &Trial)> {
    let mut found: Vec<(f64, &Trial)> = Vec::new();
    for trial in &row.trials {
        let Some(rate) = trial.number(RATE).filter(|rate| *rate > 0.0) else { continue };
        match found.iter_mut().find(|(other, _)| *other == rate) {
            Some((_, best)) if measure.best_first(trial.mean(), best.mean()).is_lt() => *best = trial,
            Some(_) => {}
            None => found.push((rate, trial)),
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found
}

/// The range of good rates of each seed that has a score at every rate and did not diverge at all of them.
fn widths(measure: Measure, row: &StudyRow) -> Vec<(u64, Width)> {
    let rates = by_rate(measure, row);
    let seeds = rates.first().map_or(&[][..], |(_, trial)| trial.scores.as_slice());
    let of = |seed: u64| {
        let point = |(rate, trial): &(f64, &Trial)| {
            let (_, score) = trial.scores.iter().find(|(own, _)| *own == seed)?;
            Some((*rate, *score))
        };
        width(measure, &rates.iter().map(point).collect::<Option<Vec<_>>>()?)
    };
    seeds.iter().filter(|_| rates.len() >= FEWEST).filter_map(|(seed, _)| Some((*seed, of(*seed)?))).collect()
}

/// What a factor says of the true one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// It is an estimate of it.
    None,
    /// The true one is larger, because one of our ranges is open.
    AtLeast,
    /// The true one is smaller, because one of their ranges is open.
    AtMost,
    /// Nothing, because both have open ranges.
    Unknown,
}

/// A factor with its 95 % interval, which needs two seeds that differ, and ranges of which none is open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Factor {
    pub(super) times: f64,
    pub(super) bound: Bound,
    pub(super) interval: Option<(f64, f64)>,
}

impl Factor {
    /// The factor between pairs of widths.
    fn of(pairs: &[(Width, Width)]) -> Self {
        let logarithms: Vec<(f64, f64)> =
            pairs.iter().map(|(ours, theirs)| (ours.doublings, theirs.doublings)).collect();
        let mean = logarithms.iter().map(|(ours, theirs)| ours - theirs).sum::<f64>() / pairs.len().max(1) as f64;
        let bound = match (pairs.iter().any(|pair| pair.0.is_open), pairs.iter().any(|pair| pair.1.is_open)) {
            (false, false) => Bound::None,
            (true, false) => Bound::AtLeast,
            (false, true) => Bound::AtMost,
            (true, true) => Bound::Unknown,
        };
        let interval = PairedDifference::of(&logarithms).filter(|_| bound == Bound::None);
        Self { times: mean.exp2(), bound, interval: interval.map(|of| (of.low.exp2(), of.high.exp2())) }
    }

    fn cells(self) -> [String; 2] {
        let range = self.interval.map_or_else(|| ABSENT.to_owned(), |(low, high)| format!("{low:.2} to {high:.2}"));
        let times = match self.bound {
            Bound::None => format!("{:.2}", self.times),
            Bound::AtLeast => format!("at least {:.2}", self.times),
            Bound::AtMost => format!("at most {:.2}", self.times),
            Bound::Unknown => ABSENT.to_owned(),
        };
        [times, range]
    }
}

/// A row's range of good rates compared with its baseline's.
pub(super) struct Against<'a> {
    /// Index of the row in [`StudyReport::rows`].
    row: usize,
    pub(super) title: &'a str,
    pub(super) baseline: &'a str,
    /// How much wider the row's range is.
    pub(super) factor: Factor,
}

/// How much wider the range of each row is than its baseline's, for rows and baselines that have one.
pub(super) fn against(study: &StudyReport) -> Vec<Against<'_>> {
    let measure = study.task.score();
    let mut all = Vec::new();
    for (position, row) in study.rows.iter().enumerate() {
        let Some(baseline) = study.baseline_of(row) else { continue };
        let theirs = widths(measure, baseline);
        let pair = |(seed, ours): (u64, Width)| {
            let (_, other) = theirs.iter().find(|(own, _)| *own == seed)?;
            Some((ours, *other))
        };
        let pairs: Vec<(Width, Width)> = widths(measure, row).into_iter().filter_map(pair).collect();
        if !pairs.is_empty() {
            let (title, baseline) = (row.title.as_str(), baseline.title.as_str());
            all.push(Against { row: position, title, baseline, factor: Factor::of(&pairs) });
        }
    }
    all
}

/// The width of each row's range of good learning rates, and the factor to that of its baseline.
pub(super) fn ranges(study: &StudyReport) -> Cells {
    let measure = study.task.score();
    let against = against(study);
    let mut rows = Vec::new();
    for (position, row) in study.rows.iter().enumerate() {
        let own = widths(measure, row);
        if own.is_empty() {
            continue;
        }
        // A range of one rate, so that the factor is the width itself.
        let one = Width { doublings: 0.0, is_open: false };
        let alone: Vec<(Width, Width)> = own.iter().map(|(_, width)| (*width, one)).collect();
        let open = own.iter().filter(|(_, width)| width.is_open).count();
        let mut line = vec![row.title.clone()];
        line.extend(Factor::of(&alone).cells());
        line.push(open.to_string());
        // By its position: rows may have the same title.
        match against.iter().find(|against| against.row == position) {
            Some(Against { baseline, factor, .. }) => {
                line.push((*baseline).to_owned());
                line.extend(factor.cells());
            }
            None => line.extend([ABSENT; 3].map(str::to_owned)),
        }
        line.push(own.len().to_string());
        rows.push(line);
    }
    let head = [
        "Row",
        "Highest / lowest good rate",
        "95 % interval",
        "Open",
        "Against",
        "Times as wide",
        "95 % interval",
        "Seeds",
    ];
    Cells { head: head.map(str::to_owned).to_vec(), rows }
}

/// Each row compared with its baseline on the held-out data, at the learning rates that both tried.
pub(super) fn at_same_rate(study: &StudyReport) -> Cells {
    let measure = study.task.score();
    let mut rows = Vec::new();
    for row in &study.rows {
        let Some(baseline) = study.baseline_of(row) else { continue };
        let theirs = by_rate(measure, baseline);
        for (rate, trial) in by_rate(measure, row) {
            let Some((_, other)) = theirs.iter().find(|(own, _)| *own == rate) else { continue };
            let [ours, theirs] = [trial.mean(), other.mean()].map(|mean| or_infinite(mean, 2));
            let [difference, range] = match trial.minus(other) {
                Some(found) => [signed(found.mean), interval(found.low, found.high)],
                None => [ABSENT, ABSENT].map(str::to_owned),
            };
            let name = format!("{} \u{2212} {}", row.title, baseline.title);
            rows.push(vec![name, rate.to_string(), ours, theirs, difference, range]);
        }
    }
    let what = format!("Held-out {}, paired by seed{}", measure.name(), direction(measure));
    let difference = Metric::Score(measure).title_of_difference();
    let head = [what.as_str(), "Learning rate", "With", "Without", difference, "95 % interval"];
    Cells { head: head.map(str::to_owned).to_vec(), rows }
}

/// Notes on the two tables.
pub(super) fn note(study: &StudyReport) -> String {
    let measure = study.task.score();
    format!(
        "A learning rate is good if the {} on the held-out data is {} the row's best, for each seed separately. Between two rates that were tried, the end of \
         the range is interpolated over the logarithm of the rate. Widths are geometric means over the seeds of tuning, with a 95 % confidence interval. Open \
         counts the seeds whose range extends beyond the rates tried, so that the true range is wider: such rows have no interval, and what is known is a \
         bound. A seed that diverged at every rate is left out.",
        measure.name(),
        tolerance(measure)
    )
}

#[cfg(test)]
mod tests {
    use lookahead_runs::{Split, TaskKind};

    use super::*;

    fn row(title: &str, baseline: Option<usize>, scores: [[f64; 2]; 3]) -> StudyRow {
        let trial = |(rate, scores): (&str, [f64; 2])| Trial {
            values: vec![(RATE.to_owned(), rate.to_owned())],
            scores: vec![(1, scores[0]), (2, scores[1])],
            loss: 1.0,
            diverged: 0,
            is_identity: false,
        };
        let trials = ["0.1", "0.2", "0.4"].into_iter().zip(scores).map(trial).collect();
        StudyRow { title: title.to_owned(), baseline, trials, chosen: 1, edges: Vec::new(), finals: Vec::new() }
    }

    fn study(task: TaskKind, rows: Vec<StudyRow>) -> StudyReport {
        StudyReport { name: "s".into(), task, split: Split::Test, about: vec![], rows }
    }

    #[test]
    fn a_row_is_set_beside_its_baseline() {
        let plain = row("SGD", None, [[78.0, 78.0], [80.0, 80.0], [78.0, 78.0]]);
        let slow = row("Lookahead/SGD", Some(0), [[78.0, 78.0], [80.0, 80.0], [79.0, 79.5]]);
        let study = study(TaskKind::Images, vec![plain, slow]);
        let cells = ranges(&study);
        // Half a doubling on either side; a half and one, the second of them open.
        assert_eq!(cells.rows[0][1..4], ["2.00", ABSENT, "0"], "seeds that agree say nothing of the noise");
        assert_eq!(cells.rows[1][1..3], ["at least 2.83", ABSENT]);
        assert_eq!(cells.rows[1][3..7], ["2", "SGD", "at least 1.41", ABSENT]);
        let cells = at_same_rate(&study);
        assert_eq!(cells.rows.len(), 3);
        assert_eq!(cells.rows[2][1..4], ["0.4", "79.25", "78.00"]);
        assert!(cells.rows[2][4].starts_with("+1.25"), "{:?}", cells.rows[2]);
    }

    #[test]
    fn rows_of_one_title_have_their_own_factors() {
        let plain = row("SGD", None, [[78.0, 78.0], [80.0, 80.0], [78.0, 78.0]]);
        let slow = || row("Lookahead/SGD", Some(0), [[78.0, 78.0], [80.0, 80.0], [78.0, 78.0]]);
        let wide = row("Lookahead/SGD", Some(0), [[78.0, 78.0], [80.0, 80.0], [79.0, 79.5]]);
        let cells = ranges(&study(TaskKind::Images, vec![plain, slow(), wide]));
        assert_eq!([&cells.rows[1][5], &cells.rows[2][5]], ["1.00", "at least 1.41"]);
    }

    /// At 0.4, one of two seeds of the baseline diverged.
    #[test]
    fn a_diverged_seed_makes_the_mean_infinite_in_words() {
        let plain = row("SGD", None, [[90.0, 90.0], [80.0, 80.0], [85.0, f64::INFINITY]]);
        let slow = row("Lookahead/SGD", Some(0), [[90.0, 91.0], [80.0, 80.0], [85.0, 86.0]]);
        let study = study(TaskKind::Language, vec![plain, slow]);
        assert_eq!(at_same_rate(&study).rows[2][2..], ["85.50", "infinite", ABSENT, ABSENT]);
    }
}
