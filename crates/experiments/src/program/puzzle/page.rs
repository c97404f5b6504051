//! The page: a table, a figure, and the effect of each suspected cause.

use std::fmt::Write as _;

use lookahead_report::{Report, Row, interval, paragraphs, signed};
use lookahead_runs::{Environment, Measure, PairedDifference, Spread, flat};

use super::causes::{QUESTIONS, answer, find, is_diverged, pairs, verdict};
use super::rows::RATES;
use crate::config::Config;
use crate::program::origin::origin;

/// The page as Markdown; `command` writes it, and `figure` is the path of the SVG relative to it.
pub(super) fn page(report: &Report, config: &Config, command: &str, figure: &str) -> String {
    let mut text = paragraphs(&introduction(config));
    text.push_str("| | accuracy | validation loss | seeds | minus AdamW, paired | 95 % interval | |\n");
    text.push_str("| --- | ---: | ---: | ---: | ---: | ---: | --- |\n");
    for row in ordered(report, config) {
        text.push_str(&line(report, row));
    }
    let _ = write!(
        text,
        "\n![Validation accuracy by epoch]({figure})\n\n## What explains the collapse\n\n{}\n\n",
        paragraphs(&verdict(report)).trim_end()
    );
    for (question, ours, theirs) in QUESTIONS {
        text.push_str(&answer(report, question, ours, theirs));
    }
    // The runs may be older than the program that writes the page.
    let environments: Vec<Environment> = report.runs.iter().filter_map(|run| run.environment.clone()).collect();
    let _ = write!(text, "\nWritten by `just {command}`. Its runs: {}\n", origin(&environments));
    text
}

fn introduction(config: &Config) -> String {
    let settings =
        config.runs().iter().find(|run| run.row.around.lookahead().is_some()).map(|run| flat(&run.to_table()));
    let of = |key: &str| settings.as_ref().and_then(|settings| settings.get(key)).cloned().unwrap_or_default();
    format!(
        "# Why did Lookahead/AdamW collapse?\n\n\
         In the original project, Lookahead around AdamW was the worst optimizer (44 to 77 %, where others reached 54 to 85 %), \
         and AdamW's moving averages were the suspected cause. Its notebooks show two other possible causes: inside \
         Lookahead, AdamW had the learning rate {} of Lookahead/SGD instead of its own {}, and the reset set the moments to \
         zero but kept the step counter, so that the bias correction was wrong. Here, each is tested alone and both together.\n\n\
         {} on {} ({}), {}, batch {}, weight decay {}, beta2 {}, sync period {}, slow step size {}; the learning rate is divided by 5 \
         after the epochs {}. Validation at the slow weights.\n\n",
        RATES.1,
        RATES.0,
        config.model.name(),
        config.experiment,
        images(config),
        if config.train.epochs == 1.0 { "1 epoch".to_owned() } else { format!("{} epochs", config.train.epochs) },
        config.train.batch_size,
        of("optimizer.weight_decay.decoupled"),
        of("optimizer.beta2"),
        of("lookahead.sync_period"),
        of("lookahead.slow_step_size"),
        of("schedule.steps.milestones").trim_matches(['[', ']']),
    )
}

/// How much of the data set is used.
fn images(config: &Config) -> String {
    let part = |limit: usize| if limit == 0 { "all".to_owned() } else { limit.to_string() };
    let (train, valid) = config.data.limits();
    format!("{} training images, {} for validation", part(train), part(valid))
}

/// The rows in the order of the configuration: baseline, suspects, both.
fn ordered<'a>(report: &'a Report, config: &'a Config) -> impl Iterator<Item = &'a Row> {
    config.rows.iter().filter_map(|row| find(report, &row.folder()))
}

fn line(report: &Report, row: &Row) -> String {
    let figures = || report.finished(row).filter_map(|run| run.summary.as_ref()).map(|summary| summary.figures);
    let spread = |values: Vec<f64>, digits: usize| match Spread::of(&values) {
        None => "-".to_owned(),
        Some(Spread { mean, std: None }) => format!("{mean:.digits$}"),
        Some(Spread { mean, std: Some(std) }) => format!("{mean:.digits$} \u{b1} {std:.digits$}"),
    };
    let accuracy = spread(figures().map(|figures| figures.scores.get(Measure::Top1)).collect(), 2);
    let loss = spread(figures().map(|figures| figures.valid_loss).collect(), 3);
    let compared = find(report, "adamw").filter(|baseline| baseline.id != row.id);
    let pairs = compared.map(|baseline| pairs(report, row, baseline)).unwrap_or_default();
    let (points, range, verdict) = match (PairedDifference::of(&pairs), pairs.as_slice()) {
        (Some(d), _) => {
            (signed(d.mean), interval(d.low, d.high), if d.is_distinguishable() { "" } else { "not distinguishable" })
        }
        (None, [first, _, ..]) => (signed(first.0 - first.1), String::new(), "the same in all seeds"),
        (None, _) => (String::new(), String::new(), ""),
    };
    let runs = row.runs.iter().map(|&run| &report.runs[run]);
    let diverged: Vec<String> = runs.filter(|run| is_diverged(run)).map(|run| run.seed.to_string()).collect();
    let verdict = match diverged.as_slice() {
        [] => verdict.to_owned(),
        [one] => format!("diverged with seed {one}"),
        several => format!("diverged with seeds {}", several.join(", ")),
    };
    let seeds = figures().count();
    format!("| {} | {accuracy} % | {loss} | {seeds} | {points} | {range} | {verdict} |\n", row.id.label())
}
