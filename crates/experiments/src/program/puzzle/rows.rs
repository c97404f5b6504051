//! The rows of the puzzle: what wraps AdamW, what happens to its state, and its learning rate.

use lookahead_optim::{AdamWConfig, LookaheadConfig, StatePolicy, WeightDecay};

use crate::config::{Around, Config, Experiment, ImagesConfig, Inner, Protocol, Row, ScheduleConfig, StepsConfig};

/// The learning rate that the original gave AdamW, and the one it gave AdamW inside Lookahead.
pub(super) const RATES: (f64, f64) = (1e-3, 0.1);

/// The recipe of all rows: `quick`'s network and data, and the original's AdamW, sync period, slow step size and
/// schedule, scaled down: the learning rate is divided by 5 after 60 % and 80 % of the epochs.
pub(super) fn config(experiment: Experiment, epochs: usize) -> Config {
    let mut config = Config::for_protocol(experiment, Protocol::Quick);
    config.train.epochs = epochs as f64;
    // As the original: all images are trained on.
    config.data = config.data.with_images(|images| ImagesConfig { held_out: 0.0, ..images });
    let mut milestones = vec![(3 * epochs).div_ceil(5), (4 * epochs).div_ceil(5)];
    milestones.dedup();
    config.schedule = ScheduleConfig::Steps(StepsConfig { milestones, factor: 0.2 });
    config.rows = rows();
    config
}

/// The baseline, then each suspected cause alone, then all together as in the original.
fn rows() -> Vec<Row> {
    use StatePolicy::{Interpolate, Keep, Reset};
    let mut rows = Vec::new();
    for (rate, suffix, words) in [(RATES.0, "", ""), (RATES.1, "-high", " at 0.1")] {
        // The decay that fastai applied, which is not that of the notebooks.
        let weight_decay = WeightDecay::Decoupled(0.01);
        let adamw =
            Inner::AdamW(AdamWConfig { learning_rate: rate, beta2: 0.999, weight_decay, ..AdamWConfig::default() });
        let named =
            |row: Row, name: &str, title: &str| row.named(&format!("{name}{suffix}"), &format!("{title}{words}"));
        let around = |state_policy| LookaheadConfig { state_policy, ..LookaheadConfig::default() };
        rows.push(named(Row::plain(adamw.clone()), "adamw", "AdamW"));
        // The high learning rate was never tried with interpolation.
        for policy in [Keep, Reset, Interpolate].into_iter().take(if suffix.is_empty() { 3 } else { 2 }) {
            rows.push(named(Row::lookahead(adamw.clone(), around(policy)), "lookahead-adamw", "Lookahead/AdamW"));
        }
        let zeroed = Row { around: Around::LookaheadMomentsZeroed(around(Keep)), ..Row::plain(adamw) };
        rows.push(named(zeroed, "lookahead-adamw-zeroed", "Lookahead/AdamW, moments zeroed without counter"));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was once a closure is in the configuration now: no two runs share theirs.
    #[test]
    fn each_configuration_determines_its_run() {
        let config = config(Experiment::Demo, 10);
        config.validate().unwrap();
        let tables: Vec<toml::Table> = config.runs().iter().map(|run| run.to_table()).collect();
        assert!(tables.iter().enumerate().all(|(at, table)| !tables[..at].contains(table)));
        let folders: Vec<String> = config.rows.iter().map(Row::folder).collect();
        assert_eq!(
            folders,
            [
                "adamw",
                "lookahead-adamw-keep",
                "lookahead-adamw-reset",
                "lookahead-adamw-interpolate",
                "lookahead-adamw-zeroed-keep",
                "adamw-high",
                "lookahead-adamw-high-keep",
                "lookahead-adamw-high-reset",
                "lookahead-adamw-zeroed-high-keep",
            ]
        );
    }
}
