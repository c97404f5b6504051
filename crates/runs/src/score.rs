//! Tasks and their measures: names, units, and which direction is better.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// The task of a run. It determines the columns and wording of tables, charts and terminals.
///
/// ```
/// use lookahead_runs::{Measure, TaskKind};
/// assert_eq!(TaskKind::Images.score(), Measure::Top1);
/// assert_eq!(TaskKind::Language.score().title(), "Perplexity");
/// assert!(TaskKind::Language.score().is_better(80.0, 90.0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// Classify images; the default for files without a task.
    #[default]
    Images,
    /// Predict each token of a text from those before it.
    Language,
}

impl TaskKind {
    /// The measure that runs are compared by.
    pub fn score(self) -> Measure {
        self.measures()[0]
    }

    /// All measures of the task, the score first.
    pub fn measures(self) -> &'static [Measure] {
        match self {
            Self::Images => &[Measure::Top1, Measure::Top5],
            Self::Language => &[Measure::Perplexity],
        }
    }

    /// The unit that losses are averaged over and speeds count: `image` or `token`.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Images => "image",
            Self::Language => "token",
        }
    }

    /// The plural of [`unit`](Self::unit): `images` or `tokens`.
    pub fn units(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Language => "tokens",
        }
    }
}

/// A number that a run is scored by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Percentage of images whose true class has the highest prediction.
    Top1,
    /// Percentage of images whose true class is among the five highest predictions.
    Top5,
    /// Exponential of the mean loss per token, in nats.
    Perplexity,
}

impl Measure {
    /// Key in `metrics.jsonl` and `summary.json`: `top1`, `top5` or `perplexity`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Top1 => "top1",
            Self::Top5 => "top5",
            Self::Perplexity => "perplexity",
        }
    }

    /// Column title, with the unit: `Top-1 %`.
    pub fn title(self) -> &'static str {
        match self {
            Self::Top1 => "Top-1 %",
            Self::Top5 => "Top-5 %",
            Self::Perplexity => "Perplexity",
        }
    }

    /// Name within a sentence: `top-1`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Top1 => "top-1",
            Self::Top5 => "top-5",
            Self::Perplexity => "perplexity",
        }
    }

    /// Suffix of a value, with the space: ` %` or nothing.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Top1 | Self::Top5 => " %",
            Self::Perplexity => "",
        }
    }

    /// Suffix of a difference of two values, with the space: ` points` or nothing.
    pub fn unit_of_difference(self) -> &'static str {
        match self {
            Self::Top1 | Self::Top5 => " points",
            Self::Perplexity => "",
        }
    }

    /// Lowest and highest possible value.
    pub fn range(self) -> (f64, f64) {
        match self {
            Self::Top1 | Self::Top5 => (0.0, 100.0),
            Self::Perplexity => (1.0, f64::INFINITY),
        }
    }

    /// True if larger is better.
    pub fn is_higher_better(self) -> bool {
        match self {
            Self::Top1 | Self::Top5 => true,
            Self::Perplexity => false,
        }
    }

    /// True if `value` is better than `other`; false if either is NaN.
    pub fn is_better(self, value: f64, other: f64) -> bool {
        if self.is_higher_better() { value > other } else { value < other }
    }

    /// `value`, negated if lower is better, so that larger is always better. Its own inverse.
    pub fn gain(self, value: f64) -> f64 {
        if self.is_higher_better() { value } else { -value }
    }

    /// Orders values from best to worst, with NaN last.
    pub fn best_first(self, a: f64, b: f64) -> Ordering {
        a.is_nan().cmp(&b.is_nan()).then(self.gain(b).total_cmp(&self.gain(a)))
    }

    /// The worst possible value, which a diverged run counts as.
    pub fn worst(self) -> f64 {
        if self.is_higher_better() { self.range().0 } else { self.range().1 }
    }
}

/// The measures of a run. In files, they are flattened, so that their keys stand beside the losses.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Scores {
    /// [`Measure::Top1`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top1: Option<f64>,
    /// [`Measure::Top5`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top5: Option<f64>,
    /// [`Measure::Perplexity`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub perplexity: Option<f64>,
}

impl Scores {
    /// Scores of an image classifier: accuracies in percent.
    pub fn of_images(top1: f64, top5: f64) -> Self {
        Self { top1: Some(top1), top5: Some(top5), perplexity: None }
    }

    /// Score of a language model, from the mean loss in nats per token.
    pub fn of_language(loss: f64) -> Self {
        Self { perplexity: Some(loss.exp()), ..Self::default() }
    }

    /// The measures that are set, with their values, the score first.
    pub fn all(&self) -> impl Iterator<Item = (Measure, f64)> {
        let all = [(Measure::Top1, self.top1), (Measure::Top5, self.top5), (Measure::Perplexity, self.perplexity)];
        all.into_iter().filter_map(|(measure, value)| Some((measure, value?)))
    }

    /// The value of `measure`; NaN if it is not set.
    pub fn get(&self, measure: Measure) -> f64 {
        self.all().find(|(found, _)| *found == measure).map_or(f64::NAN, |(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_the_measures_of_its_task_under_their_keys() {
        let of = |kind| match kind {
            TaskKind::Images => Scores::of_images(80.0, 99.0),
            TaskKind::Language => Scores::of_language(4.0f64.ln()),
        };
        for kind in [TaskKind::Images, TaskKind::Language] {
            let written = serde_json::to_value(of(kind)).unwrap();
            assert_eq!(written.as_object().unwrap().len(), kind.measures().len());
            let all: Vec<Measure> = of(kind).all().map(|(measure, _)| measure).collect();
            assert_eq!(all, kind.measures());
            for measure in kind.measures() {
                assert_eq!(written[measure.key()], of(kind).get(*measure), "{}", measure.key());
            }
        }
        assert!((of(TaskKind::Language).get(Measure::Perplexity) - 4.0).abs() < 1e-12);
        assert!(Scores::of_images(80.0, 99.0).get(Measure::Perplexity).is_nan());
    }

    #[test]
    fn better_is_higher_accuracy_and_lower_perplexity() {
        assert!(Measure::Top1.is_better(81.0, 80.0) && !Measure::Top1.is_better(80.0, 80.0));
        assert!(Measure::Perplexity.is_better(80.0, 81.0) && !Measure::Perplexity.is_better(f64::NAN, 81.0));
        assert_eq!(Measure::Top1.best_first(81.0, 80.0), Ordering::Less);
        assert_eq!(Measure::Perplexity.best_first(81.0, 80.0), Ordering::Greater);
        for measure in [Measure::Top1, Measure::Perplexity] {
            assert_eq!(measure.best_first(f64::NAN, measure.worst()), Ordering::Greater);
            assert_eq!(measure.best_first(80.0, -f64::NAN), Ordering::Less);
        }
        assert_eq!((Measure::Top1.worst(), Measure::Perplexity.worst()), (0.0, f64::INFINITY));
    }
}
