//! `docs/RESULTS.md`: the tables of all experiments, with what they were made on.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::compare::findings;
use super::experiment::Experiment;
use super::reference::{Source, references};
use super::run::Run;
use super::table::markdown;

/// The tables of `experiments` as one Markdown page: for each its table, what the runs say of Lookahead, what it was made
/// with and on, and whose the other figures are. Meant to be written by `just report --results` and never by hand.
pub fn results(experiments: &[Experiment]) -> String {
    let mut text = "# Results\n\nWritten by `just report --results`, from run folders; not edited by hand.\n\
        Mean \u{b1} sample standard deviation over seeds. Losses are nats an image; accuracy is that of the last epoch, at the slow \
        weights where there are any.\n"
        .to_owned();
    for experiment in experiments {
        let _ = write!(text, "\n## {}\n\n", experiment.name);
        let settings =
            [("protocol", &experiment.protocol), ("model", &experiment.model), ("device", &experiment.device)];
        let told: Vec<String> = settings
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| format!("{key} `{value}`"))
            .collect();
        let _ = write!(
            text,
            "{}{}{} epochs.\n\n",
            told.join(", "),
            if told.is_empty() { "" } else { ", " },
            experiment.epochs()
        );
        text.push_str(&markdown(experiment));
        let sentences = findings(&experiment.rows, &experiment.comparisons);
        if !sentences.is_empty() {
            text.push('\n');
        }
        for sentence in sentences {
            let _ = writeln!(text, "* {sentence}");
        }
        text.push('\n');
        for (title, key) in [("Commit", "commit"), ("Machine", "processor"), ("Machine", "cpu"), ("Command", "command")]
        {
            let value_of = |run: &Run| {
                let value = run.environment.get(key)?;
                let is_dirty = key == "commit" && run.environment.get("dirty").is_some_and(|dirty| dirty == "true");
                Some(format!("`{value}`{}", if is_dirty { " with uncommitted changes" } else { "" }))
            };
            let values: BTreeSet<String> = experiment.runs.iter().filter_map(value_of).collect();
            if !values.is_empty() {
                let _ = writeln!(text, "{title}: {}  ", values.into_iter().collect::<Vec<_>>().join(", "));
            }
        }
        for source in Source::ALL
            .into_iter()
            .filter(|source| references(&experiment.name).iter().any(|row| row.source == *source))
        {
            let _ = write!(text, "\n{}: {}\n", source.title(), source.about());
        }
    }
    text
}
