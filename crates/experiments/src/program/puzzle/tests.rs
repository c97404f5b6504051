//! Verdicts, and the page, of made-up runs.

use clap::Parser;
use lookahead_report::{Found, Report};
use lookahead_runs::{DataSet, Environment, Figures, Opened, RunDetails, RunFolder, RunSummary, Split};

use super::PuzzleFlags;
use super::causes::{find, pairs, verdict};
use super::figure::figure;
use super::page::page;
use super::rows::config;
use crate::config::{Config, Experiment};

/// The puzzle's runs of three seeds around the given accuracies, others around 50; a negative one diverged.
fn report(root: &std::path::Path, accuracies: &[(&str, f64)]) -> Report {
    let config = Config { seeds: vec![1, 2, 3], ..config(Experiment::Demo, 10) };
    for run in config.runs() {
        let of_row = accuracies.iter().find(|(row, _)| *row == run.row.folder());
        let accuracy = of_row.map_or(50.0, |(_, accuracy)| *accuracy);
        let environment = Environment { commit: "of-the-runs".to_owned(), ..Environment::default() };
        let opened = RunFolder::open(root, &run.name(), &run.to_table(), &DataSet::default(), &environment).unwrap();
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
    let found: Vec<Found> = lookahead_report::find(&[root.to_path_buf()], &mut Vec::new());
    Report::read(&found[0])
}

fn verdict_of(accuracies: &[(&str, f64)]) -> String {
    verdict(&report(tempfile::tempdir().unwrap().path(), accuracies))
}

#[test]
fn a_puzzle_without_accuracies_or_without_a_figure_is_refused() {
    let check = |arguments: &[&str]| {
        PuzzleFlags::try_parse_from(std::iter::once("puzzle").chain(arguments.iter().copied())).unwrap().check()
    };
    let message = check(&["--experiment", "language"]).unwrap_err().to_string();
    assert!(message.starts_with("--experiment language and the puzzle conflict: "), "{message}");
    let message = check(&["--page", "a/x.svg"]).unwrap_err().to_string();
    assert!(message.starts_with("--page a/x.svg and the figure next to it conflict: "), "{message}");
    assert_eq!(check(&["--page", "a/x.md"]).unwrap(), Some("a/x.svg".into()));
    assert_eq!(check(&["--experiment", "cifar10"]).unwrap(), None);
}

#[test]
fn seeds_without_an_accuracy_are_in_no_pair() {
    let root = tempfile::tempdir().unwrap();
    let mut report = report(root.path(), &[]);
    let [ours, theirs] = ["lookahead-adamw-keep", "adamw"].map(|name| find(&report, name).unwrap().clone());
    report.runs[ours.runs[0]].summary.as_mut().unwrap().figures.scores.top1 = None;
    assert_eq!(pairs(&report, &ours, &theirs).len(), 2);
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
    assert!(verdict_of(&[(high, 60.0)]).starts_with("No effect exceeds the noise: the learning rate 0.1 (+10.00), "));
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
    assert!(page.contains(
        "(all training images, all for validation), 10 epochs, batch 64, weight decay 0.01, beta2 0.999, sync period 5"
    ));
    assert!(page.contains("after the epochs 6, 8"), "{page}");
    assert!(page.contains("![Validation accuracy by epoch](f.svg)"));
    let end = "\nWritten by `just puzzle --page f.md`. Its runs: Commit of-the-runs; machine unknown.\n";
    assert!(page.ends_with(end), "{page}");
    assert!(figure(&report).contains("</svg>"));
}
