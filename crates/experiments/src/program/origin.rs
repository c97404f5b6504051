//! The code and the machines that trained runs, in words.

use std::collections::BTreeSet;

use lookahead_report::counted;
use lookahead_runs::Environment;

/// A sentence with the commits and machines of all sessions of runs: `Commit 0123456789ab; Some CPU, 2 threads.`
pub(super) fn origin(environments: &[Environment]) -> String {
    let sessions = || environments.iter().flat_map(Environment::sessions);
    let commits: BTreeSet<String> = sessions().filter(|of| !of.commit.is_empty()).map(Environment::revision).collect();
    let machines: BTreeSet<String> = sessions()
        .filter(|of| !of.cpu.is_empty())
        .map(|of| format!("{}, {}", of.cpu, counted(of.threads, "thread")))
        .collect();
    let word = match commits.len() {
        0 => "Commit unknown",
        1 => "Commit ",
        _ => "Commits (not all runs used the same code): ",
    };
    let list = |values: BTreeSet<String>, between: &str| values.into_iter().collect::<Vec<_>>().join(between);
    let machine = if machines.is_empty() { "machine unknown".to_owned() } else { list(machines, " and ") };
    format!("{word}{}; {machine}.", list(commits, ", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sessions_are_told_once() {
        let of = |commit: &str, threads: usize| Environment {
            commit: commit.to_owned(),
            cpu: "X".to_owned(),
            threads,
            ..Environment::default()
        };
        assert_eq!(origin(&[of("a", 1), of("a", 1)]), "Commit a; X, 1 thread.");
        let resumed = Environment { dirty: true, earlier: vec![of("b", 2)], ..of("a", 1) };
        assert_eq!(
            origin(&[resumed, of("b", 1)]),
            "Commits (not all runs used the same code): a with uncommitted changes, b; X, 1 thread and X, 2 threads."
        );
        assert_eq!(origin(&[]), "Commit unknown; machine unknown.");
    }
}
