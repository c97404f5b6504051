//! The curves of the page: those of one kind on one grid, equal ones stored once.

use std::collections::{BTreeMap, HashMap};

use lookahead_runs::{Run, TaskKind};

use crate::thin::{Curve, Values, of_epochs, of_steps};

/// Buckets of all curves of one kind in total, which keeps the page of fifty runs well under two megabytes.
const BUCKETS: usize = 24_000;
/// Maximum number of buckets of one curve: more than a wide screen can show.
const MOST_BUCKETS: usize = 1_000;
/// Minimum number of buckets of one curve, with any number of runs: with fewer, it would look angular.
const FEWEST_BUCKETS: usize = 80;

/// The curves of an experiment.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    /// All distinct curves: seeds share their learning rate.
    pub(crate) curves: Vec<Curve>,
    /// Positions in `curves` by name, for each run.
    pub(crate) of_runs: Vec<BTreeMap<&'static str, usize>>,
}

impl Pool {
    pub(crate) fn of(runs: &[Run], task: TaskKind) -> Self {
        let last_step = runs.iter().map(|run| run.log.steps_done()).max().unwrap_or(0);
        let buckets = (BUCKETS / runs.len().max(1)).clamp(FEWEST_BUCKETS, MOST_BUCKETS);
        let mut pool = Self { curves: Vec::new(), of_runs: vec![BTreeMap::new(); runs.len()] };
        let mut known = HashMap::new();
        for (name, values) in kinds(task) {
            let points: Vec<Vec<(u64, f64)>> = runs.iter().map(&*values).collect();
            for (of_run, curve) in pool.of_runs.iter_mut().zip(Curve::thin(&points, last_step, buckets)) {
                let Some(curve) = curve else { continue };
                let position = *known.entry(format!("{curve:?}")).or_insert_with(|| {
                    pool.curves.push(curve);
                    pool.curves.len() - 1
                });
                of_run.insert(name, position);
            }
        }
        pool
    }
}

/// The curves of a run, by name.
fn kinds(task: TaskKind) -> Vec<(&'static str, Box<Values>)> {
    let mut kinds: Vec<(&str, Box<Values>)> = vec![
        ("train_loss", Box::new(train_loss)),
        ("valid_loss", Box::new(|run| of_epochs(run, |record| record.valid_loss))),
        ("learning_rate", Box::new(|run| of_steps(run, |record| record.learning_rate))),
        ("momentum", Box::new(|run| of_steps(run, |record| record.momentum.unwrap_or(f64::NAN)))),
    ];
    for &measure in task.measures() {
        kinds.push((measure.key(), Box::new(move |run| of_epochs(run, |record| record.scores.get(measure)))));
    }
    kinds
}

/// A short run may have fewer logged steps than epochs.
fn train_loss(run: &Run) -> Vec<(u64, f64)> {
    if run.log.steps.len() < run.log.epochs.len() {
        of_epochs(run, |record| record.train_loss)
    } else {
        of_steps(run, |record| record.train_loss)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use lookahead_runs::Log;

    use super::*;
    use crate::testing::unfinished;

    /// A run of so many logged steps, with a learning rate that falls from 1 by the step.
    fn run(name: &str, steps: u64) -> Run {
        let mut lines = String::new();
        for step in 0..steps {
            let rate = 1.0 - step as f64 / 5_000.0;
            let _ = writeln!(lines, "{{\"kind\":\"step\",\"step\":{step},\"learning_rate\":{rate}}}");
        }
        Run { log: Log::parse(lines.as_bytes()), ..unfinished(name) }
    }

    /// 2000 steps in 1000 buckets of two: the run at work has 500 points, few enough to keep them all, were it alone.
    #[test]
    fn a_run_at_work_is_on_the_grid_of_the_others() {
        let pool = Pool::of(&[run("sgd-s1", 2_000), run("sgd-s2", 2_000), run("sgd-s3", 500)], TaskKind::Images);
        let of = |run: usize| &pool.curves[pool.of_runs[run]["learning_rate"]];
        assert_eq!(pool.of_runs[0], pool.of_runs[1], "equal curves are stored once");
        assert_eq!((pool.curves.len(), of(0).y.len(), of(2).y.len()), (2, 1_000, 250));
        assert_eq!((&of(2).x[..], &of(2).y[..]), (&of(0).x[..250], &of(0).y[..250]));
    }
}
