//! Measures and metrics as data for the page: no script contains a measure's name.

use lookahead_runs::{Measure, TaskKind};
use serde::Serialize;

use crate::metric::{Metric, compared, metrics};
use crate::report::Report;
use crate::words::{a_unit, in_full};

/// The page's data about its task.
#[derive(Debug, Serialize)]
pub(crate) struct Scored {
    /// The unit of a loss, after `nats`: `per image`.
    a_unit: &'static str,
    /// Properties that runs with the same seed share.
    shared_by_seed: &'static str,
    /// The measures, the score first.
    measures: Vec<MeasureData>,
    /// Columns of the table.
    metrics: Vec<MetricData>,
    /// Metrics that can be compared: key and name.
    compared: Vec<(&'static str, &'static str)>,
}

#[derive(Debug, Serialize)]
struct MeasureData {
    key: &'static str,
    title: &'static str,
    name: &'static str,
    in_full: &'static str,
    unit: &'static str,
    digits: usize,
    is_higher_better: bool,
    /// False if it is always 100 %: top-5 with five classes or fewer.
    is_telling: bool,
    /// Lowest and highest possible value; `null` for no limit.
    range: (Option<f64>, Option<f64>),
}

#[derive(Debug, Serialize)]
struct MetricData {
    key: &'static str,
    title: &'static str,
    digits: usize,
    is_higher_better: bool,
    /// True if it depends more on the machine than on the optimizer.
    is_of_machine: bool,
    title_of_difference: &'static str,
}

impl Scored {
    pub(crate) fn of(report: &Report) -> Self {
        let task = report.task();
        let classes = report.data.classes.len();
        Self {
            a_unit: a_unit(task),
            shared_by_seed: match task {
                TaskKind::Images => "initial weights, data order and augmentation",
                TaskKind::Language => "initial weights and data order",
            },
            measures: task.measures().iter().map(|measure| measure_data(*measure, classes)).collect(),
            metrics: metrics(task).into_iter().map(metric_data).collect(),
            compared: compared(task).map(|metric| (metric.key(), name(metric))).to_vec(),
        }
    }
}

fn measure_data(measure: Measure, classes: usize) -> MeasureData {
    let (low, high) = measure.range();
    let limit = |end: f64| Some(end).filter(|end| end.is_finite());
    MeasureData {
        key: measure.key(),
        title: measure.title(),
        name: measure.name(),
        in_full: in_full(measure),
        unit: measure.unit(),
        digits: Metric::Score(measure).digits(),
        is_higher_better: measure.is_higher_better(),
        is_telling: measure != Measure::Top5 || classes == 0 || classes > 5,
        range: (limit(low), limit(high)),
    }
}

fn metric_data(metric: Metric) -> MetricData {
    MetricData {
        key: metric.key(),
        title: metric.title(),
        digits: metric.digits(),
        is_higher_better: metric.is_higher_better(),
        is_of_machine: metric.is_of_machine(),
        title_of_difference: metric.title_of_difference(),
    }
}

fn name(metric: Metric) -> &'static str {
    match metric {
        Metric::Score(measure) => in_full(measure),
        Metric::TrainLoss => "Training loss",
        other => other.title(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{finished, language, report};

    #[test]
    fn the_score_comes_first_and_has_its_limits_and_its_direction() {
        let of = |run| serde_json::to_value(Scored::of(&report(vec![run]))).unwrap();
        let images = of(finished("sgd-s1", 80.0));
        assert_eq!(images["measures"][0]["range"], serde_json::json!([0.0, 100.0]));
        assert_eq!(images["compared"][0], serde_json::json!(["top1", "Top-1 accuracy"]));
        let language = of(language("sgd-s1", 80.0));
        let score = &language["measures"][0];
        assert_eq!((&score["key"], &score["is_higher_better"]), (&"perplexity".into(), &false.into()));
        assert_eq!(score["range"], serde_json::json!([1.0, null]));
        assert_eq!(language["a_unit"], "per token");
    }

    #[test]
    fn the_five_likeliest_of_five_classes_say_nothing() {
        let is_telling = |classes| measure_data(Measure::Top5, classes).is_telling;
        assert_eq!([0, 2, 5, 6].map(is_telling), [true, false, false, true]);
        assert!(measure_data(Measure::Top1, 2).is_telling);
    }
}
