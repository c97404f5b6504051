//! The page: a table, a figure, and the effect of each suspected cause.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lookahead_report::chart::{Chart, Line, Stroke};
use lookahead_report::{Report, Row, counted, interval, paragraphs, signed};
use lookahead_runs::{Environment, Measure, PairedDifference, Run, Spread, Status, by_seed, flat};

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

/// The two suspected causes, each with a row that has it and a row without it.
const SUSPECTS: &[(&str, &str, &str)] = &[
    ("the learning rate 0.1", "lookahead-adamw-high-keep", "lookahead-adamw-keep"),
    ("the reset of the moments without the step counter", "lookahead-adamw-zeroed-keep", "lookahead-adamw-reset"),
];

/// One or two sentences on which causes lower the accuracy by more than noise.
fn verdict(report: &Report) -> String {
    let (mut guilty, mut others) = (Vec::new(), Vec::new());
    for (suspect, with, without) in SUSPECTS {
        let (Some(with), Some(without)) = (find(report, with), find(report, without)) else { continue };
        let diverged = diverged_instead(report, with, without);
        if diverged > 0 {
            guilty.push(format!("{suspect} (diverged with {})", counted(diverged, "seed")));
            continue;
        }
        let pairs = pairs(report, with, without);
        match (PairedDifference::of(&pairs), pairs.as_slice()) {
            (Some(d), _) if d.mean < 0.0 && d.is_distinguishable() => {
                guilty.push(format!("{suspect} ({} points)", signed(d.mean)))
            }
            (Some(d), _) => others.push(format!("{suspect} ({})", signed(d.mean))),
            (None, [first, _, ..]) => others.push(format!("{suspect} ({} in all seeds)", signed(first.0 - first.1))),
            (None, _) => others.push(format!("{suspect} (too few runs)")),
        }
    }
    match (guilty.as_slice(), others.as_slice()) {
        ([], others) => format!("No effect exceeds the noise: {}.", others.join(", ")),
        ([_, _, ..], []) => format!("**Both: {}.**", guilty.join(" and ")),
        (guilty, []) => format!("**{}.**", capitalized(&guilty.join(" and "))),
        (guilty, others) => format!(
            "**{}.** The effect of {} does not exceed the noise.",
            capitalized(&guilty.join(" and ")),
            others.join(" and ")
        ),
    }
}

/// The number of seeds that diverged in the row `with` and ended in the row `without`.
fn diverged_instead(report: &Report, with: &Row, without: &Row) -> usize {
    let ended: Vec<u64> = report.finished(without).map(|run| run.seed).collect();
    with.runs.iter().filter(|&&run| is_diverged(&report.runs[run]) && ended.contains(&report.runs[run].seed)).count()
}

fn is_diverged(run: &Run) -> bool {
    run.status == Status::Diverged
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
}

fn find<'a>(report: &'a Report, name: &str) -> Option<&'a Row> {
    report.rows.iter().find(|row| row.id.folder() == name)
}

/// The rows in the order of the configuration: baseline, suspects, both.
fn ordered<'a>(report: &'a Report, config: &'a Config) -> impl Iterator<Item = &'a Row> {
    config.rows.iter().filter_map(|row| find(report, &row.folder()))
}

/// The question that each pair of rows answers.
const QUESTIONS: &[(&str, &str, &str)] = &[
    ("Lookahead itself, state kept", "lookahead-adamw-keep", "adamw"),
    ("A correct reset instead of keeping", "lookahead-adamw-reset", "lookahead-adamw-keep"),
    ("Interpolating instead of keeping", "lookahead-adamw-interpolate", "lookahead-adamw-keep"),
    (
        "Resetting moments without the counter, instead of a correct reset",
        "lookahead-adamw-zeroed-keep",
        "lookahead-adamw-reset",
    ),
    ("The learning rate 0.1 in AdamW alone", "adamw-high", "adamw"),
    ("The learning rate 0.1 under Lookahead, state kept", "lookahead-adamw-high-keep", "lookahead-adamw-keep"),
    ("Lookahead at the learning rate 0.1, compared with AdamW at 0.1", "lookahead-adamw-high-keep", "adamw-high"),
    (
        "Both mistakes, compared with the learning rate alone",
        "lookahead-adamw-zeroed-high-keep",
        "lookahead-adamw-high-keep",
    ),
];

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

fn answer(report: &Report, question: &str, ours: &str, theirs: &str) -> String {
    let (Some(ours), Some(theirs)) = (find(report, ours), find(report, theirs)) else { return String::new() };
    let pairs = pairs(report, ours, theirs);
    match (PairedDifference::of(&pairs), pairs.as_slice()) {
        (None, [first, _, ..]) => {
            let difference = signed(first.0 - first.1);
            format!("- {question}: {difference} points, the same in all seeds, so the noise is unknown.\n")
        }
        (None, _) => match diverged_instead(report, ours, theirs) {
            0 => format!("- {question}: too few finished runs to tell.\n"),
            seeds => format!("- {question}: diverged with {}.\n", counted(seeds, "seed")),
        },
        (Some(d), _) => format!(
            "- {question}: {} points ({}), {}.\n",
            signed(d.mean),
            interval(d.low, d.high),
            if d.is_distinguishable() { "more than noise" } else { "not distinguishable from noise" }
        ),
    }
}

fn pairs(report: &Report, ours: &Row, theirs: &Row) -> Vec<(f64, f64)> {
    let accuracies = |row: &Row| -> Vec<(u64, f64)> {
        let top1 = |run: &Run| Some((run.seed, run.summary.as_ref()?.figures.scores.get(Measure::Top1)));
        report.finished(row).filter_map(top1).collect()
    };
    by_seed(&accuracies(ours), &accuracies(theirs))
}

/// Accuracy by epoch, one line per row.
pub(super) fn figure(report: &Report) -> String {
    let lines = report.rows.iter().map(|row| {
        let mut by_epoch: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for epoch in report.finished(row).flat_map(|run| &run.log.epochs) {
            by_epoch.entry(epoch.epoch).or_default().push(epoch.scores.get(Measure::Top1));
        }
        let points = by_epoch.iter().filter_map(|(&epoch, values)| Some((epoch as f64, Spread::of(values)?)));
        Line { name: row.id.label(), stroke: stroke(row), points: points.collect() }
    });
    Chart {
        title: "AdamW, alone and inside Lookahead".to_owned(),
        x_title: "Epoch",
        y_title: "Validation accuracy (%)",
        x_is_logarithmic: false,
        y_is_logarithmic: false,
        y_range: Some(Measure::Top1.range()),
        lines: lines.collect(),
        mark: None,
    }
    .to_svg()
}

/// The colour shows what happens to the state; dashes mark the high learning rate.
fn stroke(row: &Row) -> Stroke {
    let colour = match (row.id.around.as_str(), row.id.state.as_str()) {
        ("lookahead", "keep") => "#0a4a86",
        ("lookahead", "reset") => "#2f9e76",
        ("lookahead", _) => "#7b52b9",
        ("lookahead-moments-zeroed", _) => "#a02f06",
        _ => "#5f6b76",
    };
    Stroke { colour, width: 1.8, dash: if row.id.name.ends_with("-high") { "6 3" } else { "" } }
}

#[cfg(test)]
mod tests {
    use lookahead_report::{Found, find};
    use lookahead_runs::{DataSet, Figures, Opened, RunDetails, RunFolder, RunSummary, Split};

    use super::super::rows::config;
    use super::*;
    use crate::config::Experiment;

    /// The puzzle's runs of three seeds around the given accuracies, others around 50; a negative one diverged.
    fn report(root: &std::path::Path, accuracies: &[(&str, f64)]) -> Report {
        let config = Config { seeds: vec![1, 2, 3], ..config(Experiment::Demo, 10) };
        for run in config.runs() {
            let of_row = accuracies.iter().find(|(row, _)| *row == run.row.folder());
            let accuracy = of_row.map_or(50.0, |(_, accuracy)| *accuracy);
            let environment = Environment { commit: "of-the-runs".to_owned(), ..Environment::default() };
            let opened =
                RunFolder::open(root, &run.name(), &run.to_table(), &DataSet::default(), &environment).unwrap();
            let Opened::ToDo(folder) = opened else { panic!("done before") };
            if accuracy < 0.0 {
                folder.diverged(3).unwrap();
                continue;
            }
            // What seeds do to every row, and what they do to those that were asked for alone.
            let own = if of_row.is_some() { [0.0, 0.1, -0.1] } else { [0.0; 3] };
            let top1 = accuracy + [-0.1, 0.0, 0.2][run.seed as usize - 1] + own[run.seed as usize - 1];
            let figures = Figures {
                train_loss: 1.0,
                valid_loss: 1.0,
                scores: lookahead_runs::Scores::of_images(top1, 99.0),
                seconds: 1.0,
                per_second: 1.0,
            };
            let summary = RunSummary {
                optimizer: run.row.name.clone(),
                state: run.row.id().state,
                seed: run.seed,
                split: Split::Test,
                figures,
                steps: 10,
                peak_rss_mb: 1,
                weights_sha256: String::new(),
                details: Some(RunDetails::default()),
            };
            folder.finish(&summary).unwrap();
        }
        let found: Vec<Found> = find(&[root.to_path_buf()], &mut Vec::new());
        Report::read(&found[0])
    }

    fn verdict_of(accuracies: &[(&str, f64)]) -> String {
        verdict(&report(tempfile::tempdir().unwrap().path(), accuracies))
    }

    #[test]
    fn the_verdict_names_what_lowers_the_accuracy() {
        let (high, zeroed) = ("lookahead-adamw-high-keep", "lookahead-adamw-zeroed-keep");
        assert_eq!(
            verdict_of(&[(high, 40.0)]),
            "**The learning rate 0.1 (\u{2212}10.00 points).** The effect of the reset of the moments without the step counter \
             (0.00 in all seeds) does not exceed the noise."
        );
        assert!(verdict_of(&[(high, 40.0), (zeroed, 30.0)]).starts_with("**Both: "));
        assert!(
            verdict_of(&[(high, 60.0)]).starts_with("No effect exceeds the noise: the learning rate 0.1 (+10.00), ")
        );
        // What diverged, while the same seeds without it ended, needs no interval.
        let diverged = verdict_of(&[(high, -1.0)]);
        assert!(diverged.starts_with("**The learning rate 0.1 (diverged with 3 seeds).**"), "{diverged}");
        assert!(verdict_of(&[(high, -1.0), ("lookahead-adamw-keep", -1.0)]).contains("too few runs"));
    }

    #[test]
    fn the_page_has_a_line_a_row_and_says_how_it_was_made() {
        let root = tempfile::tempdir().unwrap();
        let config = config(Experiment::Demo, 10);
        let report = report(root.path(), &[("lookahead-adamw-keep", 44.0), ("lookahead-adamw-zeroed-high-keep", -1.0)]);
        let page = page(&report, &config, "puzzle --page f.md", "f.svg");
        assert!(
            page.contains("| Lookahead/AdamW (keep) | 44.03 \u{b1} 0.12 % | 1.000 \u{b1} 0.000 | 3 | \u{2212}6.00 |"),
            "{page}"
        );
        assert_eq!(page.lines().filter(|line| line.starts_with("| ") && line.contains(" % | ")).count(), 9);
        assert!(page.contains("diverged with seeds 1, 2, 3"), "{page}");
        assert!(
            page.contains("- Both mistakes, compared with the learning rate alone: diverged with 3 seeds.\n"),
            "{page}"
        );
        assert!(page.contains("(all training images, all for validation), 10 epochs, batch 64, weight decay 0.01, beta2 0.999, sync period 5"));
        assert!(page.contains("after the epochs 6, 8"), "{page}");
        assert!(page.contains("![Validation accuracy by epoch](f.svg)"));
        let end = "\nWritten by `just puzzle --page f.md`. Its runs: Commit of-the-runs; machine unknown.\n";
        assert!(page.ends_with(end), "{page}");
        assert!(figure(&report).contains("</svg>"));
    }
}
