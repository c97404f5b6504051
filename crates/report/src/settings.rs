//! Settings that runs share or differ in, and the code, machine and command behind them.

use std::collections::BTreeMap;

use lookahead_runs::{Environment, Run};
use serde::Serialize;

use crate::report::Report;

/// Settings that all runs share, and those in which they differ.
#[derive(Debug, Serialize)]
pub(crate) struct Settings {
    same: BTreeMap<String, String>,
    /// Key, then the value of each row; `None` if the row has no such key. Different values within a row are joined
    /// with ` | `.
    different: Vec<(String, Vec<Option<String>>)>,
}

/// Runs with the same environment: commit, machine, command and so on.
#[derive(Debug, Serialize)]
pub(crate) struct Origin {
    values: BTreeMap<String, String>,
    runs: Vec<usize>,
}

impl Settings {
    pub(crate) fn of(report: &Report) -> Self {
        let mut keys: Vec<&String> = report.runs.iter().flat_map(|run| run.settings.keys()).collect();
        keys.sort();
        keys.dedup();
        let mut data = Self { same: BTreeMap::new(), different: Vec::new() };
        // Runs without a readable configuration are ignored.
        let known = |run: &&Run| !run.settings.is_empty();
        for key in keys {
            let mut values: Vec<Option<&String>> =
                report.runs.iter().filter(known).map(|run| run.settings.get(key)).collect();
            values.sort();
            values.dedup();
            if let [Some(value)] = values[..] {
                data.same.insert(key.clone(), value.clone());
                continue;
            }
            let of_row = |runs: &[usize]| {
                let mut own: Vec<&String> = runs.iter().filter_map(|&run| report.runs[run].settings.get(key)).collect();
                own.sort();
                own.dedup();
                let joined = own.iter().map(|value| value.as_str()).collect::<Vec<_>>().join(" | ");
                (!own.is_empty()).then_some(joined)
            };
            data.different.push((key.clone(), report.rows.iter().map(|row| of_row(&row.runs)).collect()));
        }
        data
    }
}

impl Origin {
    pub(crate) fn of(runs: &[Run]) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for (position, run) in runs.iter().enumerate() {
            let values = origin(run);
            match groups.iter_mut().find(|group| group.values == values) {
                Some(group) => group.runs.push(position),
                None if values.is_empty() => {}
                None => groups.push(Self { values, runs: vec![position] }),
            }
        }
        groups
    }
}

/// The environment of a run, with its commands as typed in a checkout; empty if the run has none.
fn origin(run: &Run) -> BTreeMap<String, String> {
    let mut values = run.environment.as_ref().map(Environment::flat).unwrap_or_default();
    if let Some(command) = values.get_mut("command") {
        // Every program has a recipe with its name: `cifar10 --epochs 5` is `just cifar10 --epochs 5`. A resumed run
        // may have several commands.
        *command = command.split(" | ").map(|command| format!("just {command}")).collect::<Vec<_>>().join(" | ");
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{report, unfinished};

    fn run(name: &str, settings: &[(&str, &str)], commit: &str) -> Run {
        let mut run = unfinished(name);
        run.settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let environment =
            Environment { commit: commit.to_owned(), command: "demo".to_owned(), ..Environment::default() };
        run.environment = (!commit.is_empty()).then_some(environment);
        run
    }

    #[test]
    fn runs_made_alike_are_one_origin() {
        let runs = [run("a-s1", &[], "x"), run("b-s1", &[], "y"), run("a-s2", &[], "x"), run("a-s3", &[], "")];
        let origins = Origin::of(&runs);
        assert_eq!(origins.iter().map(|origin| origin.runs.clone()).collect::<Vec<_>>(), [vec![0, 2], vec![1]]);
        assert_eq!(origins[0].values["command"], "just demo");
    }

    #[test]
    fn a_setting_is_shared_or_told_row_by_row() {
        let settings = Settings::of(&report(vec![
            run("a-s1", &[("epochs", "5"), ("rate", "0.1")], ""),
            run("a-s2", &[("epochs", "5"), ("rate", "0.2")], ""),
            run("b-s1", &[("epochs", "5")], ""),
            run("b-s2", &[], ""),
        ]));
        assert_eq!(settings.same, BTreeMap::from([("epochs".to_owned(), "5".to_owned())]));
        assert_eq!(settings.different, [("rate".to_owned(), vec![Some("0.1 | 0.2".to_owned()), None])]);
    }
}
