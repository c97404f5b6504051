//! The table for a terminal: one row an optimizer, what can be told apart, and others' figures.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};
use lookahead_runs::{Spread, Status};

use crate::compare::{Comparison, differences};
use crate::metric::{IMAGES_PER_SECOND, SECONDS, TOP1, TOP5, TRAIN_LOSS, VALID_LOSS};
use crate::number::{ABSENT, clock, interval, signed};
use crate::reference::{Reference, Source};
use crate::report::Report;

/// What a program prints at the end of an experiment: our table, the differences paired by seed, the published tables.
pub fn text(report: &Report) -> String {
    let mut text = format!("{}\n{}\n", heading(report), ours(report));
    let diverged = report.runs.iter().filter(|run| run.status == Status::Diverged);
    let diverged: Vec<&str> = diverged.map(|run| run.name.as_str()).collect();
    if !diverged.is_empty() {
        let _ = writeln!(text, "diverged, and left out above: {}", diverged.join(", "));
    }
    text.push_str(&told_apart(report));
    let quoted = report.references();
    for source in Source::ALL {
        let rows: Vec<&Reference> = quoted.iter().filter(|row| row.source == source).collect();
        if !rows.is_empty() {
            let _ = write!(text, "\n{} (their figures, {})\n{}\n", source.title(), source.runs(), theirs(&rows));
        }
    }
    text
}

/// `cifar10: protocol quick, resnet20 on cpu`, as far as the run folders say.
fn heading(report: &Report) -> String {
    let Report { name, protocol, model, device, .. } = report;
    let protocol = if protocol.is_empty() { String::new() } else { format!("protocol {protocol}") };
    let machine = match (model.as_str(), device.as_str()) {
        (model, "") => model.to_owned(),
        ("", device) => format!("on {device}"),
        (model, device) => format!("{model} on {device}"),
    };
    let facts: Vec<String> = [protocol, machine].into_iter().filter(|fact| !fact.is_empty()).collect();
    if facts.is_empty() { name.clone() } else { format!("{name}: {}", facts.join(", ")) }
}

fn new_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(header.iter().copied());
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_cell_alignment(if index == 0 { CellAlignment::Left } else { CellAlignment::Right });
    }
    table
}

/// The rows that have finished runs.
fn ours(report: &Report) -> Table {
    // Short headings: with deviations the table stays within 120 columns.
    let mut table =
        new_table(&["", "train loss", "valid loss", "top-1 %", "top-5 %", "seeds", "time a run", "images/s"]);
    for row in &report.rows {
        let seeds = report.finished(row).count();
        let cell = |position: usize, format: fn(f64) -> String| match row.numbers[position] {
            Some(Spread { mean, std }) if seeds > 1 => format!("{} \u{b1} {}", format(mean), format(std)),
            Some(Spread { mean, .. }) => format(mean),
            None => ABSENT.to_owned(),
        };
        let mean = |position: usize| row.numbers[position].map_or(f64::NAN, |number| number.mean);
        if seeds > 0 {
            table.add_row([
                row.id.label(),
                cell(TRAIN_LOSS, loss),
                cell(VALID_LOSS, loss),
                cell(TOP1, percent),
                cell(TOP5, percent),
                seeds.to_string(),
                clock(mean(SECONDS)),
                format!("{:.0}", mean(IMAGES_PER_SECOND)),
            ]);
        }
    }
    table
}

/// The differences, or why there are none to tell.
fn told_apart(report: &Report) -> String {
    let found = differences(report);
    if found.is_empty() {
        return String::new();
    }
    if found.iter().all(|found| found.interval.is_none()) {
        return "one seed: no difference above can be told from noise; train more seeds\n".to_owned();
    }
    let mut table = new_table(&["top-1 %, paired by seed", "difference", "95 % interval", "effect size", ""]);
    let label = |position: usize| report.rows[position].id.label();
    let absent = || ABSENT.to_owned();
    for found in &found {
        let Comparison { row, baseline, mean, interval: of, .. } = *found;
        table.add_row([
            format!("{} \u{2212} {}", label(row), label(baseline)),
            signed(mean),
            of.map_or_else(absent, |of| interval(of.low, of.high)),
            of.map_or_else(absent, |of| signed(of.effect_size)),
            found.verdict().to_owned(),
        ]);
    }
    format!("{table}\n")
}

fn theirs(rows: &[&Reference]) -> Table {
    let mut printed = new_table(&["", "train loss", "valid loss", "top-1 %", "top-5 %"]);
    let absent = || ABSENT.to_owned();
    for row in rows {
        printed.add_row([
            row.title(),
            row.train_loss.map_or_else(absent, |value| value.to_string()),
            row.valid_loss.map_or_else(absent, |value| value.to_string()),
            percent(row.top1),
            row.top5.map_or_else(absent, percent),
        ]);
    }
    printed
}

fn loss(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.1}") } else { format!("{value:.4}") }
}

fn percent(value: f64) -> String {
    format!("{value:.2}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{finished, report, unfinished};

    #[test]
    fn three_seeds_are_compared_pair_by_pair() {
        let mut runs = vec![];
        for (seed, sgd, lookahead) in [(1, 80.0, 81.0), (2, 82.0, 83.1), (3, 84.0, 84.9)] {
            runs.push(finished(&format!("sgd-s{seed}"), sgd));
            runs.push(finished(&format!("lookahead-sgd-keep-s{seed}"), lookahead));
            let reset = sgd + f64::from(seed) - 2.0;
            runs.push(finished(&format!("lookahead-sgd-reset-s{seed}"), reset));
        }
        let text = text(&report(runs));
        assert!(text.starts_with("cifar10: protocol quick, resnet20 on cpu\n"), "{text}");
        let line = |start: &str| text.lines().find(|line| line.contains(start)).unwrap_or_default().to_owned();
        let keep = line("Lookahead/SGD (keep) \u{2212} SGD");
        // Differences 1.0, 1.1 and 0.9: the interval is 1 +- 4.3027 * 0.1 / sqrt(3).
        assert!(keep.contains("+1.00") && keep.contains("+0.75 to +1.25") && !keep.contains("not dist"), "{text}");
        assert!(line("Lookahead/SGD (reset) \u{2212} SGD").contains("not distinguishable"), "{text}");
        assert!(line(" SGD ").contains("82.00 ± 2.00") && line(" SGD ").contains("1:01"), "{text}");
        assert!(text.contains("their figures") && text.contains("95.27"), "{text}");
    }

    #[test]
    fn one_seed_claims_nothing() {
        let text = text(&report(vec![finished("sgd-s1", 80.0), finished("lookahead-sgd-keep-s1", 90.0)]));
        assert!(text.contains("one seed: no difference above can be told from noise"), "{text}");
        assert!(text.contains("90.00") && !text.contains('±') && !text.contains("+10.00"), "{text}");
    }

    #[test]
    fn what_did_not_finish_is_no_row() {
        let mut diverged = unfinished("adamw-s1");
        diverged.status = Status::Diverged;
        let mut report = report(vec![finished("sgd-s1", 80.0), diverged, unfinished("rmsprop-s1")]);
        report.name = "mine".to_owned();
        report.protocol.clear();
        report.model.clear();
        let text = text(&report);
        assert!(text.starts_with("mine: on cpu\n") && text.ends_with("left out above: adamw-s1\n"), "{text}");
        assert!(!text.contains("AdamW") && !text.contains("RMSProp"), "{text}");
    }
}
