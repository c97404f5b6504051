//! What runs are scored by: which numbers, in what unit, and which way is better.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// What a run learns. Tables, charts and terminals take their columns and words from here.
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
    /// Classify images. Folders that do not say are of this kind.
    #[default]
    Images,
    /// Predict each token of a text from those before it.
    Language,
}

impl TaskKind {
    /// What decides between runs.
    pub fn score(self) -> Measure {
        self.measures()[0]
    }

    /// All measures of such a run, the score first.
    pub fn measures(self) -> &'static [Measure] {
        match self {
            Self::Images => &[Measure::Top1, Measure::Top5],
            Self::Language => &[Measure::Perplexity],
        }
    }

    /// What a loss is a mean over and a speed counts: `image` or `token`.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Images => "image",
            Self::Language => "token",
        }
    }

    /// Several of them.
    pub fn units(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Language => "tokens",
        }
    }
}

/// One number that a run is scored by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Share of images whose class is the likeliest, percent.
    Top1,
    /// Share of images whose class is among the five likeliest, percent.
    Top5,
    /// Exponential of the mean loss a token.
    Perplexity,
}

impl Measure {
    /// Its key in `metrics.jsonl` and `summary.json`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Top1 => "top1",
            Self::Top5 => "top5",
            Self::Perplexity => "perplexity",
        }
    }

    /// As the title of a column, with its unit.
    pub fn title(self) -> &'static str {
        match self {
            Self::Top1 => "Top-1 %",
            Self::Top5 => "Top-5 %",
            Self::Perplexity => "Perplexity",
        }
    }

    /// Within a sentence: `top-1`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Top1 => "top-1",
            Self::Top5 => "top-5",
            Self::Perplexity => "perplexity",
        }
    }

    /// What stands behind a value, with its space: ` %` or nothing.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Top1 | Self::Top5 => " %",
            Self::Perplexity => "",
        }
    }

    /// What stands behind a difference of two values, with its space: ` points` or nothing.
    pub fn unit_of_difference(self) -> &'static str {
        match self {
            Self::Top1 | Self::Top5 => " points",
            Self::Perplexity => "",
        }
    }

    /// The values that it can have.
    pub fn range(self) -> (f64, f64) {
        match self {
            Self::Top1 | Self::Top5 => (0.0, 100.0),
            Self::Perplexity => (1.0, f64::INFINITY),
        }
    }

    /// Whether larger is better.
    pub fn is_higher_better(self) -> bool {
        match self {
            Self::Top1 | Self::Top5 => true,
            Self::Perplexity => false,
        }
    }

    /// Whether `value` is better than `other`; NaN never is.
    pub fn is_better(self, value: f64, other: f64) -> bool {
        if self.is_higher_better() { value > other } else { value < other }
    }

    /// `value` as a number of which more is better; its own inverse.
    pub fn gain(self, value: f64) -> f64 {
        if self.is_higher_better() { value } else { -value }
    }

    /// The order of values from the best to the worst.
    pub fn best_first(self, a: f64, b: f64) -> Ordering {
        self.gain(b).total_cmp(&self.gain(a))
    }

    /// The worst that it can be: what a diverged run counts as.
    pub fn worst(self) -> f64 {
        if self.is_higher_better() { self.range().0 } else { self.range().1 }
    }
}

/// The measures of a run, those of its task; flattened into whatever holds it, so that their keys stand beside the losses.
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
    /// Of images: accuracies in percent.
    pub fn of_images(top1: f64, top5: f64) -> Self {
        Self { top1: Some(top1), top5: Some(top5), perplexity: None }
    }

    /// Of language: of the mean loss in nats a token.
    pub fn of_language(loss: f64) -> Self {
        Self { perplexity: Some(loss.exp()), ..Self::default() }
    }

    /// The measures that there are, the score first, with their values.
    pub fn all(&self) -> impl Iterator<Item = (Measure, f64)> {
        let all = [(Measure::Top1, self.top1), (Measure::Top5, self.top5), (Measure::Perplexity, self.perplexity)];
        all.into_iter().filter_map(|(measure, value)| Some((measure, value?)))
    }

    /// The value of `measure`; NaN where the run has none.
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
        assert_eq!((Measure::Top1.worst(), Measure::Perplexity.worst()), (0.0, f64::INFINITY));
    }
}
