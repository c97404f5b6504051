//! Other people's figures, to stand beside ours. They are quoted, not measured here.

use crate::names::{Experiment, OptimizerName};

/// One row of somebody's table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TheirRow {
    /// The optimizer.
    pub optimizer: OptimizerName,
    /// Training loss, where they give it.
    pub train_loss: Option<f64>,
    /// Validation loss, where they give it.
    pub valid_loss: Option<f64>,
    /// Accuracy, percent.
    pub top1: f64,
    /// Standard deviation of the accuracy, where they give it.
    pub top1_std: Option<f64>,
    /// Top-5, percent, where they give it.
    pub top5: Option<f64>,
}

/// Somebody's table.
#[derive(Debug, Clone, PartialEq)]
pub struct TheirTable {
    /// Who and under which conditions.
    pub title: &'static str,
    /// Rows in their order.
    pub rows: Vec<TheirRow>,
}

/// The tables of the original project and of the paper for `experiment`.
///
/// The original's are those of its slides (one run a cell, smoothing unknown; the CIFAR-10 training loss of Lookahead/SGD is
/// a copy of Lookahead/AdamW's there). Of the paper only the figures that were checked stand here, means of three seeds.
///
/// ```
/// use lookahead_experiments::{Experiment, their_tables};
/// assert!(their_tables(Experiment::Demo).is_empty());
/// assert_eq!(their_tables(Experiment::Cifar10)[0].rows[1].top1, 82.59);
/// ```
pub fn their_tables(experiment: Experiment) -> Vec<TheirTable> {
    use OptimizerName::{AdamW, LookaheadAdamW, LookaheadSgd, RmsProp, Sgd};
    let slide = |optimizer, train_loss, valid_loss, top1| TheirRow {
        optimizer,
        train_loss: Some(train_loss),
        valid_loss: Some(valid_loss),
        top1,
        top1_std: None,
        top5: None,
    };
    let paper =
        |optimizer, top1| TheirRow { optimizer, train_loss: None, valid_loss: None, top1, top1_std: None, top5: None };
    match experiment {
        Experiment::Demo => vec![],
        Experiment::Cifar10 => vec![
            TheirTable {
                title: "the original project, state kept, one run (their figures)",
                rows: vec![
                    slide(LookaheadSgd, 0.2717, 0.6554, 82.33),
                    slide(Sgd, 0.003209, 0.7999, 82.59),
                    slide(AdamW, 0.0001259, 1.6, 80.57),
                    slide(RmsProp, 0.000256, 1.876, 80.23),
                    slide(LookaheadAdamW, 0.2717, 0.9423, 74.71),
                ],
            },
            TheirTable {
                title: "the original project, state reset and flips added, one run (their figures)",
                rows: vec![
                    slide(LookaheadSgd, 0.01315, 0.6195, 85.53),
                    slide(Sgd, 0.004024, 0.6882, 85.24),
                    slide(AdamW, 0.0005191, 1.296, 83.88),
                    slide(RmsProp, 0.0007434, 1.396, 83.6),
                    slide(LookaheadAdamW, 0.5555, 164851.2, 77.1),
                ],
            },
            TheirTable {
                title: "the Lookahead paper, ResNet-18, 200 epochs, three runs (their figures)",
                rows: vec![paper(Sgd, 95.23), paper(AdamW, 94.84), paper(LookaheadSgd, 95.27)],
            },
        ],
        Experiment::Cifar100 => vec![
            TheirTable {
                title: "the original project, state kept, one run (their figures)",
                rows: vec![
                    slide(LookaheadSgd, 0.07356, 2.441, 52.61),
                    slide(Sgd, 0.07333, 2.462, 52.15),
                    slide(AdamW, 0.007684, 3.772, 48.89),
                    slide(RmsProp, 0.3934, 40541.424, 46.21),
                    slide(LookaheadAdamW, 1.722, 12.094, 44.01),
                ],
            },
            TheirTable {
                title: "the original project, state reset and flips added, one run (their figures)",
                rows: vec![
                    slide(LookaheadSgd, 0.1046, 2.02, 57.33),
                    slide(Sgd, 0.06247, 2.163, 57.34),
                    slide(AdamW, 0.006513, 3.44, 54.27),
                    slide(RmsProp, 0.4939, 13208.707, 51.78),
                    slide(LookaheadAdamW, 2.473, 24347.662, 43.58),
                ],
            },
            TheirTable {
                title: "the Lookahead paper, ResNet-18, 200 epochs, three runs (their figures)",
                rows: vec![paper(Sgd, 78.24), paper(LookaheadSgd, 78.34)],
            },
        ],
        Experiment::Imagenette => vec![TheirTable {
            title: "the original project, ResNet-50, 40 epochs, 500 validation images, one run (their figures)",
            rows: vec![
                TheirRow { top5: Some(98.78), ..slide(LookaheadSgd, 0.899, 0.3903, 88.45) },
                TheirRow { top5: Some(98.68), ..slide(Sgd, 0.9493, 0.5358, 87.64) },
                TheirRow { top5: Some(98.53), ..slide(AdamW, 0.8814, 0.5463, 87.74) },
            ],
        }],
    }
}
