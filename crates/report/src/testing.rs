//! Runs for unit tests, without a folder.

use std::path::Path;

use lookahead_runs::{DataSet, Figures, Run, RunSummary, Scores, Split, Status, TaskKind};

use crate::about::warnings;
use crate::compare::compare;
use crate::report::Report;
use crate::row::rows;

/// A run described only by its folder's name: it has no files, so it is not finished.
pub(crate) fn unfinished(name: &str) -> Run {
    Run::read(Path::new(name))
}

/// The same, finished with this accuracy.
pub(crate) fn finished(name: &str, top1: f64) -> Run {
    scored(name, 0.6, Scores::of_images(top1, 99.0))
}

/// A run of a language model, finished with this perplexity.
pub(crate) fn language(name: &str, perplexity: f64) -> Run {
    let data = DataSet { task: TaskKind::Language, name: "text".to_owned(), ..DataSet::default() };
    let scores = Scores { perplexity: Some(perplexity), ..Scores::default() };
    Run { data: Some(data), ..scored(name, perplexity.ln(), scores) }
}

fn scored(name: &str, valid_loss: f64, scores: Scores) -> Run {
    let mut run = unfinished(name);
    run.status = Status::Done;
    run.summary = Some(RunSummary {
        optimizer: run.row.name.clone(),
        state: run.row.state.clone(),
        seed: run.seed,
        split: Split::Test,
        figures: Figures { train_loss: 0.5, valid_loss, scores, seconds: 61.0, per_second: 800.0 },
        steps: 10,
        peak_rss_mb: 1,
        weights_sha256: String::new(),
        details: None,
    });
    run
}

/// The report of such runs, all of one task.
pub(crate) fn report(runs: Vec<Run>) -> Report {
    let task = runs.first().map(Run::task).unwrap_or_default();
    let rows = rows(&runs, task);
    Report {
        name: "cifar10".to_owned(),
        protocol: "quick".to_owned(),
        model: "resnet20".to_owned(),
        device: "cpu".to_owned(),
        data: DataSet { task, ..DataSet::default() },
        warnings: warnings(&rows, &runs),
        comparisons: compare(&runs, &rows, task),
        runs,
        rows,
        left_out: Vec::new(),
        not_begun: Vec::new(),
        read_at: None,
    }
}
