//! The rules a configuration obeys, checked once.

use super::ConfigError;
use super::settings::{AdamWSettings, Config, RmsPropSettings, ScheduleKind, SgdSettings};
use crate::names::Experiment;

/// Collects the first broken rule; comparisons are written so that NaN breaks them.
fn check(holds: bool, key: impl Into<String>, rule: &'static str, value: impl ToString) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::OutOfRange { key: key.into(), rule, value: value.to_string() }) }
}

fn learning_rate(table: &str, value: f64) -> Result<(), ConfigError> {
    check(value > 0.0 && value.is_finite(), format!("{table}.learning_rate"), "above 0 and finite", value)
}

fn non_negative(table: &str, key: &str, value: f64) -> Result<(), ConfigError> {
    check(value >= 0.0 && value.is_finite(), format!("{table}.{key}"), "0 or more and finite", value)
}

fn below_one(table: &str, key: &str, value: f64) -> Result<(), ConfigError> {
    check((0.0..1.0).contains(&value), format!("{table}.{key}"), "in [0, 1)", value)
}

fn sgd(table: &str, s: &SgdSettings) -> Result<(), ConfigError> {
    learning_rate(table, s.learning_rate)?;
    below_one(table, "momentum", s.momentum)?;
    non_negative(table, "weight_decay", s.weight_decay)?;
    if s.nesterov && s.momentum == 0.0 {
        return Err(ConfigError::Conflict {
            first: format!("{table}.nesterov = true"),
            second: format!("{table}.momentum = 0"),
            why: "Nesterov's form needs momentum".to_owned(),
        });
    }
    Ok(())
}

fn adamw(table: &str, s: &AdamWSettings) -> Result<(), ConfigError> {
    learning_rate(table, s.learning_rate)?;
    below_one(table, "beta1", s.beta1)?;
    below_one(table, "beta2", s.beta2)?;
    non_negative(table, "epsilon", s.epsilon)?;
    non_negative(table, "weight_decay", s.weight_decay)
}

fn rmsprop(table: &str, s: &RmsPropSettings) -> Result<(), ConfigError> {
    learning_rate(table, s.learning_rate)?;
    below_one(table, "alpha", s.alpha)?;
    below_one(table, "momentum", s.momentum)?;
    non_negative(table, "epsilon", s.epsilon)?;
    non_negative(table, "weight_decay", s.weight_decay)
}

impl Config {
    /// Checks every number and list.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`] and [`ConfigError::Conflict`], for the first rule broken, with the value.
    ///
    /// ```
    /// use lookahead_experiments::{Config, Experiment, Protocol};
    /// let mut config = Config::for_protocol(Experiment::Demo, Protocol::Quick);
    /// config.lookahead.sync_period = 0;
    /// let error = config.validate().unwrap_err();
    /// assert_eq!(error.to_string(), "`lookahead.sync_period` must be 1 or more, but is 0");
    /// ```
    pub fn validate(&self) -> Result<(), ConfigError> {
        check(!self.optimizers.is_empty(), "optimizers", "a list of at least one name", "[]")?;
        check(!self.states.is_empty(), "states", "a list of at least one policy", "[]")?;
        check(!self.seeds.is_empty(), "seeds", "a list of at least one number", "[]")?;
        unique("optimizers", &self.optimizers)?;
        unique("states", &self.states)?;
        unique("seeds", &self.seeds)?;

        let seed_limit = i64::MAX as u64; // TOML's largest integer
        for seed in &self.seeds {
            check(*seed <= seed_limit, "seeds", "numbers below 2^63", seed)?;
        }

        let train = &self.train;
        check(train.epochs >= 1, "train.epochs", "1 or more", train.epochs)?;
        check(train.batch_size >= 1, "train.batch_size", "1 or more", train.batch_size)?;
        check(
            train.accumulate >= 1 && train.batch_size.is_multiple_of(train.accumulate),
            "train.accumulate",
            "1 or more and a divisor of train.batch_size",
            train.accumulate,
        )?;
        below_one("train", "label_smoothing", train.label_smoothing)?;

        let data = &self.data;
        check(data.min_scale > 0.0 && data.min_scale <= 1.0, "data.min_scale", "in (0, 1]", data.min_scale)?;
        check(
            data.mixing_alpha > 0.0 && data.mixing_alpha.is_finite(),
            "data.mixing_alpha",
            "above 0 and finite",
            data.mixing_alpha,
        )?;
        check(data.image_size <= 4096, "data.image_size", "4096 or less", data.image_size)?;
        if self.experiment == Experiment::Imagenette {
            check(
                data.cache_side == 0 || (data.image_size..=8192).contains(&data.cache_side),
                "data.cache_side",
                "0, or from data.image_size to 8192",
                data.cache_side,
            )?;
        } else {
            check(data.cache_side == 0, "data.cache_side", "0 where images are no photographs", data.cache_side)?;
        }

        let schedule = &self.schedule;
        check(schedule.warmup > 0.0 && schedule.warmup < 1.0, "schedule.warmup", "in (0, 1)", schedule.warmup)?;
        below_one("schedule", "momentum_high", schedule.momentum_high)?;
        below_one("schedule", "momentum_low", schedule.momentum_low)?;
        check(schedule.factor > 0.0 && schedule.factor <= 1.0, "schedule.factor", "in (0, 1]", schedule.factor)?;
        if schedule.kind == ScheduleKind::Steps {
            check(
                schedule.milestones.windows(2).all(|w| w[0] < w[1]),
                "schedule.milestones",
                "rising",
                format!("{:?}", schedule.milestones),
            )?;
        }

        let lookahead = &self.lookahead;
        check(lookahead.sync_period >= 1, "lookahead.sync_period", "1 or more", lookahead.sync_period)?;
        check(
            (0.0..=1.0).contains(&lookahead.slow_step_size),
            "lookahead.slow_step_size",
            "in [0, 1]",
            lookahead.slow_step_size,
        )?;
        below_one("averaging", "decay", self.averaging.decay)?;

        sgd("sgd", &self.sgd)?;
        sgd("polyak", &self.polyak)?;
        sgd("lookahead-sgd", &self.lookahead_sgd)?;
        adamw("adamw", &self.adamw)?;
        adamw("lookahead-adamw", &self.lookahead_adamw)?;
        rmsprop("rmsprop", &self.rmsprop)?;
        rmsprop("lookahead-rmsprop", &self.lookahead_rmsprop)
    }
}

fn unique<T: PartialEq + ToString>(key: &str, values: &[T]) -> Result<(), ConfigError> {
    let repeats = values.iter().enumerate().any(|(at, value)| values[..at].contains(value));
    let list = || values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    if repeats { check(false, key, "a list without repetition", list()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{Experiment, OptimizerName, Protocol};

    fn broken(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::for_protocol(Experiment::Cifar10, Protocol::Quick);
        config.validate().unwrap();
        change(&mut config);
        config.validate().unwrap_err().to_string()
    }

    #[test]
    fn numbers_that_are_no_numbers_are_refused() {
        for change in [
            (|c: &mut Config| c.lookahead.slow_step_size = f64::NAN) as fn(&mut Config),
            |c| c.sgd.learning_rate = f64::NAN,
            |c| c.sgd.learning_rate = f64::INFINITY,
            |c| c.adamw.beta2 = f64::NAN,
            |c| c.rmsprop.alpha = f64::NAN,
            |c| c.train.label_smoothing = f64::NAN,
            |c| c.data.min_scale = f64::NAN,
            |c| c.data.mixing_alpha = f64::NAN,
            |c| c.schedule.warmup = f64::NAN,
            |c| c.schedule.factor = f64::NAN,
            |c| c.averaging.decay = f64::NAN,
        ] {
            let message = broken(change);
            assert!(message.contains("but is NaN") || message.contains("but is inf"), "{message}");
        }
    }

    #[test]
    fn a_message_names_key_rule_and_value() {
        assert_eq!(broken(|c| c.train.epochs = 0), "`train.epochs` must be 1 or more, but is 0");
        assert!(broken(|c| c.train.accumulate = 3).contains("a divisor of train.batch_size, but is 3"));
        assert!(broken(|c| c.optimizers = vec![OptimizerName::Sgd; 2]).ends_with("without repetition, but is sgd,sgd"));
        assert!(broken(|c| c.seeds.clear()).contains("`seeds`"));
        assert!(broken(|c| c.lookahead_sgd.momentum = 0.0).contains("lookahead-sgd.nesterov"));
    }
}
