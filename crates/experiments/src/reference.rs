//! Other people's figures, to stand beside ours. They are quoted, not measured here.

use serde::Serialize;

use crate::names::{Experiment, OptimizerName};

/// Where figures were published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The original project's slides, tables "without State Reset".
    OriginalKeep,
    /// The original project's slides, tables "with State Reset"; random flips were added at the same time.
    OriginalReset,
    /// Zhang, Lucas, Hinton and Ba: Lookahead Optimizer, 2019, arXiv:1907.08610.
    Paper,
}

impl Source {
    /// All of them, in the order of the columns.
    pub const ALL: [Self; 3] = [Self::OriginalKeep, Self::OriginalReset, Self::Paper];

    /// Title of the column.
    pub fn title(self) -> &'static str {
        match self {
            Self::OriginalKeep => "Original, no reset",
            Self::OriginalReset => "Original, reset",
            Self::Paper => "Paper",
        }
    }

    /// Runs behind each figure, in words.
    pub fn runs(self) -> &'static str {
        match self {
            Self::OriginalKeep | Self::OriginalReset => "one run a figure",
            Self::Paper => "means of three seeds",
        }
    }

    /// What the column is, in a sentence or two.
    pub fn about(self) -> &'static str {
        match self {
            Self::OriginalKeep => {
                "Slides of github.com/akashpalrecha/Lookahead, \u{201c}without State Reset\u{201d}: one run a cell, a \
                 torchvision ResNet-18 with an ImageNet stem and fastai\u{2019}s head, no flips."
            }
            Self::OriginalReset => {
                "The same slides, \u{201c}with State Reset\u{201d}: one run a cell; random flips (and, for Lookahead, momentum \
                 0.9) were added at the same time, so the gain over the other table is not the reset\u{2019}s alone."
            }
            Self::Paper => {
                "Zhang, Lucas, Hinton and Ba, Lookahead Optimizer, arXiv:1907.08610: ResNet-18 with a 3\u{d7}3 stem, 200 \
                 epochs, mean of three seeds; its Adam stands beside AdamW."
            }
        }
    }
}

/// One published row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Reference {
    /// Where.
    pub source: Source,
    /// The optimizer.
    pub optimizer: OptimizerName,
    /// Training loss, nats an image, where they give it.
    pub train_loss: Option<f64>,
    /// Validation loss, nats an image, where they give it.
    pub valid_loss: Option<f64>,
    /// Accuracy, percent.
    pub top1: f64,
    /// Top-5, percent, where they give it.
    pub top5: Option<f64>,
    /// What a reader should know of this figure; empty for most.
    pub remark: &'static str,
}

impl Reference {
    /// Whether the figure belongs beside our row of `optimizer` and `state`.
    ///
    /// Tables of a kept state, the paper's too, stand beside `keep` and those of a reset one beside `reset`; plain optimizers,
    /// which have no such state, stand beside all of them.
    pub fn is_beside(&self, optimizer: &str, state: &str) -> bool {
        let made_with = if self.source == Source::OriginalReset { "reset" } else { "keep" };
        self.optimizer.to_string() == optimizer && (state.is_empty() || state == made_with)
    }
}

/// The published figures for the data set of `experiment`, source by source.
///
/// The original's are those of its slides, smoothing unknown. Of the paper only the figures that were checked stand here.
///
/// ```
/// use lookahead_experiments::{Experiment, OptimizerName, references};
/// let of_sgd = references(Experiment::Cifar10).into_iter().filter(|row| row.optimizer == OptimizerName::Sgd);
/// assert_eq!(of_sgd.map(|row| row.top1).collect::<Vec<_>>(), [82.59, 85.24, 95.23]);
/// assert!(references(Experiment::Demo).is_empty());
/// ```
pub fn references(experiment: Experiment) -> Vec<Reference> {
    use OptimizerName::{AdamW, LookaheadAdamW, LookaheadSgd, RmsProp, Sgd};
    use Source::{OriginalKeep, OriginalReset, Paper};
    let slide = |source, optimizer, train_loss, valid_loss, top1| Reference {
        source,
        optimizer,
        train_loss: Some(train_loss),
        valid_loss: Some(valid_loss),
        top1,
        top5: None,
        remark: "",
    };
    let paper = |optimizer, top1| Reference {
        train_loss: None,
        valid_loss: None,
        ..slide(Paper, optimizer, f64::NAN, f64::NAN, top1)
    };
    match experiment {
        Experiment::Demo => vec![],
        Experiment::Cifar10 => vec![
            Reference {
                remark: "The slides repeat Lookahead/AdamW\u{2019}s training loss here; the notebook prints 0.0318.",
                ..slide(OriginalKeep, LookaheadSgd, 0.2717, 0.6554, 82.33)
            },
            slide(OriginalKeep, Sgd, 0.003209, 0.7999, 82.59),
            slide(OriginalKeep, AdamW, 0.0001259, 1.6, 80.57),
            slide(OriginalKeep, RmsProp, 0.000256, 1.876, 80.23),
            slide(OriginalKeep, LookaheadAdamW, 0.2717, 0.9423, 74.71),
            slide(OriginalReset, LookaheadSgd, 0.01315, 0.6195, 85.53),
            slide(OriginalReset, Sgd, 0.004024, 0.6882, 85.24),
            slide(OriginalReset, AdamW, 0.0005191, 1.296, 83.88),
            slide(OriginalReset, RmsProp, 0.0007434, 1.396, 83.6),
            slide(OriginalReset, LookaheadAdamW, 0.5555, 164851.2, 77.1),
            paper(Sgd, 95.23),
            paper(AdamW, 94.84),
            paper(LookaheadSgd, 95.27),
        ],
        Experiment::Cifar100 => vec![
            slide(OriginalKeep, LookaheadSgd, 0.07356, 2.441, 52.61),
            slide(OriginalKeep, Sgd, 0.07333, 2.462, 52.15),
            slide(OriginalKeep, AdamW, 0.007684, 3.772, 48.89),
            slide(OriginalKeep, RmsProp, 0.3934, 40541.424, 46.21),
            slide(OriginalKeep, LookaheadAdamW, 1.722, 12.094, 44.01),
            slide(OriginalReset, LookaheadSgd, 0.1046, 2.02, 57.33),
            slide(OriginalReset, Sgd, 0.06247, 2.163, 57.34),
            slide(OriginalReset, AdamW, 0.006513, 3.44, 54.27),
            slide(OriginalReset, RmsProp, 0.4939, 13208.707, 51.78),
            slide(OriginalReset, LookaheadAdamW, 2.473, 24347.662, 43.58),
            paper(Sgd, 78.24),
            paper(LookaheadSgd, 78.34),
        ],
        Experiment::Imagenette => {
            let remark = "500 validation images of Imagenette\u{2019}s first split, so one image is 0.2 points; no notebook prints \
                          this row.";
            let row = |optimizer, train_loss, valid_loss, top1, top5| Reference {
                top5: Some(top5),
                remark,
                ..slide(OriginalReset, optimizer, train_loss, valid_loss, top1)
            };
            vec![
                row(LookaheadSgd, 0.899, 0.3903, 88.45, 98.78),
                row(Sgd, 0.9493, 0.5358, 87.64, 98.68),
                row(AdamW, 0.8814, 0.5463, 87.74, 98.53),
            ]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_stands_beside_the_state_it_was_made_with() {
        let beside = |optimizer, state| {
            let rows = references(Experiment::Cifar10).into_iter().filter(|row| row.is_beside(optimizer, state));
            rows.map(|row| row.top1).collect::<Vec<_>>()
        };
        assert_eq!(beside("lookahead-sgd", "keep"), [82.33, 95.27]);
        assert_eq!(beside("lookahead-sgd", "reset"), [85.53]);
        assert!(beside("lookahead-sgd", "interpolate").is_empty());
        assert_eq!(beside("sgd", ""), [82.59, 85.24, 95.23]);
    }

    #[test]
    fn the_paper_gives_no_losses() {
        let of_paper = |row: &Reference| row.source == Source::Paper;
        let rows: Vec<Reference> = references(Experiment::Cifar100).into_iter().filter(of_paper).collect();
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| row.train_loss.is_none() && row.valid_loss.is_none()));
    }
}
