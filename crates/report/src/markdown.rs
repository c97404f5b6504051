//! The table and the differences as Markdown.

use lookahead_runs::Spread;
use unicode_width::UnicodeWidthStr as _;

use crate::compare::differences;
use crate::console::one_line;
use crate::metric::{Metric, metrics};
use crate::number::{ABSENT, interval, signed};
use crate::reference::{Reference, Source};
use crate::report::Report;
use crate::row::Row;
use crate::words::{direction, in_full};

/// The table as Markdown: mean and standard deviation over seeds, with published accuracies in the last columns.
pub fn markdown(report: &Report) -> String {
    table(report, &report.rows)
}

/// The table of `rows` of the report.
pub(crate) fn table(report: &Report, rows: &[Row]) -> String {
    let theirs = report.references();
    let sources: Vec<Source> =
        Source::ALL.into_iter().filter(|source| theirs.iter().any(|row| row.source == *source)).collect();
    let mut lines: Vec<Vec<String>> = Vec::new();
    let mut head: Vec<String> = ["Optimizer", "Seeds"].map(str::to_owned).to_vec();
    head.extend(metrics(report.task()).iter().map(|metric| metric.title().to_owned()));
    head.extend(sources.iter().map(|source| format!("{} top-1 %", source.title())));
    lines.push(head);
    for row in rows {
        let seeds = report.finished(row).count();
        let mut cells = vec![in_cell(&row.id.label()), seeds_cell(seeds, row.runs.len())];
        cells.extend(row.numbers.iter().map(|(metric, number)| spread_cell(*metric, *number)));
        cells.extend(sources.iter().map(|&source| their_cell(&theirs, source, row)));
        lines.push(cells);
    }
    aligned(&lines, 1)
}

/// The [`differences`] as a Markdown table; empty if there are none.
pub fn markdown_differences(report: &Report) -> String {
    let score = report.task().score();
    let what = format!("{}, paired by seed{}", in_full(score), direction(score));
    let difference = Metric::Score(score).title_of_difference();
    let head = [&what, difference, "95 % interval", "Smallest visible", "Pairs", ""].map(str::to_owned);
    let mut lines = vec![head.to_vec()];
    let label = |position: usize| report.rows[position].id.label();
    let absent = || ABSENT.to_owned();
    for found in differences(report) {
        lines.push(vec![
            in_cell(&format!("{} \u{2212} {}", label(found.row), label(found.baseline))),
            signed(found.mean),
            found.interval.map_or_else(absent, |of| interval(of.low, of.high)),
            found.interval.map_or_else(absent, |of| format!("{:.2}", of.smallest_visible())),
            found.pairs.to_string(),
            found.verdict().to_owned(),
        ]);
    }
    if lines.len() == 1 { String::new() } else { aligned(&lines, 1) }
}

/// Number of finished seeds, with the total if some are not finished.
fn seeds_cell(done: usize, all: usize) -> String {
    if done == all { done.to_string() } else { format!("{done} of {all}") }
}

fn spread_cell(metric: Metric, number: Option<Spread>) -> String {
    let digits = metric.digits();
    match number {
        None => ABSENT.to_owned(),
        Some(Spread { mean, std: None }) => format!("{mean:.digits$}"),
        Some(Spread { mean, std: Some(std) }) => format!("{mean:.digits$} \u{b1} {std:.digits$}"),
    }
}

fn their_cell(theirs: &[Reference], source: Source, row: &Row) -> String {
    let their = theirs.iter().find(|their| their.source == source && their.is_beside(&row.id.name, &row.id.state));
    their.map_or_else(|| ABSENT.to_owned(), |their| format!("{:.2}", their.top1))
}

/// Escapes `text` so that it cannot leave its table cell or line, and replaces control characters: a document is read
/// in terminals, too.
pub(crate) fn in_cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for character in one_line(text).chars() {
        match character {
            '|' | '<' | '`' | '*' | '[' | '\\' => cell.extend(['\\', character]),
            other => cell.push(other),
        }
    }
    cell
}

/// A Markdown table with aligned columns, right-aligned from column `numbers` on. The first line is the heading. Widths
/// are those of a terminal: a Chinese character has two columns, a combining accent none.
pub(crate) fn aligned(lines: &[Vec<String>], numbers: usize) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].width()).max().unwrap_or(0).max(3);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (position, line) in lines.iter().enumerate() {
        for (column, cell) in line.iter().enumerate() {
            let fill = " ".repeat(widths[column] - cell.width());
            let (before, after) = if column < numbers { ("", fill.as_str()) } else { (fill.as_str(), "") };
            text.extend(["| ", before, cell, after, " "]);
        }
        text.push_str("|\n");
        if position == 0 {
            for (column, width) in widths.iter().enumerate() {
                let dashes = "-".repeat(width - 1);
                text.push_str(&if column < numbers { format!("| {dashes}- ") } else { format!("| {dashes}: ") });
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use lookahead_runs::Measure;

    use super::*;
    use crate::testing::{language, report};

    #[test]
    fn columns_line_up() {
        let lines = [vec!["Name".to_owned(), "N".to_owned()], vec!["a".to_owned(), "1 \u{b1} 2".to_owned()]];
        assert_eq!(aligned(&lines, 1), "| Name |     N |\n| ---- | ----: |\n| a    | 1 \u{b1} 2 |\n");
        // Six columns, and three.
        let lines = [vec!["\u{6162}\u{6b65}\u{5668}".to_owned()], vec!["a\u{301}bc".to_owned()]];
        assert_eq!(aligned(&lines, 1), "| \u{6162}\u{6b65}\u{5668} |\n| ------ |\n| a\u{301}bc    |\n");
    }

    #[test]
    fn a_name_cannot_leave_its_cell() {
        assert_eq!(in_cell("a|b\n<script>"), "a\\|b \\<script>");
        assert_eq!(in_cell("a\u{1b}[2J\tb"), "a\u{fffd}\\[2J b");
    }

    #[test]
    fn one_seed_has_no_spread() {
        assert_eq!(spread_cell(Metric::Score(Measure::Top1), Some(Spread { mean: 76.125, std: None })), "76.12");
        assert_eq!(
            spread_cell(Metric::Score(Measure::Top1), Some(Spread { mean: 76.126, std: Some(0.5) })),
            "76.13 \u{b1} 0.50"
        );
        assert_eq!(spread_cell(Metric::Score(Measure::Top1), None), ABSENT);
    }

    #[test]
    fn a_language_model_has_a_perplexity_and_a_minus_is_better() {
        let runs = [("sgd-s1", 90.0), ("sgd-s2", 92.0), ("adamw-s1", 85.0), ("adamw-s2", 87.2)];
        let report = report(runs.map(|(name, perplexity)| language(name, perplexity)).to_vec());
        let cells = |table: &str, line: usize| -> Vec<String> {
            let line = table.lines().nth(line).unwrap().trim_matches('|');
            line.split(" | ").map(|cell| cell.trim().to_owned()).collect()
        };
        let table = markdown(&report);
        let head = ["Optimizer", "Seeds", "Train loss", "Loss", "Perplexity", "Seconds", "Tokens/s"];
        assert_eq!(cells(&table, 0), head);
        assert_eq!(cells(&table, 2)[4], "91.00 \u{b1} 1.41");
        let differences = markdown_differences(&report);
        assert_eq!(cells(&differences, 0)[..2], ["Perplexity, paired by seed (lower is better)", "Difference"]);
        let found = cells(&differences, 2);
        assert_eq!(
            (found[0].as_str(), found[1].as_str(), found[5].as_str()),
            ("AdamW \u{2212} SGD", "\u{2212}4.90", "better")
        );
    }
}
