//! Time to a target score.

use lookahead_runs::{Measure, Run, Spread, Target};

use crate::report::Report;
use crate::row::Row;

/// The time that a row's runs took to reach their target.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeToTarget {
    /// The row's label, as in tables.
    pub row: String,
    /// The measure of the target.
    pub measure: Measure,
    /// The target score.
    pub score: f64,
    /// Number of finished runs with this target.
    pub runs: usize,
    /// Number of them that reached it.
    pub reached: usize,
    /// Seconds of training until then, without validation, over the runs that reached it; `None` if none did.
    pub seconds: Option<Spread>,
}

impl Report {
    /// The time to target of each row whose runs have a target.
    pub fn times_to_target(&self) -> Vec<TimeToTarget> {
        let measure = self.task().score();
        self.rows.iter().filter_map(|row| time_to_target(measure, row, &self.runs)).collect()
    }
}

impl TimeToTarget {
    /// One sentence: `Lookahead: 86 % top-1 in 2 of 3 runs, after 151.2 ± 3.0 s of training`, or `Lookahead: perplexity
    /// 90 in 2 of 3 runs`.
    pub fn sentence(&self) -> String {
        let Self { row, measure, score, runs, reached, seconds } = self;
        let target = match measure.unit() {
            "" => format!("{} {score}", measure.name()),
            unit => format!("{score}{unit} {}", measure.name()),
        };
        let after = match seconds {
            None => String::new(),
            Some(Spread { mean, std: Some(std) }) => format!(", after {mean:.1} \u{b1} {std:.1} s of training"),
            Some(Spread { mean, std: None }) => format!(", after {mean:.1} s of training"),
        };
        format!("{row}: {target} in {reached} of {runs} run{}{after}", if *runs == 1 { "" } else { "s" })
    }
}

fn target(run: &Run) -> Option<Target> {
    run.summary.as_ref()?.details.as_ref()?.target
}

/// The target is that of the first run; runs with another one are not counted.
pub(crate) fn time_to_target(measure: Measure, row: &Row, runs: &[Run]) -> Option<TimeToTarget> {
    let targets: Vec<Target> = row.runs.iter().filter_map(|&run| target(&runs[run])).collect();
    let score = targets.first()?.score;
    let targets: Vec<&Target> = targets.iter().filter(|target| target.score == score).collect();
    let seconds: Vec<f64> = targets.iter().filter_map(|target| Some(target.reached?.seconds)).collect();
    let (runs, reached) = (targets.len(), seconds.len());
    Some(TimeToTarget { row: row.id.label(), measure, score, runs, reached, seconds: Spread::of(&seconds) })
}

#[cfg(test)]
mod tests {
    use lookahead_runs::{Reached, RunDetails};

    use super::*;
    use crate::testing::{finished, language, report};

    fn timed(name: &str, seconds: Option<f64>) -> Run {
        with_target(finished(name, 86.5), 86.0, seconds)
    }

    fn with_target(mut run: Run, score: f64, seconds: Option<f64>) -> Run {
        let reached = seconds.map(|seconds| Reached { step: 240, seconds });
        let details = RunDetails { target: Some(Target { score, reached }), ..RunDetails::default() };
        run.summary.as_mut().unwrap().details = Some(details);
        run
    }

    #[test]
    fn runs_that_missed_it_are_counted_and_have_no_time() {
        let runs = vec![
            timed("sgd-s1", Some(100.0)),
            timed("sgd-s2", None),
            timed("sgd-s3", Some(104.0)),
            timed("adamw-s1", None),
            finished("rmsprop-s1", 80.0),
        ];
        let sentences: Vec<String> = report(runs).times_to_target().iter().map(TimeToTarget::sentence).collect();
        let wanted =
            ["SGD: 86 % top-1 in 2 of 3 runs, after 102.0 \u{b1} 2.8 s of training", "AdamW: 86 % top-1 in 0 of 1 run"];
        assert_eq!(sentences, wanted);
    }

    #[test]
    fn a_language_model_is_to_reach_a_perplexity() {
        let runs = [("sgd-s1", Some(100.0)), ("sgd-s2", None)];
        let runs = runs.map(|(name, seconds)| with_target(language(name, 89.0), 90.0, seconds)).to_vec();
        let found = report(runs).times_to_target();
        assert_eq!(found[0].sentence(), "SGD: perplexity 90 in 1 of 2 runs, after 100.0 s of training");
    }
}
