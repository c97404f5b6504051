//! Figures of classified images: loss, accuracy, top-5, confusion, calibration.

use lookahead_runs::{Confusion, Scores};

use super::{ByClass, Evaluation};

/// Bins of the calibration error, equal in width.
const CALIBRATION_BINS: usize = 15;

/// Sums in f64, image by image, so that the figures depend neither on the batch size nor on the device.
#[derive(Debug)]
pub(super) struct Tally {
    loss: f64,
    top5: u64,
    confusion: Confusion,
    /// The number of images, sum of confidences, and number of hits of each bin.
    bins: [(u64, f64, u64); CALIBRATION_BINS],
}

impl Tally {
    pub(super) fn new(classes: usize) -> Self {
        Self { loss: 0.0, top5: 0, confusion: Confusion::new(classes), bins: [(0, 0.0, 0); CALIBRATION_BINS] }
    }

    pub(super) fn add(&mut self, logits: &[f32], label: usize) {
        let logits: Vec<f64> = logits.iter().map(|&value| f64::from(value)).collect();
        let (mut predicted, mut highest) = (0, f64::NEG_INFINITY);
        for (class, &value) in logits.iter().enumerate() {
            if value > highest {
                (predicted, highest) = (class, value);
            }
        }
        let sum: f64 = logits.iter().map(|value| (value - highest).exp()).sum();
        self.loss += sum.ln() + highest - logits[label];
        // A tie counts against the label, so that a constant network gets no credit; NaN never counts for it.
        let is_below = |value: &f64| value.partial_cmp(&logits[label]) == Some(std::cmp::Ordering::Less);
        let above = logits.iter().enumerate().filter(|&(class, value)| class != label && !is_below(value)).count();
        self.top5 += u64::from(above < 5);
        let hit = predicted == label;
        self.confusion.add(label, predicted, 1);
        let confidence = 1.0 / sum;
        let bin = ((confidence * CALIBRATION_BINS as f64).ceil() as usize).clamp(1, CALIBRATION_BINS) - 1;
        let (images, confidences, hits) = &mut self.bins[bin];
        *images += 1;
        *confidences += confidence;
        *hits += u64::from(hit);
    }

    pub(super) fn finish(self) -> Evaluation {
        let total: u64 = self.confusion.images().iter().sum();
        let n = (total as f64).max(1.0);
        let hits: u64 = self.confusion.hits().iter().sum();
        let gap: f64 = self.bins.iter().map(|&(_, confidences, hits)| (confidences - hits as f64).abs()).sum();
        Evaluation {
            loss: self.loss / n,
            scores: Scores::of_images(100.0 * hits as f64 / n, 100.0 * self.top5 as f64 / n),
            classes: Some(ByClass { ece: gap / n, confusion: self.confusion }),
        }
    }
}

#[cfg(test)]
mod tests {
    use lookahead_runs::Measure;

    use super::*;

    /// Three classes, three images: logits 0, ln 2, ln 5 have probabilities 1/8, 2/8, 5/8.
    #[test]
    fn a_tally_worked_by_hand() {
        let logits = [0.0, 2f32.ln(), 5f32.ln()];
        let mut tally = Tally::new(3);
        for label in [2, 2, 0] {
            tally.add(&logits, label);
        }
        let e = tally.finish();
        let loss = (2.0 * (8f64 / 5.0).ln() + 8f64.ln()) / 3.0;
        assert!((e.loss - loss).abs() < 1e-6, "{}", e.loss);
        assert!((e.scores.get(Measure::Top1) - 200.0 / 3.0).abs() < 1e-9);
        assert_eq!(e.scores.get(Measure::Top5), 100.0);
        let ByClass { confusion, ece } = e.classes.unwrap();
        assert_eq!(confusion.matrix(), [vec![0, 0, 1], vec![0, 0, 0], vec![0, 0, 2]]);
        assert_eq!(confusion.per_class(), [0.0, 0.0, 100.0]);
        // All confidences are 5/8, two of three hit.
        assert!((ece - (2.0 / 3.0 - 5.0 / 8.0)).abs() < 1e-6, "{ece}");
    }

    #[test]
    fn top5_counts_the_five_likeliest_and_no_ties() {
        let mut tally = Tally::new(7);
        let logits = [7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0];
        tally.add(&logits, 4); // fifth: counts
        tally.add(&logits, 5); // sixth: does not
        tally.add(&[0.0; 7], 3); // all alike: does not
        tally.add(&[f32::NAN; 7], 3);
        let e = tally.finish();
        assert_eq!(e.scores, Scores::of_images(0.0, 25.0));
    }

    #[test]
    fn huge_logits_do_not_overflow() {
        let mut tally = Tally::new(2);
        tally.add(&[1e30, -1e30], 1);
        let e = tally.finish();
        assert!((e.loss - 2e30).abs() < 1e24, "{}", e.loss);
    }
}
