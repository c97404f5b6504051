//! What a sweep says before it starts: how many cells there are, and how long they take.

use lookahead_report::{clock, counted};

use super::SweepFlags;
use super::cells::{Cells, State};
use super::work::{Worker, estimate};
use crate::error::Result;
use crate::study::Study;

/// An estimate of the seconds that the cells `to_do` take here, from finished cells or else from a few steps of the
/// first one; `None` if that one cannot be set up.
pub(super) fn seconds(
    cells: &Cells,
    states: &[State],
    to_do: &[usize],
    flags: &SweepFlags,
    worker: &mut Worker<'_>,
) -> Result<Option<f64>> {
    const SAMPLE: usize = 20;
    let done = (0..states.len()).filter(|&cell| states[cell] == State::Done).take(SAMPLE);
    let done: Vec<f64> = done.map(|cell| Ok(cells.summary(cell)?.figures.seconds)).collect::<Result<_>>()?;
    let share = to_do.len() as f64 / flags.shard.map_or(1, |shard| shard.of) as f64;
    if done.is_empty() {
        // Timed on all cores: jobs that share them each take longer, but together take as long.
        let run = &cells.runs[to_do[0]];
        return Ok(estimate(run, worker.store.of(&run.config)?, worker.device).map(|seconds| share * seconds));
    }
    Ok(Some(share * done.iter().sum::<f64>() / done.len() as f64 / flags.jobs as f64))
}

/// A summary of the sweep whose cells are in these states and take about `seconds`.
pub(super) fn words(
    study: &Study,
    cells: &Cells,
    states: &[State],
    flags: &SweepFlags,
    seconds: Option<f64>,
) -> String {
    let about = seconds.map_or_else(String::new, |seconds| format!(", about {} here", clock(seconds)));
    let part = |of: &[State], what: &str| match states.iter().filter(|state| of.contains(state)).count() {
        0 => String::new(),
        count => format!(", {count} of them {what}"),
    };
    let before = part(&[State::Done, State::Diverged], "already finished") + &part(&[State::Failed], "failed before");
    let (settings, seeds) =
        if flags.last { (1, study.file.final_seeds.len()) } else { (study.trials, study.file.seeds.len()) };
    format!(
        "{}: {} of {}, {}: {}{before}{about}; {}",
        study.name,
        counted(study.file.rows.len(), "row"),
        counted(settings, "setting"),
        counted(seeds, "seed"),
        counted(cells.runs.len(), "cell"),
        cells.folder.display()
    )
}
