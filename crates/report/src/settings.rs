//! Settings that runs share or differ in, and the code, machine and commands behind them.

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

/// Runs with the same environment: commands, commit, machine and so on.
#[derive(Debug, Serialize)]
pub(crate) struct Origin {
    #[serde(flatten)]
    made: Made,
    runs: Vec<usize>,
}

/// How a run was made. A resumed run has several sessions.
#[derive(Debug, PartialEq, Serialize)]
struct Made {
    /// The shell commands of the sessions, each different one once.
    commands: Vec<String>,
    /// Whether tracked files differed from the commit in any session.
    dirty: bool,
    /// Everything else; different values of several sessions are joined with ` | `.
    values: BTreeMap<String, String>,
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
            let Some(made) = run.environment.as_ref().map(Made::of) else { continue };
            match groups.iter_mut().find(|group| group.made == made) {
                Some(group) => group.runs.push(position),
                None => groups.push(Self { made, runs: vec![position] }),
            }
        }
        groups
    }
}

impl Made {
    fn of(environment: &Environment) -> Self {
        let mut commands: Vec<String> = Vec::new();
        for command in environment.sessions().filter_map(command) {
            if !commands.contains(&command) {
                commands.push(command);
            }
        }
        let mut values = environment.flat();
        // Loads differ from run to run, and would list each one alone.
        values.retain(|key, _| !["command", "dirty", "load", "load_at_end"].contains(&key.as_str()));
        Self { commands, dirty: environment.sessions().any(|session| session.dirty), values }
    }
}

/// The command of a session as typed in a checkout, after one that checks out its commit if that is known; `None` for an
/// unknown command.
fn command(session: &Environment) -> Option<String> {
    let Environment { commit, command, .. } = session;
    if command.is_empty() {
        return None;
    }
    // A command line: nothing else may get into it.
    let is_known =
        (7..=40).contains(&commit.len()) && commit.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let checkout = if is_known { format!("git checkout {commit} && ") } else { String::new() };
    // Every program has a recipe with its name: `cifar10 --epochs 5` is `just cifar10 --epochs 5`.
    Some(format!("{checkout}just {command}"))
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
        let mut runs = [run("a-s1", &[], "x"), run("b-s1", &[], "y"), run("a-s2", &[], "x"), run("a-s3", &[], "")];
        runs[2].environment.as_mut().unwrap().load = Some(1.5);
        let origins = Origin::of(&runs);
        assert_eq!(origins.iter().map(|origin| origin.runs.clone()).collect::<Vec<_>>(), [vec![0, 2], vec![1]]);
        assert_eq!(origins[0].made.commands, ["just demo"], "x is no commit");
    }

    /// Interrupted, resumed with other code and files that are not committed, and resumed again.
    #[test]
    fn each_session_of_a_resumed_run_has_its_own_command() {
        let session = |commit: &str, dirty, command: &str| Environment {
            commit: commit.to_owned(),
            dirty,
            command: command.to_owned(),
            ..Environment::default()
        };
        let (first, second) =
            (session("0123456789ab", false, "demo"), session("ba9876543210", true, "demo --name 'a | b'"));
        let resumed = Environment { earlier: vec![first.clone(), second], ..first.clone() };
        let made = Made::of(&resumed);
        let second = "git checkout ba9876543210 && just demo --name 'a | b'";
        assert_eq!(made.commands, ["git checkout 0123456789ab && just demo", second]);
        assert!(made.dirty && !Made::of(&first).dirty);
        assert_eq!(made.values["commit"], "0123456789ab | ba9876543210");
        assert!(!made.values.contains_key("dirty") && !made.values.contains_key("command"));
        assert!(Made::of(&session("0123456789ab", false, "")).commands.is_empty());
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
