//! The numbers of the table.

use lookahead_runs::Figures;

/// A number of the table: its key in `summary.json`, its title, and how to take it from a run.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Key in `summary.json`.
    pub key: &'static str,
    /// Title of the column, with its unit.
    pub title: &'static str,
    /// Digits after the point.
    pub digits: usize,
    /// The number of one run.
    pub of: fn(&Figures) -> f64,
}

/// The numbers of the table, in the order of its columns.
pub const METRICS: [Metric; 6] = [
    Metric { key: "train_loss", title: "Train loss", digits: 4, of: |figures| figures.train_loss },
    Metric { key: "valid_loss", title: "Loss", digits: 4, of: |figures| figures.valid_loss },
    Metric { key: "top1", title: "Top-1 %", digits: 2, of: |figures| figures.top1 },
    Metric { key: "top5", title: "Top-5 %", digits: 2, of: |figures| figures.top5 },
    Metric { key: "seconds", title: "Seconds", digits: 1, of: |figures| figures.seconds },
    Metric { key: "images_per_second", title: "Images/s", digits: 1, of: |figures| figures.images_per_second },
];

/// Positions in [`METRICS`], for tables that name their columns.
pub(crate) const TRAIN_LOSS: usize = 0;
pub(crate) const VALID_LOSS: usize = 1;
pub(crate) const TOP1: usize = 2;
pub(crate) const TOP5: usize = 3;
pub(crate) const SECONDS: usize = 4;
pub(crate) const IMAGES_PER_SECOND: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of a run's figures is a column, under its name in `summary.json` and from its own field.
    #[test]
    fn every_figure_is_a_metric() {
        let figures =
            Figures { train_loss: 1.0, valid_loss: 2.0, top1: 3.0, top5: 4.0, seconds: 5.0, images_per_second: 6.0 };
        let written = serde_json::to_value(figures).unwrap();
        assert_eq!(written.as_object().unwrap().len(), METRICS.len());
        for metric in METRICS {
            assert_eq!(written[metric.key], (metric.of)(&figures), "{}", metric.key);
        }
    }

    #[test]
    fn positions_have_their_names() {
        let keys =
            [TRAIN_LOSS, VALID_LOSS, TOP1, TOP5, SECONDS, IMAGES_PER_SECOND].map(|position| METRICS[position].key);
        assert_eq!(keys, ["train_loss", "valid_loss", "top1", "top5", "seconds", "images_per_second"]);
    }
}
