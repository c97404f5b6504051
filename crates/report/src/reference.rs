//! Published figures, for comparison. They are quoted, not measured here.

use lookahead_runs::RowId;
use serde::Serialize;

/// Where figures were published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The original project's slides, tables "without State Reset".
    OriginalKeep,
    /// The original project's slides, tables "with State Reset"; random flips were added at the same time.
    OriginalReset,
    /// Zhang, Lucas, Hinton and Ba: Lookahead Optimizer, 2019, arXiv:1907.08610, on CIFAR.
    Paper,
    /// The same paper on ImageNet, after the 60 epochs of its shorter schedule.
    PaperShort,
}

impl Source {
    /// All sources, in the order of the columns.
    pub const ALL: [Self; 4] = [Self::OriginalKeep, Self::OriginalReset, Self::Paper, Self::PaperShort];

    /// Column title.
    pub fn title(self) -> &'static str {
        match self {
            Self::OriginalKeep => "Original, no reset",
            Self::OriginalReset => "Original, reset",
            Self::Paper => "Paper",
            Self::PaperShort => "Paper, 60 epochs",
        }
    }

    /// The number of runs behind each figure, as a phrase: `one run each`.
    pub fn runs(self) -> &'static str {
        match self {
            Self::OriginalKeep | Self::OriginalReset => "one run each",
            Self::Paper => "means of three seeds",
            Self::PaperShort => "number of runs unknown",
        }
    }

    /// A description of the source, with network and protocol.
    pub fn about(self) -> &'static str {
        match self {
            Self::OriginalKeep => {
                "Slides of github.com/akashpalrecha/Lookahead, \u{201c}without State Reset\u{201d}: one run per cell, a \
                 torchvision ResNet-18 with an ImageNet stem and fastai\u{2019}s head, no flips."
            }
            Self::OriginalReset => {
                "The same slides, \u{201c}with State Reset\u{201d}: one run per cell; random flips (and, for Lookahead, momentum \
                 0.9) were added at the same time, so the gain over the other table is not due to the reset alone."
            }
            Self::Paper => {
                "Zhang, Lucas, Hinton and Ba, Lookahead Optimizer, arXiv:1907.08610: ResNet-18 with a 3\u{d7}3 stem, 200 \
                 epochs, mean of three seeds; its Adam is listed beside AdamW."
            }
            Self::PaperShort => {
                "Zhang, Lucas, Hinton and Ba, Lookahead Optimizer, arXiv:1907.08610, on ImageNet: ResNet-50, learning rate \
                 divided by 10 after 30, 48 and 58 of 60 epochs; number of runs unknown."
            }
        }
    }
}

/// One published row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Reference {
    /// Where the figures were published.
    pub source: Source,
    /// The row's name, such as `lookahead-sgd`.
    pub optimizer: &'static str,
    /// Training loss in nats per image; `None` if not published.
    pub train_loss: Option<f64>,
    /// Validation loss in nats per image; `None` if not published.
    pub valid_loss: Option<f64>,
    /// Top-1 accuracy in percent.
    #[serde(rename = "score")]
    pub top1: f64,
    /// Top-5 accuracy in percent; `None` if not published.
    pub top5: Option<f64>,
    /// A remark on the figure; empty for most.
    pub remark: &'static str,
}

impl Reference {
    /// Display name of the row, such as `Lookahead/SGD`.
    pub fn title(&self) -> String {
        RowId::classic(self.optimizer, "").title
    }

    /// True if the figure is shown beside our row of this name and state.
    ///
    /// Figures of tables with a kept state, including the paper's, belong to `keep`, those with a reset state to
    /// `reset`. Plain optimizers have no such state and match every table.
    pub fn is_beside(&self, optimizer: &str, state: &str) -> bool {
        let made_with = if self.source == Source::OriginalReset { "reset" } else { "keep" };
        self.optimizer == optimizer && (state.is_empty() || state == made_with)
    }
}

/// The published figures for the experiments `cifar10`, `cifar100`, `imagenette` and `imagenet`, source by source; none
/// for other names.
///
/// The original's figures are those of its slides; their smoothing is unknown. The paper's are those that were checked.
///
/// ```
/// use lookahead_report::references;
/// let of_sgd = references("cifar10").into_iter().filter(|row| row.optimizer == "sgd");
/// assert_eq!(of_sgd.map(|row| row.top1).collect::<Vec<_>>(), [82.59, 85.24, 95.23]);
/// assert!(references("demo").is_empty());
/// ```
pub fn references(experiment: &str) -> Vec<Reference> {
    use Source::{OriginalKeep, OriginalReset, Paper, PaperShort};
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
        "cifar10" => vec![
            Reference {
                remark: "The slides repeat Lookahead/AdamW\u{2019}s training loss here; the notebook prints 0.0318.",
                ..slide(OriginalKeep, "lookahead-sgd", 0.2717, 0.6554, 82.33)
            },
            slide(OriginalKeep, "sgd", 0.003209, 0.7999, 82.59),
            slide(OriginalKeep, "adamw", 0.0001259, 1.6, 80.57),
            slide(OriginalKeep, "rmsprop", 0.000256, 1.876, 80.23),
            slide(OriginalKeep, "lookahead-adamw", 0.2717, 0.9423, 74.71),
            slide(OriginalReset, "lookahead-sgd", 0.01315, 0.6195, 85.53),
            slide(OriginalReset, "sgd", 0.004024, 0.6882, 85.24),
            slide(OriginalReset, "adamw", 0.0005191, 1.296, 83.88),
            slide(OriginalReset, "rmsprop", 0.0007434, 1.396, 83.6),
            slide(OriginalReset, "lookahead-adamw", 0.5555, 164851.2, 77.1),
            paper("sgd", 95.23),
            paper("adamw", 94.84),
            paper("lookahead-sgd", 95.27),
        ],
        "cifar100" => vec![
            slide(OriginalKeep, "lookahead-sgd", 0.07356, 2.441, 52.61),
            slide(OriginalKeep, "sgd", 0.07333, 2.462, 52.15),
            slide(OriginalKeep, "adamw", 0.007684, 3.772, 48.89),
            slide(OriginalKeep, "rmsprop", 0.3934, 40541.424, 46.21),
            slide(OriginalKeep, "lookahead-adamw", 1.722, 12.094, 44.01),
            slide(OriginalReset, "lookahead-sgd", 0.1046, 2.02, 57.33),
            slide(OriginalReset, "sgd", 0.06247, 2.163, 57.34),
            slide(OriginalReset, "adamw", 0.006513, 3.44, 54.27),
            slide(OriginalReset, "rmsprop", 0.4939, 13208.707, 51.78),
            slide(OriginalReset, "lookahead-adamw", 2.473, 24347.662, 43.58),
            paper("sgd", 78.24),
            paper("lookahead-sgd", 78.34),
        ],
        "imagenette" => {
            let remark = "500 validation images of Imagenette\u{2019}s first split, so one image is 0.2 points; no notebook prints \
                          this row.";
            let row = |optimizer, train_loss, valid_loss, top1, top5| Reference {
                top5: Some(top5),
                remark,
                ..slide(OriginalReset, optimizer, train_loss, valid_loss, top1)
            };
            vec![
                row("lookahead-sgd", 0.899, 0.3903, 88.45, 98.78),
                row("sgd", 0.9493, 0.5358, 87.64, 98.68),
                row("adamw", 0.8814, 0.5463, 87.74, 98.53),
            ]
        }
        "imagenet" => {
            let row = |optimizer, top1, top5, remark| Reference {
                source: PaperShort,
                top5: Some(top5),
                remark,
                ..paper(optimizer, top1)
            };
            vec![row("sgd", 75.15, 92.56, ""), row("lookahead-sgd", 75.49, 92.53, "After 50 epochs: 75.13.")]
        }
        _ => vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_stands_beside_the_state_it_was_made_with() {
        let beside = |optimizer, state| {
            let rows = references("cifar10").into_iter().filter(|row| row.is_beside(optimizer, state));
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
        let rows: Vec<Reference> = references("cifar100").into_iter().filter(of_paper).collect();
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| row.train_loss.is_none() && row.valid_loss.is_none()));
        let imagenet = references("imagenet");
        let beside = |row: &&Reference| row.is_beside("lookahead-sgd", "keep");
        assert_eq!(
            imagenet.iter().filter(beside).map(|row| (row.top1, row.top5)).collect::<Vec<_>>(),
            [(75.49, Some(92.53))]
        );
        assert!(imagenet.iter().all(|row| row.source == Source::PaperShort && row.valid_loss.is_none()));
    }
}
