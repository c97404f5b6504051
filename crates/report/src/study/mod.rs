//! A study: trials, settings chosen on held-out data, and their results with seeds that tuning did not use.

mod answers;
mod figures;
mod heatmap;
mod page;
mod rates;
mod tables;
mod width;

use lookahead_runs::{Measure, PairedDifference, Split, TaskKind, by_seed};

pub use page::{study_markdown, study_page};

/// A study, ready to be presented.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyReport {
    /// Its name.
    pub name: String,
    /// The task of the runs.
    pub task: TaskKind,
    /// The part that the final runs are evaluated on: the test part or, if the data have none, the held-out part again.
    pub split: Split,
    /// Facts for the reader, one sentence each: data, protocol, budgets, commit, machine.
    pub about: Vec<String>,
    /// The rows; [`StudyRow::baseline`] selects those that are compared.
    pub rows: Vec<StudyRow>,
}

impl StudyReport {
    /// The row that `row` is compared with.
    pub(crate) fn baseline_of(&self, row: &StudyRow) -> Option<&StudyRow> {
        self.rows.get(row.baseline?)
    }
}

/// A row of a study.
#[derive(Debug, Clone, PartialEq)]
pub struct StudyRow {
    /// Display name.
    pub title: String,
    /// Index of the row that it is compared with; `None` if there is none.
    pub baseline: Option<usize>,
    /// The trials; not empty.
    pub trials: Vec<Trial>,
    /// Index of the chosen trial in `trials`.
    pub chosen: usize,
    /// Keys for which the chosen trial is at the edge of its range.
    pub edges: Vec<String>,
    /// The final runs of the chosen trial, by seed.
    pub finals: Vec<FinalRun>,
}

/// A trial: one setting, trained with several seeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Keys and values of the setting; those that parse as numbers can be axes of figures.
    pub values: Vec<(String, String)>,
    /// (Seed, score on the held-out data); [`Measure::worst`] if the run diverged.
    pub scores: Vec<(u64, f64)>,
    /// Mean loss on the held-out data, in nats per image or token; infinite if a seed diverged.
    pub loss: f64,
    /// Number of seeds that diverged.
    pub diverged: usize,
    /// True if the setting leaves the path of its row's inner optimizer as it is: Lookahead that always steps all the
    /// way to the fast weights and does not reset the inner state. Figures compare the other trials of the row with it.
    pub is_identity: bool,
}

/// A final run of a chosen setting.
#[derive(Debug, Clone, PartialEq)]
pub struct FinalRun {
    /// The seed.
    pub seed: u64,
    /// Its final figures; `None` if it diverged.
    pub figures: Option<FinalFigures>,
}

/// The figures of a final run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FinalFigures {
    /// The score on the study's split.
    pub score: f64,
    /// The loss on the study's split, in nats per image or token.
    pub loss: f64,
    /// Duration in seconds; `None` unless the run had the machine to itself.
    pub seconds: Option<f64>,
    /// Peak resident memory in MiB; 0 if the system does not report it.
    pub peak_rss_mb: u64,
}

/// The key of learning rates.
const RATE: &str = "learning_rate";

impl Trial {
    /// Mean score over the seeds; infinite if a seed diverged and the worst score is infinite.
    pub fn mean(&self) -> f64 {
        self.scores.iter().map(|(_, score)| score).sum::<f64>() / self.scores.len().max(1) as f64
    }

    /// The value of `key` as a number; `None` if it is not a number or not set. An axis of all rows, such as
    /// `lookahead.sync_period`, has other parts before its key.
    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        self.values.iter().find(|(own, _)| own.rsplit('.').next() == Some(key))?.1.parse().ok()
    }

    /// The setting as text: keys and values.
    pub(crate) fn words(&self) -> String {
        self.values.iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ")
    }

    /// The difference in score to another trial, paired by seed.
    pub(crate) fn minus(&self, other: &Self) -> Option<PairedDifference> {
        PairedDifference::of(&by_seed(&self.scores, &other.scores))
    }
}

impl StudyRow {
    /// (Seed, score) of each final run; the worst score if it diverged.
    pub(crate) fn scores(&self, measure: Measure) -> Vec<(u64, f64)> {
        let score = |run: &FinalRun| run.figures.map_or(measure.worst(), |figures| figures.score);
        self.finals.iter().map(|run| (run.seed, score(run))).collect()
    }

    /// Values taken from the final runs that did not diverge.
    pub(crate) fn of_finals<T>(&self, of: impl Fn(&FinalFigures) -> Option<T>) -> Vec<T> {
        self.finals.iter().filter_map(|run| run.figures.as_ref().and_then(&of)).collect()
    }

    /// Number of final runs that diverged.
    pub(crate) fn diverged(&self) -> usize {
        self.finals.iter().filter(|run| run.figures.is_none()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_last_part() {
        let trial = &mut testing::study().rows[1].trials[0];
        assert_eq!(trial.number("sync_period"), Some(5.0));
        trial.values[1].0 = "lookahead.sync_period".to_owned();
        assert_eq!((trial.number("sync_period"), trial.number("period")), (Some(5.0), None));
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Two rows: SGD over three rates, and Lookahead over step size and period, whose step size 1 is the identity.
    pub(crate) fn study() -> StudyReport {
        let trial = |values: &[(&str, &str)], top1: f64| Trial {
            values: values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            scores: vec![(1, top1), (2, top1 + 0.5)],
            loss: if top1 == 0.0 { f64::INFINITY } else { 3.0 - top1 / 50.0 },
            diverged: usize::from(top1 == 0.0),
            is_identity: values.contains(&("slow_step_size", "1")),
        };
        let finals = |base: f64, count: u64| -> Vec<FinalRun> {
            (101..101 + count)
                .map(|seed| FinalRun {
                    seed,
                    figures: Some(FinalFigures {
                        score: base + 0.1 * (seed % 3) as f64,
                        loss: 1.0,
                        seconds: (seed % 2 == 0).then_some(10.0 + seed as f64),
                        peak_rss_mb: 200,
                    }),
                })
                .collect()
        };
        let sgd = StudyRow {
            title: "SGD".to_owned(),
            baseline: None,
            trials: vec![
                trial(&[("learning_rate", "0.1")], 60.0),
                trial(&[("learning_rate", "0.3")], 70.0),
                trial(&[("learning_rate", "1")], 0.0),
            ],
            chosen: 1,
            edges: Vec::new(),
            finals: finals(70.0, 4),
        };
        let mut last = finals(72.0, 4);
        last[3].figures = None;
        let mut tried = Vec::new();
        for (step, base) in [("0.5", 66.0), ("1", 69.0)] {
            for (period, more) in [("5", 0.0), ("10", 2.0)] {
                tried.push(trial(&[("slow_step_size", step), ("sync_period", period)], base + more));
            }
        }
        tried[0].scores[0].1 += 3.0;
        let lookahead = StudyRow {
            title: "Lookahead/<SGD>".to_owned(),
            baseline: Some(0),
            trials: tried,
            chosen: 1,
            edges: vec!["sync_period".to_owned()],
            finals: last,
        };
        StudyReport {
            name: "shapes".to_owned(),
            task: TaskKind::Images,
            split: Split::Test,
            about: vec!["Drawn & small.".to_owned()],
            rows: vec![sgd, lookahead],
        }
    }

    /// The same study in perplexity, 160 minus the accuracy: the order stays the same, and diverged runs are infinite.
    pub(crate) fn of_language() -> StudyReport {
        let mut study = StudyReport { task: TaskKind::Language, ..study() };
        for row in &mut study.rows {
            for trial in &mut row.trials {
                let diverged = trial.diverged > 0;
                trial
                    .scores
                    .iter_mut()
                    .for_each(|(_, score)| *score = if diverged { f64::INFINITY } else { 160.0 - *score });
            }
            row.finals
                .iter_mut()
                .filter_map(|run| run.figures.as_mut())
                .for_each(|figures| figures.score = 160.0 - figures.score);
        }
        study
    }
}
