//! The metrics of the table, which depend on the task.

use lookahead_runs::{Figures, Measure, TaskKind};

/// A metric: a column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Mean training loss of the last epoch, in nats per image or token.
    TrainLoss,
    /// Final loss on the split that the run is judged on, in nats per image or token.
    Loss,
    /// A final score on that split.
    Score(Measure),
    /// Duration of a run in seconds.
    Seconds,
    /// Training images or tokens per second.
    Speed(TaskKind),
}

/// The metrics for runs of `task`, in the order of the columns.
///
/// ```
/// use lookahead_report::metrics;
/// use lookahead_runs::TaskKind;
/// let titles: Vec<&str> = metrics(TaskKind::Language).iter().map(|metric| metric.title()).collect();
/// assert_eq!(titles, ["Train loss", "Loss", "Perplexity", "Seconds", "Tokens/s"]);
/// ```
pub fn metrics(task: TaskKind) -> Vec<Metric> {
    let scores = task.measures().iter().map(|measure| Metric::Score(*measure));
    let losses = [Metric::TrainLoss, Metric::Loss].into_iter();
    losses.chain(scores).chain([Metric::Seconds, Metric::Speed(task)]).collect()
}

/// The metrics that rows are compared in, the score first.
pub fn compared(task: TaskKind) -> [Metric; 3] {
    [Metric::Score(task.score()), Metric::Loss, Metric::TrainLoss]
}

impl Metric {
    /// Key in `summary.json` and in CSV.
    pub fn key(self) -> &'static str {
        match self {
            Self::TrainLoss => "train_loss",
            Self::Loss => "valid_loss",
            Self::Score(measure) => measure.key(),
            Self::Seconds => "seconds",
            Self::Speed(_) => "per_second",
        }
    }

    /// Column title, with the unit.
    pub fn title(self) -> &'static str {
        match self {
            Self::TrainLoss => "Train loss",
            Self::Loss => "Loss",
            Self::Score(measure) => measure.title(),
            Self::Seconds => "Seconds",
            Self::Speed(TaskKind::Images) => "Images/s",
            Self::Speed(TaskKind::Language) => "Tokens/s",
        }
    }

    /// Number of decimals in tables.
    pub fn digits(self) -> usize {
        match self {
            Self::TrainLoss | Self::Loss => 4,
            Self::Score(_) => 2,
            Self::Seconds | Self::Speed(_) => 1,
        }
    }

    /// The value for one run; NaN if the run has none.
    pub fn of(self, figures: &Figures) -> f64 {
        match self {
            Self::TrainLoss => figures.train_loss,
            Self::Loss => figures.valid_loss,
            Self::Score(measure) => figures.scores.get(measure),
            Self::Seconds => figures.seconds,
            Self::Speed(_) => figures.per_second,
        }
    }

    /// True if larger is better.
    pub fn is_higher_better(self) -> bool {
        match self {
            Self::TrainLoss | Self::Loss | Self::Seconds => false,
            Self::Score(measure) => measure.is_higher_better(),
            Self::Speed(_) => true,
        }
    }

    /// True if it depends more on the machine than on the optimizer.
    pub(crate) fn is_of_machine(self) -> bool {
        matches!(self, Self::Seconds | Self::Speed(_))
    }

    /// Title of a column with differences.
    pub(crate) fn title_of_difference(self) -> &'static str {
        match self {
            Self::TrainLoss | Self::Loss => "Nats",
            Self::Score(Measure::Top1 | Measure::Top5) => "Points",
            Self::Score(Measure::Perplexity) | Self::Seconds | Self::Speed(_) => "Difference",
        }
    }
}

#[cfg(test)]
mod tests {
    use lookahead_runs::Scores;

    use super::*;

    /// Each of a run's figures is a column, under its name in `summary.json` and from its own field.
    #[test]
    fn every_figure_is_a_metric() {
        for (task, scores) in
            [(TaskKind::Images, Scores::of_images(3.0, 4.0)), (TaskKind::Language, Scores::of_language(2.0))]
        {
            let figures = Figures { train_loss: 1.0, valid_loss: 2.0, scores, seconds: 5.0, per_second: 6.0 };
            let written = serde_json::to_value(figures).unwrap();
            assert_eq!(written.as_object().unwrap().len(), metrics(task).len());
            for metric in metrics(task) {
                assert_eq!(written[metric.key()], metric.of(&figures), "{}", metric.key());
            }
            assert!(compared(task).iter().all(|metric| metrics(task).contains(metric)));
        }
    }

    #[test]
    fn the_columns_of_images_are_those_of_their_tables() {
        let titles: Vec<&str> = metrics(TaskKind::Images).iter().map(|metric| metric.title()).collect();
        assert_eq!(titles, ["Train loss", "Loss", "Top-1 %", "Top-5 %", "Seconds", "Images/s"]);
    }

    #[test]
    fn better_is_a_low_loss_and_perplexity_and_a_high_accuracy_and_speed() {
        let better = |task| -> Vec<bool> { metrics(task).iter().map(|metric| metric.is_higher_better()).collect() };
        assert_eq!(better(TaskKind::Images), [false, false, true, true, false, true]);
        assert_eq!(better(TaskKind::Language), [false, false, false, false, true]);
    }
}
