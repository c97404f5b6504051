//! Tables as a document, or as part of one: `docs/RESULTS.md`, the results in `docs/SPEEDRUN.md`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use lookahead_runs::{Environment, Run, TaskKind};

use crate::cells::paragraphs;
use crate::console::one_line;
use crate::markdown::{in_cell, markdown_differences, table};
use crate::metric::Metric;
use crate::reference::Source;
use crate::report::Report;
use crate::row::Row;
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
/// `None` unless it has both, in this order, each as a line of its own: a sentence that quotes them is no mark.
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
    let (before, rest) = around(document, BEGIN)?;
    let (_, after) = around(rest, END)?;
    let (introduction, sections) = (paragraphs(&introduction(reports)), sections(reports, "###"));
    Some(format!("{before}{BEGIN}\n\n{introduction}{sections}\n{END}{after}"))
}

/// What is before and after the first line of `text` that is `mark`; spaces around the mark are allowed.
fn around<'a>(text: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if line.trim() == mark {
            let at = start + line.len() - line.trim_start().len();
            return Some((&text[..at], &text[at + mark.len()..]));
        }
        start += line.len();
    }
    None
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
            .map(|(key, value)| format!("{key} {}", code(value)))
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
        text.push_str(&origins(&report.runs));
        for source in
            Source::ALL.into_iter().filter(|source| report.references().iter().any(|row| row.source == *source))
        {
            let _ = write!(text, "\n{}: {}\n", source.title(), source.about());
        }
    }
    text
}

/// Commits, machines, threads and commands of all sessions of the runs, with a line each.
fn origins(runs: &[Run]) -> String {
    type Fact<'a> = &'a dyn Fn(&Environment) -> (String, &'static str);
    // Every program has a recipe with its name: `cifar10 --epochs 5` is `just cifar10 --epochs 5`.
    let command = |of: &Environment| if of.command.is_empty() { String::new() } else { format!("just {}", of.command) };
    let dirty = |of: &Environment| if of.dirty { " with uncommitted changes" } else { "" };
    let facts: [(&str, Fact<'_>); 4] = [
        ("Commit", &|of| (of.commit.clone(), dirty(of))),
        ("Machine", &|of| (of.cpu.clone(), "")),
        ("Threads", &|of| (of.threads.to_string(), "")),
        ("Command", &|of| (command(of), "")),
    ];
    let mut lines = String::new();
    for (title, fact) in facts {
        let sessions = runs.iter().filter_map(|run| run.environment.as_ref()).flat_map(Environment::sessions);
        let known = sessions.map(fact).filter(|(text, _)| !text.is_empty());
        let values: BTreeSet<String> = known.map(|(text, note)| format!("{}{note}", code(&text))).collect();
        if values.is_empty() {
            continue;
        }
        let more = values.len().saturating_sub(MOST_LISTED);
        let listed: Vec<String> = values.into_iter().take(MOST_LISTED).collect();
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        lines += &paragraphs(&format!("- {title}: {}{more}", listed.join(", ")));
    }
    lines
}

/// `text` as code, in one line.
fn code(text: &str) -> String {
    let text = one_line(text);
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{finished, report};

    /// A document that explains its marks before it uses them; a mark may be indented or end in a carriage return.
    #[test]
    fn marks_in_a_sentence_are_no_marks() {
        let prose = format!("The tables are between `{BEGIN}` and `{END}`.\n");
        assert_eq!(results_in(&prose, &[]), None);
        let document = format!("{prose}  {BEGIN}\r\nSee {END}.\nstale\n{END} \n\nThanks.\n");
        let new = results_in(&document, &[]).unwrap();
        assert!(new.starts_with(&format!("{prose}  {BEGIN}\n")), "{new}");
        assert!(new.ends_with(&format!("\n{END} \n\nThanks.\n")) && !new.contains("stale"), "{new}");
        // The first end before the beginning is none.
        assert_eq!(results_in(&format!("{END}\n{BEGIN}\n"), &[]), None);
        assert_eq!(results_in(&new, &[]), Some(new), "writing again changes nothing");
    }

    /// A command may hold what ends code, and a line that would be a mark.
    #[test]
    fn a_command_stays_in_its_line() {
        assert_eq!(code("just demo"), "`just demo`");
        assert_eq!(code(&format!("a`b\n{END}\n")), format!("`` a`b {END}  ``"));
    }

    /// A run that one commit began and another finished is of both.
    #[test]
    fn all_sessions_of_a_run_are_named() {
        let of = |commit: &str, dirty| Environment {
            commit: commit.to_owned(),
            command: "demo".to_owned(),
            dirty,
            threads: 2,
            ..Environment::default()
        };
        let mut run = finished("sgd-s1", 80.0);
        run.environment = Some(Environment { earlier: vec![of("aa", true)], ..of("bb", false) });
        let lines = "- Commit: `aa` with uncommitted changes, `bb`\n- Threads: `2`\n- Command: `just demo`\n";
        assert_eq!(origins(&[run, finished("sgd-s2", 80.0)]), lines);
    }

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
