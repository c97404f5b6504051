//! Tables as a document, or as part of one: `docs/RESULTS.md`, the results in `docs/SPEEDRUN.md`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use lookahead_runs::{Environment, Run, TaskKind};

use crate::cells::paragraphs;
use crate::markdown::{in_cell, markdown_differences, table};
use crate::metric::Metric;
use crate::reference::Source;
use crate::report::Report;
use crate::row::Row;
use crate::settings::origin;
use crate::target::{TimeToTarget, time_to_target};
use crate::words::{a_unit, noun};

/// The line before the part of a document that [`results_in`] replaces.
pub(crate) const BEGIN: &str = "<!-- results: written by `just report --results` -->";
/// The line after it.
pub(crate) const END: &str = "<!-- end of results -->";
/// Commits, machines or commands listed at most: seeds trained one by one have a command each.
const MOST_LISTED: usize = 3;

/// The tables of all `reports` as one Markdown page. Each experiment has its table, the differences paired by seed,
/// commit, machine, threads and command, and the sources of published figures. The program writes it with `--results`.
pub fn results(reports: &[Report]) -> String {
    format!("{HEADING}{}{}", paragraphs(&introduction(reports)), sections(reports, "##"))
}

/// How the page of [`results`] begins.
const HEADING: &str = "# Results\n\n";

/// True if all of `document` was written by [`results`], so that it may be replaced.
#[cfg(feature = "cli")]
pub(crate) fn is_ours(document: &str) -> bool {
    document.strip_prefix(HEADING).is_some_and(|rest| rest.starts_with(WRITTEN))
}

/// The first words of the introduction.
const WRITTEN: &str = "Written by `just report --results`";

/// `document` with the same tables between the lines
/// ``<!-- results: written by `just report --results` -->`` and `<!-- end of results -->`, and everything else unchanged.
/// `None` unless it has both lines, in this order.
///
/// ```
/// use lookahead_report::results_in;
/// let document = "# Ours\n<!-- results: written by `just report --results` -->\nstale\n<!-- end of results -->\nThanks!\n";
/// let new = results_in(document, &[]).unwrap();
/// assert!(new.starts_with("# Ours\n<!-- results") && new.ends_with("<!-- end of results -->\nThanks!\n"));
/// assert!(!new.contains("stale"));
/// assert_eq!(results_in("no such lines", &[]), None);
/// ```
pub fn results_in(document: &str, reports: &[Report]) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    let (introduction, sections) = (paragraphs(&introduction(reports)), sections(reports, "###"));
    Some(format!("{before}{BEGIN}\n\n{introduction}{sections}\n{END}{after}"))
}

/// The introduction to the tables.
fn introduction(reports: &[Report]) -> String {
    let tasks = if reports.is_empty() { vec![TaskKind::default()] } else { reports.iter().map(Report::task).collect() };
    let listed = |word: fn(TaskKind) -> &'static str, between: &str| -> String {
        let words: BTreeSet<&str> = tasks.iter().map(|task| word(*task)).collect();
        words.into_iter().collect::<Vec<_>>().join(between)
    };
    let (units, scores) = (listed(a_unit, " or "), listed(noun, " and "));
    format!(
        "{WRITTEN}, from run folders; not edited by hand.\n\
        Mean \u{b1} sample standard deviation over seeds. Losses are in nats {units}; {scores} {} of the last epoch, at the slow \
        weights if there are any. Differences are paired by seed, with a 95 % confidence interval (Student's t), not corrected for the \
        number of comparisons. If the interval contains zero, the rows are not distinguishable. The smallest visible difference is the one \
        that this many pairs with this noise would detect in four of five experiments. Times are given only if every run of a row had the \
        machine to itself.\n",
        if scores.contains(' ') { "are those" } else { "is that" }
    )
}

/// The row without its times unless each of its runs is known to have had the machine to itself.
fn timed(row: &Row, runs: &[Run]) -> Row {
    let mut row = row.clone();
    if !were_alone(&row, runs) {
        let is_time = |metric: &Metric| matches!(metric, Metric::Seconds | Metric::Speed(_));
        row.numbers.iter_mut().filter(|(metric, _)| is_time(metric)).for_each(|(_, number)| *number = None);
    }
    row
}

/// The row's time to target, without the seconds unless each of its runs is known to have had the machine to itself.
fn timed_target(report: &Report, row: &Row) -> Option<TimeToTarget> {
    let time = time_to_target(report.task().score(), row, &report.runs)?;
    Some(if were_alone(row, &report.runs) { time } else { TimeToTarget { seconds: None, ..time } })
}

fn were_alone(row: &Row, runs: &[Run]) -> bool {
    row.runs.iter().all(|&run| runs[run].environment.as_ref().is_some_and(Environment::was_alone))
}

/// One section per experiment, with headings of this level.
fn sections(reports: &[Report], level: &str) -> String {
    let mut text = String::new();
    for report in reports {
        let protocol = if report.protocol.is_empty() { String::new() } else { format!(": {}", report.protocol) };
        let _ = write!(text, "\n{level} {}\n\n", in_cell(&format!("{}{protocol}", report.title())));
        for fact in report.facts() {
            let _ = writeln!(text, "{}", paragraphs(&in_cell(&fact)));
        }
        let settings = [("model", &report.model), ("device", &report.device)];
        let told: Vec<String> = settings
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| format!("{key} `{value}`"))
            .collect();
        let _ = write!(
            text,
            "{}{}{}.\n\n",
            told.join(", "),
            if told.is_empty() { "" } else { ", " },
            if report.epochs() == 1.0 { "1 epoch".to_owned() } else { format!("{} epochs", report.epochs()) }
        );
        let rows: Vec<Row> = report.rows.iter().map(|row| timed(row, &report.runs)).collect();
        text.push_str(&table(report, &rows));
        let times = rows.iter().filter_map(|row| timed_target(report, row));
        for (index, time) in times.enumerate() {
            let _ = writeln!(text, "{}- {}", if index == 0 { "\n" } else { "" }, in_cell(&time.sentence()));
        }
        let differences = markdown_differences(report);
        if !differences.is_empty() {
            let _ = write!(text, "\n{differences}");
        }
        text.push('\n');
        for (title, key) in [("Commit", "commit"), ("Machine", "cpu"), ("Threads", "threads"), ("Command", "command")] {
            let value_of = |run: &Run| {
                let values = origin(run);
                let value = values.get(key)?;
                let is_dirty = key == "commit" && values.get("dirty").is_some_and(|dirty| dirty == "true");
                Some(format!("`{value}`{}", if is_dirty { " with uncommitted changes" } else { "" }))
            };
            let values: BTreeSet<String> = report.runs.iter().filter_map(value_of).collect();
            if !values.is_empty() {
                let more = values.len().saturating_sub(MOST_LISTED);
                let listed: Vec<String> = values.into_iter().take(MOST_LISTED).collect();
                let more = if more > 0 { format!(", and {more} more") } else { String::new() };
                text.push_str(&paragraphs(&format!("- {title}: {}{more}", listed.join(", "))));
            }
        }
        for source in
            Source::ALL.into_iter().filter(|source| report.references().iter().any(|row| row.source == *source))
        {
            let _ = write!(text, "\n{}: {}\n", source.title(), source.about());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{finished, report};

    /// One of two runs began beside two others, or does not say: neither the row's seconds nor its speed are in the
    /// document.
    #[test]
    fn a_shared_machine_gives_no_times() {
        let on = |load: f64| Some(Environment { threads: 2, load: Some(load), ..Environment::default() });
        let mut runs = vec![finished("sgd-s1", 80.0), finished("sgd-s2", 82.0)];
        runs.iter_mut().for_each(|run| run.environment = on(1.9));
        let alone = report(runs.clone());
        runs[1].environment = on(4.0);
        let shared = report(runs.clone());
        runs[1].environment = None;
        let unknown = report(runs);
        let cells = |report: &Report| -> Vec<String> {
            let text = results(std::slice::from_ref(report));
            let line = text.lines().find(|line| line.starts_with("| SGD")).unwrap();
            line.split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        // After name, seeds, two losses and two scores.
        assert!(cells(&alone)[7..9].iter().all(|cell| cell.contains('.')), "{:?}", cells(&alone));
        for without in [&shared, &unknown] {
            assert_eq!(cells(without)[7..9], ["\u{2013}", "\u{2013}"]);
            assert_eq!(cells(without)[..7], cells(&alone)[..7]);
        }
    }
}
