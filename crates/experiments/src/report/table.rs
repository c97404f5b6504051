//! The table as Markdown and as CSV, and all curves as CSV.

use std::fmt::Write as _;

use super::compare::signed;
use super::data::is_done;
use super::experiment::{Experiment, METRICS, Metric, Row};
use crate::reference::{Reference, Source};
use crate::stats::Spread;

/// The table as Markdown: mean and standard deviation over seeds, published accuracies in the last columns.
pub fn markdown(experiment: &Experiment) -> String {
    let theirs = experiment.references();
    let sources: Vec<Source> =
        Source::ALL.into_iter().filter(|source| theirs.iter().any(|row| row.source == *source)).collect();
    let mut lines: Vec<Vec<String>> = Vec::new();
    let mut head: Vec<String> = ["Optimizer", "State", "Seeds"].map(str::to_owned).to_vec();
    head.extend(METRICS.iter().map(|metric| metric.title.to_owned()));
    head.extend(sources.iter().map(|source| format!("{} top-1 %", source.title())));
    lines.push(head);
    for row in &experiment.rows {
        let seeds = experiment.finished(row).count();
        let mut cells = vec![in_cell(&row.title()), in_cell(dash(&row.state)), seeds_cell(seeds, row.runs.len())];
        cells.extend(METRICS.iter().zip(&row.numbers).map(|(metric, number)| spread_cell(metric, *number, seeds)));
        cells.extend(sources.iter().map(|&source| their_cell(&theirs, source, row)));
        lines.push(cells);
    }
    aligned(&lines, 2)
}

/// Differences in top-1 accuracy as Markdown, paired by seed: of each Lookahead to what is inside it, and of each other row
/// to the first. Empty where no two rows share a finished seed.
pub fn markdown_differences(experiment: &Experiment) -> String {
    let head =
        ["Top-1 accuracy, paired by seed", "Points", "95 % interval", "Effect size", "Pairs", ""].map(str::to_owned);
    let mut lines = vec![head.to_vec()];
    for (position, row) in experiment.rows.iter().enumerate() {
        let baseline = row.inner.unwrap_or(0);
        let found = experiment
            .comparisons
            .iter()
            .find(|found| (found.row, found.baseline, found.metric) == (position, baseline, "top1"));
        let Some(found) = found else { continue };
        let [interval, effect, verdict] = match found.interval {
            None => ["\u{2013}".to_owned(), "\u{2013}".to_owned(), "one seed".to_owned()],
            Some(of) => [
                format!("{} to {}", signed(of.low), signed(of.high)),
                signed(of.effect_size),
                if of.is_distinguishable() { String::new() } else { "not distinguishable".to_owned() },
            ],
        };
        let names = format!("{} \u{2212} {}", row.label(), experiment.rows[baseline].label());
        lines.push(vec![in_cell(&names), signed(found.mean), interval, effect, found.pairs.to_string(), verdict]);
    }
    if lines.len() == 1 { String::new() } else { aligned(&lines, 1) }
}

/// Seeds done, and of how many if some are not.
fn seeds_cell(done: usize, all: usize) -> String {
    if done == all { done.to_string() } else { format!("{done} of {all}") }
}

fn spread_cell(metric: &Metric, number: Option<Spread>, seeds: usize) -> String {
    let digits = metric.digits;
    match number {
        None => "\u{2013}".to_owned(),
        Some(spread) if seeds < 2 => format!("{:.digits$}", spread.mean),
        Some(spread) => format!("{:.digits$} \u{b1} {:.digits$}", spread.mean, spread.std),
    }
}

fn their_cell(theirs: &[Reference], source: Source, row: &Row) -> String {
    let their = theirs.iter().find(|their| their.source == source && their.is_beside(&row.optimizer, &row.state));
    their.map_or_else(|| "\u{2013}".to_owned(), |their| format!("{:.2}", their.top1))
}

fn dash(text: &str) -> &str {
    if text.is_empty() { "\u{2013}" } else { text }
}

/// Text that cannot leave its cell.
fn in_cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '|' | '<' | '`' | '*' | '[' | '\\' => cell.extend(['\\', character]),
            '\n' | '\r' => cell.push(' '),
            other => cell.push(other),
        }
    }
    cell
}

/// A Markdown table whose columns line up; columns from `numbers` on are right-aligned.
fn aligned(lines: &[Vec<String>], numbers: usize) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0).max(3);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (position, line) in lines.iter().enumerate() {
        for (column, cell) in line.iter().enumerate() {
            let fill = " ".repeat(widths[column] - cell.chars().count());
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

/// The table as CSV (RFC 4180), one line a row: `_mean` and `_std` of each number with all its digits.
pub fn csv(experiment: &Experiment) -> String {
    let mut text = "experiment,protocol,model,device,optimizer,state,seeds".to_owned();
    for metric in METRICS {
        let _ = write!(text, ",{0}_mean,{0}_std", metric.key);
    }
    text.push_str("\r\n");
    for row in &experiment.rows {
        let seeds: Vec<String> = experiment.finished(row).map(|run| run.seed.to_string()).collect();
        let names =
            [&experiment.name, &experiment.protocol, &experiment.model, &experiment.device, &row.optimizer, &row.state];
        let mut cells: Vec<String> = names.map(|name| quoted(name)).to_vec();
        cells.push(seeds.join(" "));
        for number in &row.numbers {
            cells.extend(
                number.map_or_else(|| [String::new(), String::new()], |s| [s.mean.to_string(), s.std.to_string()]),
            );
        }
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

/// All of `metrics.jsonl` of all runs as one CSV, every line that could be read, for pandas and R: one line a logged step
/// or epoch, a column that a line does not have is empty.
///
/// Columns: `run, optimizer, state, seed, done, kind, step, epoch, train_loss, valid_loss, top1, top5, ece, learning_rate,
/// momentum, images_per_second, seconds`; `step` counts from 0 as in the file, `epoch` is filled for epochs alone.
pub fn metrics_csv(experiment: &Experiment) -> String {
    let mut text =
        "run,optimizer,state,seed,done,kind,step,epoch,train_loss,valid_loss,top1,top5,ece,learning_rate,momentum,\
                    images_per_second,seconds\r\n"
            .to_owned();
    let number = |value: f64| if value.is_finite() { value.to_string() } else { String::new() };
    for run in &experiment.runs {
        let who =
            format!("{},{},{},{},{}", quoted(&run.name), quoted(&run.optimizer), run.state, run.seed, is_done(run));
        for p in &run.log.steps {
            let [loss, rate, momentum, speed, seconds] =
                [p.train_loss, p.learning_rate, p.momentum, p.images_per_second, p.seconds].map(number);
            let _ = write!(text, "{who},step,{},,{loss},,,,,{rate},{momentum},{speed},{seconds}\r\n", p.step - 1);
        }
        for p in &run.log.epochs {
            let [train, valid, top1, top5, ece, seconds] =
                [p.train_loss, p.valid_loss, p.top1, p.top5, p.ece, p.seconds].map(number);
            let _ = write!(
                text,
                "{who},epoch,{},{},{train},{valid},{top1},{top5},{ece},,,,{seconds}\r\n",
                p.step - 1,
                p.epoch
            );
        }
    }
    text
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let lines = [vec!["Name".to_owned(), "N".to_owned()], vec!["a".to_owned(), "1 \u{b1} 2".to_owned()]];
        assert_eq!(aligned(&lines, 1), "| Name |     N |\n| ---- | ----: |\n| a    | 1 \u{b1} 2 |\n");
    }

    #[test]
    fn a_name_cannot_leave_its_cell() {
        assert_eq!(in_cell("a|b\n<script>"), "a\\|b \\<script>");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
    }

    #[test]
    fn one_seed_has_no_spread() {
        let spread = Some(Spread { mean: 76.125, std: 0.0 });
        assert_eq!(spread_cell(&METRICS[2], spread, 1), "76.12");
        assert_eq!(spread_cell(&METRICS[2], Some(Spread { mean: 76.126, std: 0.5 }), 3), "76.13 \u{b1} 0.50");
        assert_eq!(spread_cell(&METRICS[2], None, 0), "\u{2013}");
    }
}
