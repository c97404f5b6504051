//! The best settings so far, by the held-out part.

use std::fmt::Write as _;

use lookahead_report::counted;
use rayon::prelude::*;

use super::cells::{Cells, State};
use crate::error::Result;
use crate::study::{Setting, Study};

/// The number of settings printed per row.
const SHOWN: usize = 3;

/// A setting with the results of its seeds.
#[derive(Debug)]
pub(in crate::program) struct Tried<'a> {
    pub(in crate::program) setting: &'a Setting,
    /// Mean score on the held-out part; diverged seeds count as the worst score. `None` if a seed is not finished.
    pub(in crate::program) score: Option<f64>,
    /// The score of each finished seed.
    pub(in crate::program) by_seed: Vec<(u64, f64)>,
    /// Mean loss on the same part; infinite if a seed diverged.
    pub(in crate::program) loss: f64,
    /// Seeds that diverged.
    pub(in crate::program) diverged: usize,
}

/// Every setting with its result, in the order of the study.
///
/// # Errors
/// [`Error::DifferentData`](crate::Error::DifferentData); a summary that cannot be read or is damaged.
pub(in crate::program) fn tried<'a>(study: &'a Study, cells: &Cells, states: &[State]) -> Result<Vec<Tried<'a>>> {
    cells.check_data()?;
    let measure = study.file.experiment.task().score();
    let (settings, seeds) = (study.settings.len(), study.file.seeds.len());
    let of = |(position, setting): (usize, &'a Setting)| -> Result<Tried<'a>> {
        let (mut by_seed, mut loss, mut diverged) = (Vec::new(), 0.0, 0);
        for (cell, seed) in study.file.seeds.iter().enumerate().map(|(at, seed)| (at * settings + position, *seed)) {
            match states[cell] {
                State::Diverged => {
                    by_seed.push((seed, measure.worst()));
                    (loss, diverged) = (f64::INFINITY, diverged + 1);
                }
                State::Done => {
                    let figures = cells.summary(cell)?.figures;
                    by_seed.push((seed, figures.scores.get(measure)));
                    loss += figures.valid_loss;
                }
                State::ToDo | State::Failed => {}
            }
        }
        let mean = |sum: f64| sum / seeds as f64;
        let score = (by_seed.len() == seeds).then(|| mean(by_seed.iter().map(|(_, score)| score).sum()));
        Ok(Tried { setting, score, by_seed, loss: mean(loss), diverged })
    };
    study.settings.par_iter().enumerate().map(of).collect()
}

/// The tried settings of a row, best first: by score, then by loss.
pub(in crate::program) fn best<'a, 'b>(study: &Study, tried: &'b [Tried<'a>], row: usize) -> Vec<&'b Tried<'a>> {
    let measure = study.file.experiment.task().score();
    let score = |tried: &Tried<'_>| tried.score.unwrap_or(measure.worst());
    let mut own: Vec<&Tried<'_>> = tried.iter().filter(|t| t.setting.row == row && t.score.is_some()).collect();
    own.sort_by(|a, b| measure.best_first(score(a), score(b)).then(a.loss.total_cmp(&b.loss)));
    own
}

/// The best settings of each row, in words.
///
/// # Errors
/// As [`tried`].
pub(super) fn ranking(study: &Study, cells: &Cells, states: &[State]) -> Result<String> {
    let tried = tried(study, cells, states)?;
    let mut text = format!("{}: the best settings by the held-out part (the test part was not read)\n", study.name);
    let measure = study.file.experiment.task().score();
    for (row, file) in study.file.rows.iter().enumerate() {
        let own = best(study, &tried, row);
        let diverged: usize = tried.iter().filter(|t| t.setting.row == row).map(|t| t.diverged).sum();
        let also = if diverged > 0 { format!(", {} diverged", counted(diverged, "run")) } else { String::new() };
        let _ = writeln!(text, "\n{} ({} of {} settings done{also})", file.name(), own.len(), study.trials);
        for found in own.iter().take(SHOWN) {
            let edges = study.edges(found.setting);
            let flag = if edges.is_empty() { String::new() } else { format!("  at the edge of {}", edges.join(", ")) };
            let score = found.score.unwrap_or(measure.worst());
            let (name, unit) = (measure.name(), measure.unit());
            let _ =
                writeln!(text, "  {name} {score:6.2}{unit}  loss {:.4}  {}{flag}", found.loss, found.setting.words());
        }
    }
    Ok(text)
}
