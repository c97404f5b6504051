//! Settings that runs share or differ in, and what they were made with and on.

use std::collections::BTreeMap;

use serde::Serialize;

use super::experiment::Experiment;
use super::run::Run;

/// Settings: those all runs share, and those in which rows differ.
#[derive(Debug, Serialize)]
pub(super) struct Settings {
    same: BTreeMap<String, String>,
    /// Key, then for each row its value; `None` where the row has no such key. Values that differ within a row are
    /// joined by ` | `.
    different: Vec<(String, Vec<Option<String>>)>,
}

/// Runs that were made alike: one commit, machine and command.
#[derive(Debug, Serialize)]
pub(super) struct Origin {
    values: BTreeMap<String, String>,
    runs: Vec<usize>,
}

impl Settings {
    pub(super) fn of(experiment: &Experiment) -> Self {
        let mut keys: Vec<&String> = experiment.runs.iter().flat_map(|run| run.config.keys()).collect();
        keys.sort();
        keys.dedup();
        let mut data = Self { same: BTreeMap::new(), different: Vec::new() };
        // A run whose configuration could not be read says nothing of sameness.
        let known = |run: &&Run| !run.config.is_empty();
        for key in keys {
            let mut values: Vec<Option<&String>> =
                experiment.runs.iter().filter(known).map(|run| run.config.get(key)).collect();
            values.sort();
            values.dedup();
            if let [Some(value)] = values[..] {
                data.same.insert(key.clone(), value.clone());
                continue;
            }
            let of_row = |runs: &[usize]| {
                let mut own: Vec<&String> =
                    runs.iter().filter_map(|&run| experiment.runs[run].config.get(key)).collect();
                own.sort();
                own.dedup();
                let joined = own.iter().map(|value| value.as_str()).collect::<Vec<_>>().join(" | ");
                (!own.is_empty()).then_some(joined)
            };
            data.different.push((key.clone(), experiment.rows.iter().map(|row| of_row(&row.runs)).collect()));
        }
        data
    }
}

impl Origin {
    pub(super) fn of(runs: &[Run]) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for (position, run) in runs.iter().enumerate().filter(|(_, run)| !run.environment.is_empty()) {
            match groups.iter_mut().find(|group| group.values == run.environment) {
                Some(group) => group.runs.push(position),
                None => groups.push(Self { values: run.environment.clone(), runs: vec![position] }),
            }
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, config: &[(&str, &str)], commit: &str) -> Run {
        let mut run = Run::read(std::path::Path::new(name));
        run.config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        run.environment = BTreeMap::from([("commit".to_owned(), commit.to_owned())]);
        run
    }

    #[test]
    fn runs_made_alike_are_one_origin() {
        let origins = Origin::of(&[run("a-s1", &[], "x"), run("b-s1", &[], "y"), run("a-s2", &[], "x")]);
        assert_eq!(origins.iter().map(|origin| origin.runs.clone()).collect::<Vec<_>>(), [vec![0, 2], vec![1]]);
    }
}
