//! Runs for unit tests, without a folder.

use std::path::Path;

use lookahead_runs::{DataSet, Figures, Run, RunSummary, Split, Status};

use crate::compare::compare;
use crate::report::Report;
use crate::row::rows;

/// A run that its folder's name alone describes: it has no files, so it is not finished.
pub(crate) fn unfinished(name: &str) -> Run {
    Run::read(Path::new(name))
}

/// The same, finished with this accuracy.
pub(crate) fn finished(name: &str, top1: f64) -> Run {
    let mut run = Run::read(Path::new(name));
    run.status = Status::Done;
    run.summary = Some(RunSummary {
        optimizer: run.row.name.clone(),
        state: run.row.state.clone(),
        seed: run.seed,
        split: Split::Test,
        figures: Figures {
            train_loss: 0.5,
            valid_loss: 0.6,
            top1,
            top5: 99.0,
            seconds: 61.0,
            images_per_second: 800.0,
        },
        steps: 10,
        peak_rss_mb: 1,
        weights_sha256: String::new(),
        details: None,
    });
    run
}

/// The report of such runs.
pub(crate) fn report(runs: Vec<Run>) -> Report {
    let rows = rows(&runs);
    Report {
        name: "cifar10".to_owned(),
        protocol: "quick".to_owned(),
        model: "resnet20".to_owned(),
        device: "cpu".to_owned(),
        data: DataSet::default(),
        warnings: Vec::new(),
        comparisons: compare(&runs, &rows),
        runs,
        rows,
        left_out: Vec::new(),
        not_begun: Vec::new(),
        read_at: None,
    }
}
