//! The longer part of a run's summary: classes, confusions, time, target, sample.

use serde::{Deserialize, Serialize};

use crate::confusion::Confusion;
use crate::score::Scores;

/// The longer part of a run's summary.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunDetails {
    /// Digest of the data.
    pub data_sha256: String,
    /// Best validation score of any epoch.
    #[serde(alias = "best_top1")]
    pub best_score: f64,
    /// The epoch it was reached at, from 1.
    pub best_epoch: u64,
    /// Seconds by part.
    pub time: TimeSplit,
    /// The class names, of a task that has classes; so it is with all that is of classes below.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// Images by true class (row) and predicted class (column), of the last evaluation; empty for more than
    /// [`MATRIX_CLASSES`](Self::MATRIX_CLASSES) classes, where `confusions` has the largest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Vec<u64>>,
    /// Where there is no matrix, the largest confusions: true class, predicted class, images; at most
    /// [`CONFUSIONS`](Self::CONFUSIONS).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confusions: Vec<[u64; 3]>,
    /// Images of the split of each class; empty in the files of older versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_images: Vec<u64>,
    /// Accuracy of each class, percent; 0 for a class without images.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per_class: Vec<f64>,
    /// Expected calibration error, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ece: Option<f64>,
    /// Text that the final network wrote, of a language model.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sample: String,
    /// Views of each image behind the final figures, where they are several; the epochs' figures have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub views: Option<u8>,
    /// The score to be reached and when it was, of a run that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Where the figures are from the test part: what the held-out part gave after the last epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid: Option<HeldOutFigures>,
}

/// A score to be reached.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The score, in the measure of the run's task.
    #[serde(alias = "top1")]
    pub score: f64,
    /// When it was reached first; `None` for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<Reached>,
}

/// When a score was reached: at the validation of which step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reached {
    /// Steps done.
    pub step: u64,
    /// Seconds of training until then: data, forward, backward, optimizer and the network's making, without validation.
    pub seconds: f64,
}

/// Figures of what was held out of training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HeldOutFigures {
    /// Mean loss, nats an image or a token.
    pub loss: f64,
    /// Scores.
    #[serde(flatten)]
    pub scores: Scores,
}

impl RunDetails {
    /// Most classes whose whole matrix is written: a file grows with the classes, not with their square.
    pub const MATRIX_CLASSES: usize = 100;
    /// Most confusions that are written where the matrix is not.
    pub const CONFUSIONS: usize = 1_000;

    /// The same with what `confusion` says of each class and of the largest confusions.
    #[must_use]
    pub fn with_confusion(self, confusion: &Confusion) -> Self {
        let has_matrix = confusion.classes() <= Self::MATRIX_CLASSES;
        Self {
            confusion: if has_matrix { confusion.matrix() } else { Vec::new() },
            confusions: if has_matrix { Vec::new() } else { confusion.largest(Self::CONFUSIONS) },
            class_images: confusion.images(),
            per_class: confusion.per_class(),
            ..self
        }
    }

    /// Hits and confusions as far as they were written down; [`class_images`](Self::class_images) counts the others too.
    pub fn confusion(&self) -> Confusion {
        let classes = self.per_class.len().max(self.confusion.len());
        let mut confusion = Confusion::new(classes);
        for (truth, row) in self.confusion.iter().enumerate() {
            row.iter().enumerate().for_each(|(predicted, &images)| confusion.add(truth, predicted, images));
        }
        if self.confusion.is_empty() {
            for (class, (percent, &images)) in self.per_class.iter().zip(&self.class_images).enumerate() {
                confusion.add(class, class, (percent / 100.0 * images as f64).round() as u64);
            }
            for &[truth, predicted, images] in &self.confusions {
                confusion.add(truth as usize, predicted as usize, images);
            }
        }
        confusion
    }

    /// Images of each class, from the matrix where an older version wrote nothing else.
    pub fn images_of_classes(&self) -> Vec<u64> {
        if self.class_images.is_empty() { self.confusion().images() } else { self.class_images.clone() }
    }
}

/// Where the seconds went. On a GPU the parts of a step are those of handing work to it, since nothing waits for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct TimeSplit {
    /// Waiting for data and moving them to the device.
    pub data: f64,
    /// Forward pass and loss.
    pub forward: f64,
    /// Backward pass.
    pub backward: f64,
    /// The optimizer's update.
    pub optimizer: f64,
    /// Validation.
    pub validation: f64,
}

impl TimeSplit {
    /// Training, without validation.
    pub fn training(&self) -> f64 {
        self.data + self.forward + self.backward + self.optimizer
    }

    /// Training and validation.
    pub fn total(&self) -> f64 {
        self.training() + self.validation
    }

    /// The parts by name, in the order in which a step does them.
    pub fn parts(&self) -> [(&'static str, f64); 5] {
        [
            ("data", self.data),
            ("forward", self.forward),
            ("backward", self.backward),
            ("optimizer", self.optimizer),
            ("validation", self.validation),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thousand classes of fifty images, all but a few of them wrong somewhere else.
    fn many() -> Confusion {
        let mut confusion = Confusion::new(1000);
        for truth in 0..1000 {
            confusion.add(truth, truth, 20);
            (0..30).for_each(|other| confusion.add(truth, (truth + 7 * other + 1) % 1000, 1));
        }
        confusion.add(5, 6, 40);
        confusion
    }

    #[test]
    fn a_thousand_classes_make_a_small_file() {
        let names = (0..1000).map(|class| format!("n{class:08}")).collect();
        let details = RunDetails { classes: names, ..RunDetails::default() }.with_confusion(&many());
        let text = serde_json::to_string_pretty(&details).unwrap();
        assert!(text.len() < 200_000, "{} bytes", text.len());
        let read: RunDetails = serde_json::from_str(&text).unwrap();
        assert_eq!(read, details);
        assert_eq!((read.images_of_classes()[5], read.confusion().count(5, 5)), (90, 20));
        assert_eq!(read.confusion().largest(1), [[5, 6, 41]]);
        assert_eq!(read.confusions.len(), RunDetails::CONFUSIONS);
    }

    #[test]
    fn a_hundred_classes_keep_their_matrix() {
        let mut confusion = Confusion::new(100);
        confusion.add(3, 99, 2);
        let details = RunDetails::default().with_confusion(&confusion);
        assert_eq!((details.confusion[3][99], details.confusions.len()), (2, 0));
        assert_eq!(details.confusion(), confusion);
    }
}
