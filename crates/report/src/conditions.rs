//! The conditions of runs: settings that must be equal for their scores to be averaged and compared.

use lookahead_runs::{Run, Status};

use crate::row::Row;

/// Beginnings of their keys: budget, schedule, data, network and views. The others are a row's own settings and names,
/// as those of protocol and device.
const KEYS: [&str; 5] = ["train.", "schedule", "data.", "model.", "evaluation.views"];

/// Number of keys listed at most.
const MOST_LISTED: usize = 3;

/// Settings of a run, by key.
type Settings<'a> = Vec<(&'a str, String)>;

/// The different conditions of the finished runs of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Conditions<'a>(Vec<Settings<'a>>);

impl<'a> Conditions<'a> {
    /// Runs without a readable configuration are ignored.
    pub(crate) fn of(row: &Row, runs: &'a [Run]) -> Self {
        let mut all: Vec<Settings<'a>> = Vec::new();
        for run in row.runs.iter().map(|&run| &runs[run]).filter(|run| run.status == Status::Done) {
            let is_condition = |key: &str| KEYS.iter().any(|start| key.starts_with(start));
            let own = run.settings.iter().filter(|(key, _)| is_condition(key));
            let own: Settings<'a> = own.map(|(key, value)| (key.as_str(), spelt(value))).collect();
            if !own.is_empty() && !all.contains(&own) {
                all.push(own);
            }
        }
        Self(all)
    }

    /// True if the row's mean is over runs of different conditions.
    pub(crate) fn are_mixed(&self) -> bool {
        self.0.len() > 1
    }

    /// True if the row can be compared with another one: all runs of both have the same conditions.
    pub(crate) fn are_those_of(&self, other: &Self) -> bool {
        let mut all = self.0.iter().chain(&other.0);
        let first = all.next();
        all.all(|settings| Some(settings) == first)
    }
}

/// A value of a setting. Numbers are spelt alike: earlier versions wrote `5` where later ones write `5.0`.
pub(crate) fn spelt(value: &str) -> String {
    value.parse::<f64>().map_or_else(|_| value.to_owned(), |number| number.to_string())
}

/// The keys in which `rows` differ, with their values: `train.epochs (5, 10)`; empty if there are none.
pub(crate) fn differing(rows: &[&Conditions<'_>]) -> String {
    let all: Vec<&Settings<'_>> = rows.iter().flat_map(|row| &row.0).collect();
    let mut keys: Vec<&str> = all.iter().flat_map(|settings| settings.iter().map(|(key, _)| *key)).collect();
    keys.sort_unstable();
    keys.dedup();
    let values = |key: &str| {
        let mut values: Vec<&str> = Vec::new();
        for settings in &all {
            let value = settings.iter().find(|(own, _)| *own == key).map_or("not set", |(_, value)| value.as_str());
            if !values.contains(&value) {
                values.push(value);
            }
        }
        values
    };
    let spelt = keys.iter().map(|key| (key, values(key))).filter(|(_, values)| values.len() > 1);
    let mut spelt: Vec<String> = spelt.map(|(key, values)| format!("{key} ({})", values.join(", "))).collect();
    if spelt.len() > MOST_LISTED {
        let more = spelt.len() - MOST_LISTED;
        spelt.truncate(MOST_LISTED);
        spelt.push(format!("and {more} more"));
    }
    spelt.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::rows;
    use crate::testing::{finished, unfinished};

    fn with(mut run: Run, settings: &[(&str, &str)]) -> Run {
        run.settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        run
    }

    #[test]
    fn a_rows_own_settings_and_unfinished_runs_are_no_condition() {
        let runs = [
            with(finished("sgd-s1", 80.0), &[("train.epochs", "5"), ("optimizer.learning_rate", "0.1")]),
            with(finished("adamw-s1", 80.0), &[("train.epochs", "5.0"), ("device", "cuda:0")]),
            with(unfinished("adamw-s2"), &[("train.epochs", "10")]),
            finished("rmsprop-s1", 80.0),
        ];
        let rows = rows(&runs, lookahead_runs::TaskKind::Images);
        let all: Vec<Conditions<'_>> = rows.iter().map(|row| Conditions::of(row, &runs)).collect();
        assert!(all.iter().all(|one| !one.are_mixed() && all.iter().all(|other| one.are_those_of(other))), "{all:?}");
        assert_eq!(differing(&all.iter().collect::<Vec<_>>()), "");
    }

    #[test]
    fn differences_are_listed_with_their_values() {
        let runs = [
            with(finished("sgd-s1", 80.0), &[("train.epochs", "5"), ("schedule", "constant")]),
            with(finished("sgd-s2", 80.0), &[("train.epochs", "10"), ("schedule", "constant")]),
            with(finished("adamw-s1", 80.0), &[("train.epochs", "5"), ("schedule.steps.factor", "0.2")]),
        ];
        let rows = rows(&runs, lookahead_runs::TaskKind::Images);
        let [sgd, adamw] = [0, 1].map(|row| Conditions::of(&rows[row], &runs));
        assert!(sgd.are_mixed() && !adamw.are_mixed() && !sgd.are_those_of(&adamw) && !sgd.are_those_of(&sgd));
        assert_eq!(differing(&[&sgd]), "train.epochs (5, 10)");
        let all = "schedule (constant, not set), schedule.steps.factor (not set, 0.2), train.epochs (5, 10)";
        assert_eq!(differing(&[&sgd, &adamw]), all);
    }
}
