//! Published figures beside our rows, marked as theirs.
//!
//! The figures themselves are in [`their_tables`]; here is which of our rows each stands beside, and what a reader
//! should know of it.

use clap::ValueEnum;
use serde::Serialize;

use crate::names::{Experiment, OptimizerName};
use crate::reference::{TheirRow, their_tables};

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
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reference {
    /// Where.
    pub source: Source,
    /// The optimizer by our name.
    pub optimizer: String,
    /// Training loss, nats an image.
    pub train_loss: Option<f64>,
    /// Validation loss, nats an image.
    pub valid_loss: Option<f64>,
    /// Accuracy, percent.
    pub top1: f64,
    /// Top-5, percent.
    pub top5: Option<f64>,
    /// What a reader should know of this figure; empty for most.
    pub remark: &'static str,
}

impl Reference {
    fn new(experiment: Experiment, source: Source, row: &TheirRow) -> Self {
        let remark = match (experiment, source, row.optimizer) {
            (Experiment::Cifar10, Source::OriginalKeep, OptimizerName::LookaheadSgd) => {
                "The slides repeat Lookahead/AdamW\u{2019}s training loss here; the notebook prints 0.0318."
            }
            (Experiment::Imagenette, ..) => {
                "500 validation images of Imagenette\u{2019}s first split, so one image is 0.2 points; no notebook prints \
                 this row."
            }
            _ => "",
        };
        Self {
            source,
            optimizer: row.optimizer.to_string(),
            train_loss: row.train_loss,
            valid_loss: row.valid_loss,
            top1: row.top1,
            top5: row.top5,
            remark,
        }
    }

    /// Whether the figure belongs beside our row of `optimizer` and `state`.
    ///
    /// Tables of a kept state, the paper's too, stand beside `keep` and those of a reset one beside `reset`; plain optimizers,
    /// which have no such state, stand beside all of them.
    pub fn is_beside(&self, optimizer: &str, state: &str) -> bool {
        let made_with = if self.source == Source::OriginalReset { "reset" } else { "keep" };
        self.optimizer == optimizer && (state.is_empty() || state == made_with)
    }
}

/// The published figures for an experiment's data set; none for `demo` or a name that is not ours.
///
/// ```
/// use lookahead_experiments::report::references;
/// assert_eq!(references("cifar10").iter().filter(|row| row.optimizer == "sgd").count(), 3);
/// assert!(references("demo").is_empty());
/// ```
pub fn references(experiment: &str) -> Vec<Reference> {
    let Ok(experiment) = Experiment::from_str(experiment, false) else { return Vec::new() };
    let sources: &[Source] = match experiment {
        Experiment::Imagenette => &[Source::OriginalReset],
        _ => &Source::ALL,
    };
    let tables = their_tables(experiment);
    let rows = tables.iter().zip(sources).flat_map(|(table, source)| table.rows.iter().map(move |row| (source, row)));
    rows.map(|(source, row)| Reference::new(experiment, *source, row)).collect()
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

    /// The order of the tables is what says which is which.
    #[test]
    fn sources_are_those_that_the_tables_name() {
        for experiment in [Experiment::Cifar10, Experiment::Cifar100] {
            let titles: Vec<&str> = their_tables(experiment).iter().map(|table| table.title).collect();
            assert!(
                titles[0].contains("state kept") && titles[1].contains("state reset") && titles[2].contains("paper"),
                "{titles:?}"
            );
        }
        assert_eq!(their_tables(Experiment::Imagenette).len(), 1);
        assert!(
            references("imagenette").iter().all(|row| row.source == Source::OriginalReset && !row.remark.is_empty())
        );
    }
}
