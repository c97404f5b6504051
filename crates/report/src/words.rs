//! Words for a task's data and scores in sentences and charts.

use lookahead_runs::{Measure, TaskKind};

/// The unit of a loss, after `nats`: `per image`.
pub(crate) fn a_unit(task: TaskKind) -> &'static str {
    match task {
        TaskKind::Images => "per image",
        TaskKind::Language => "per token",
    }
}

/// The score in one word: `accuracy`.
pub(crate) fn noun(task: TaskKind) -> &'static str {
    match task {
        TaskKind::Images => "accuracy",
        TaskKind::Language => "perplexity",
    }
}

/// The full name of a measure, for tables and charts: `Top-1 accuracy`.
pub(crate) fn in_full(measure: Measure) -> &'static str {
    match measure {
        Measure::Top1 => "Top-1 accuracy",
        Measure::Top5 => "Top-5 accuracy",
        Measure::Perplexity => "Perplexity",
    }
}

/// Suffix of the heading of a table of differences, if a negative difference is an improvement.
pub(crate) fn direction(measure: Measure) -> &'static str {
    if measure.is_higher_better() { "" } else { " (lower is better)" }
}

/// A value of `measure` in a sentence: `80.00 %` or `perplexity 80.00`.
pub(crate) fn value(measure: Measure, value: &str) -> String {
    match measure.unit() {
        "" => format!("{} {value}", measure.name()),
        unit => format!("{value}{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_says_what_it_is_of() {
        assert_eq!(value(Measure::Top1, "80.00"), "80.00 %");
        assert_eq!(value(Measure::Perplexity, "80.00"), "perplexity 80.00");
    }

    #[test]
    fn units_are_those_of_the_task() {
        for task in [TaskKind::Images, TaskKind::Language] {
            assert!(a_unit(task).ends_with(task.unit()));
            assert!(in_full(task.score()).to_lowercase().ends_with(noun(task)));
        }
    }
}
