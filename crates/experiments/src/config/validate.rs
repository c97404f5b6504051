//! The rules for a configuration, checked once.

use std::borrow::Cow;

use lookahead_models::{Error as ModelError, Head};
use lookahead_optim::Error as OptimError;
use lookahead_runs::TaskKind;

use super::data::{DataConfig, ImagesConfig, TextConfig};
use super::error::ConfigError;
use super::experiment::Config;
use super::model::{LstmParts, ModelConfig, SpeedNetParts};
use super::names::Experiment;
use super::row::Row;
use super::sections::{OneCycleConfig, ScheduleConfig, TrainConfig};

/// An error unless `holds`. Comparisons are written so that NaN fails them.
fn check(
    holds: bool,
    key: impl Into<String>,
    rule: impl Into<Cow<'static, str>>,
    value: impl ToString,
) -> Result<(), ConfigError> {
    let error = || ConfigError::OutOfRange { key: key.into(), rule: rule.into(), value: value.to_string() };
    if holds { Ok(()) } else { Err(error()) }
}

fn below_one(key: &str, value: f64) -> Result<(), ConfigError> {
    check((0.0..1.0).contains(&value), key, "in [0, 1)", value)
}

impl Config {
    /// Checks every number and list.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`] or [`ConfigError::Conflict`] for the first broken rule, with the value.
    ///
    /// ```
    /// use lookahead_experiments::{Config, Experiment, Protocol};
    /// let mut config = Config::for_protocol(Experiment::Demo, Protocol::Quick);
    /// config.train.epochs = 0.0;
    /// let error = config.validate().unwrap_err();
    /// assert_eq!(error.to_string(), "`train.epochs` must be above 0, but is 0");
    /// ```
    pub fn validate(&self) -> Result<(), ConfigError> {
        check(!self.rows.is_empty(), "rows", "a list of at least one row", "[]")?;
        check(!self.seeds.is_empty(), "seeds", "a list of at least one number", "[]")?;
        self.rows.iter().try_for_each(validate_row)?;
        unique("rows", &self.rows.iter().map(Row::folder).collect::<Vec<_>>())?;
        unique("seeds", &self.seeds)?;
        let seed_limit = i64::MAX as u64; // TOML's largest integer
        for seed in &self.seeds {
            check(*seed <= seed_limit, "seeds", "numbers below 2^63", seed)?;
        }
        validate_train(&self.train)?;
        validate_head(self)?;
        validate_model(&self.model)?;
        validate_task(self)?;
        match &self.data {
            DataConfig::Images(images) => validate_images(images, self.experiment)?,
            DataConfig::Text(text) => validate_text(text, self)?,
        }
        validate_schedule(&self.schedule)?;
        let (target, score) = (self.evaluation.target, self.data.task().score());
        let (low, high) = score.range();
        let holds = target == 0.0 || (low <= target && target <= high && target.is_finite());
        check(holds, "evaluation.target", format!("a possible {}, or 0 for none", score.name()), target)
    }
}

fn unique<T: PartialEq + ToString>(key: &str, values: &[T]) -> Result<(), ConfigError> {
    let repeats = values.iter().enumerate().any(|(at, value)| values[..at].contains(value));
    let list = || values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    if repeats { check(false, key, "a list without repetition", list()) } else { Ok(()) }
}

fn validate_row(row: &Row) -> Result<(), ConfigError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_@=.+".contains(c);
    let named = !row.name.is_empty() && row.name.chars().all(plain);
    check(named, "rows.name", "letters, digits, `-`, `_` and, for coordinates, `@=.+`", format!("`{}`", row.name))?;
    let rate = row.inner.learning_rate();
    check(rate > 0.0, format!("{}.learning_rate", row.name), "above 0", rate)?;
    row.inner.validate().and_then(|()| row.around.validate()).map_err(|error| of_row(&row.name, error))?;
    toml::Table::try_from(row).map(drop).map_err(|error| ConfigError::WrongValue {
        key: row.name.clone(),
        origin: String::new(),
        reason: error.to_string(),
    })
}

/// The optimizer crate's error, under the row's key.
fn of_row(name: &str, error: OptimError) -> ConfigError {
    match error {
        OptimError::OutOfRange { what, value, range } => ConfigError::OutOfRange {
            key: format!("{name}.{what}"),
            rule: format!("in {range}").into(),
            value: value.to_string(),
        },
        other => ConfigError::WrongValue { key: name.to_owned(), origin: String::new(), reason: other.to_string() },
    }
}

/// The maximum number of epochs. More is a typing error, and the number of steps might overflow.
const MOST_EPOCHS: f64 = 1e6;

/// The layers of fastai's head normalise each feature over the images of a batch, which requires two images.
fn validate_head(config: &Config) -> Result<(), ConfigError> {
    match config.train.of_one_image("model.head = \"fastai\"") {
        Some(error) if config.model.resnet().is_some_and(|parts| parts.head == Head::Fastai) => Err(error),
        _ => Ok(()),
    }
}

fn validate_model(model: &ModelConfig) -> Result<(), ConfigError> {
    match model {
        ModelConfig::SpeedNet(SpeedNetParts { width, whitening_images, .. }) => {
            check(*width > 0.0 && *width <= 64.0, "model.width", "above 0 and at most 64", width)?;
            check(*whitening_images >= 1, "model.whitening_images", "1 or more", whitening_images)
        }
        ModelConfig::Lstm(parts) => validate_lstm(parts),
        _ => Ok(()),
    }
}

fn validate_lstm(parts: &LstmParts) -> Result<(), ConfigError> {
    // The model crate's rules; they do not depend on the vocabulary.
    parts.model(1).validate().map_err(|error| match error {
        ModelError::Config { field, value, rule } => {
            ConfigError::OutOfRange { key: format!("model.{field}"), rule: rule.into(), value }
        }
        other => ConfigError::WrongValue { key: "model".to_owned(), origin: String::new(), reason: other.to_string() },
    })?;
    for (key, value) in [("model.activation", parts.activation), ("model.slowness", parts.slowness)] {
        check(value >= 0.0 && value.is_finite(), key, "0 or more", value)?;
    }
    Ok(())
}

/// Protocol, data and network must be of the experiment's task.
fn validate_task(config: &Config) -> Result<(), ConfigError> {
    let Config { experiment, protocol, .. } = config;
    let conflict = |second: String, why: String| {
        Err(ConfigError::Conflict { first: format!("the experiment {experiment}"), second, why })
    };
    let known = experiment.protocols();
    if !known.contains(protocol) {
        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
        return conflict(format!("the protocol {protocol}"), format!("its protocols are {}", known.join(", ")));
    }
    if config.data.task() != experiment.task() {
        let why = "it needs data of another kind".to_owned();
        return conflict("`data.kind`".to_owned(), why);
    }
    if config.model.task() != experiment.task() {
        let why = match experiment.task() {
            TaskKind::Images => "it is a language model; use it with `just language`",
            TaskKind::Language => "it classifies images; the network for language is lstm",
        };
        return conflict(format!("the network {}", config.model.name()), why.to_owned());
    }
    Ok(())
}

fn validate_train(train: &TrainConfig) -> Result<(), ConfigError> {
    check(train.epochs > 0.0, "train.epochs", "above 0", train.epochs)?;
    check(train.epochs <= MOST_EPOCHS, "train.epochs", format!("at most {MOST_EPOCHS}"), train.epochs)?;
    check(train.batch_size >= 1, "train.batch_size", "1 or more", train.batch_size)?;
    check(
        train.accumulate >= 1 && train.batch_size.is_multiple_of(train.accumulate),
        "train.accumulate",
        "1 or more and a divisor of train.batch_size",
        train.accumulate,
    )?;
    below_one("train.label_smoothing", train.label_smoothing)
}

fn validate_text(text: &TextConfig, config: &Config) -> Result<(), ConfigError> {
    check(text.least >= 1, "data.least", "1 or more", text.least)?;
    check(text.steps >= 1, "data.steps", "1 or more", text.steps)?;
    let TrainConfig { accumulate, label_smoothing, .. } = config.train;
    check(accumulate == 1, "train.accumulate", "1 for a text, because its windows are consecutive", accumulate)?;
    check(label_smoothing == 0.0, "train.label_smoothing", "0 for a text", label_smoothing)?;
    let views = u8::from(config.evaluation.views);
    check(views == 1, "evaluation.views", "1 for a text", views)
}

fn validate_images(data: &ImagesConfig, experiment: Experiment) -> Result<(), ConfigError> {
    below_one("data.held_out", data.held_out)?;
    if data.held_out == 0.0 && !data.test {
        return Err(ConfigError::Conflict {
            first: "data.held_out = 0".to_owned(),
            second: "data.test = false".to_owned(),
            why: "no images are left for validation; hold some out, for example with data.held_out = 0.1".to_owned(),
        });
    }
    // The data crate's rules.
    data.mixing.validate().map_err(|error| ConfigError::WrongValue {
        key: "data.mixing".to_owned(),
        origin: String::new(),
        reason: error.to_string(),
    })?;
    let side = data.cache_side;
    if experiment.has_photographs() {
        let least = data.train.fixed_size().map_or(1, |size| size.height.min(size.width));
        let rule = format!("0, or from the training images' side ({least}) to 8192");
        check(side == 0 || (least..=8192).contains(&side), "data.cache_side", rule, side)
    } else {
        check(side == 0, "data.cache_side", "0 unless the images are a folder of photographs", side)
    }
}

fn validate_schedule(schedule: &ScheduleConfig) -> Result<(), ConfigError> {
    let one_cycle = |kind: &str, cycle: &OneCycleConfig| {
        check(cycle.warmup > 0.0 && cycle.warmup < 1.0, format!("schedule.{kind}.warmup"), "in (0, 1)", cycle.warmup)?;
        let Some(momentum) = &cycle.momentum else { return Ok(()) };
        below_one(&format!("schedule.{kind}.momentum.high"), momentum.high)?;
        below_one(&format!("schedule.{kind}.momentum.low"), momentum.low)
    };
    match schedule {
        ScheduleConfig::Constant => Ok(()),
        ScheduleConfig::OneCycle(cycle) => one_cycle("one-cycle", cycle),
        ScheduleConfig::OneCycleFastaiV1(cycle) => one_cycle("one-cycle-fastai-v1", cycle),
        ScheduleConfig::Steps(steps) => {
            let rising = steps.milestones.windows(2).all(|w| w[0] < w[1]);
            check(rising, "schedule.steps.milestones", "rising", format!("{:?}", steps.milestones))?;
            check(steps.factor > 0.0 && steps.factor <= 1.0, "schedule.steps.factor", "in (0, 1]", steps.factor)
        }
        ScheduleConfig::Triangle(triangle) => {
            below_one("schedule.triangle.warmup", triangle.warmup)?;
            let (first, last) = (triangle.first, triangle.last);
            check(first > 0.0 && first <= 1.0, "schedule.triangle.first", "in (0, 1]", first)?;
            check((0.0..=1.0).contains(&last), "schedule.triangle.last", "in [0, 1]", last)
        }
    }
}

#[cfg(test)]
mod tests {
    use lookahead_data::Mixing;
    use lookahead_optim::lookahead::StepSize;
    use lookahead_optim::{Average, Momentum};

    use super::*;
    use crate::config::{Around, Inner, Protocol, StepsConfig};

    fn broken(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::for_protocol(Experiment::Cifar10, Protocol::Quick);
        config.validate().unwrap();
        change(&mut config);
        config.validate().unwrap_err().to_string()
    }

    fn around(config: &mut Config) -> &mut lookahead_optim::LookaheadConfig {
        config.rows[3].around.lookahead_mut().unwrap()
    }

    fn images(config: &mut Config) -> &mut ImagesConfig {
        config.data.images_mut().unwrap()
    }

    #[test]
    fn a_task_is_one_thing() {
        let language = |change: fn(&mut Config)| {
            let mut config = Config::for_protocol(Experiment::Language, Protocol::Quick);
            config.validate().unwrap();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        let message = language(|c| c.model = c.model.renamed(crate::config::ModelName::ResNet18));
        assert!(message.contains("the network resnet18") && message.contains("language is lstm"), "{message}");
        let message = language(|c| c.protocol = Protocol::Sprint);
        assert!(message.contains("quick, zaremba-small"), "{message}");
        for (change, key) in [
            ((|c: &mut Config| c.train.accumulate = 2) as fn(&mut Config), "train.accumulate"),
            (|c| c.train.label_smoothing = 0.1, "train.label_smoothing"),
            (|c| c.evaluation.views = crate::config::Views::Six, "evaluation.views"),
            (|c| c.evaluation.target = 0.5, "evaluation.target"),
        ] {
            let message = language(change);
            assert!(message.contains(key), "{message}");
        }
        assert!(broken(|c| c.model = c.model.renamed(crate::config::ModelName::Lstm)).contains("just language"));
        assert!(broken(|c| c.evaluation.target = 100.5).contains("evaluation.target"));
    }

    #[test]
    fn numbers_that_are_no_numbers_are_refused() {
        for change in [
            (|c: &mut Config| around(c).slow_step_size = StepSize::Fixed(f64::NAN)) as fn(&mut Config),
            |c| c.rows[0].inner.set_learning_rate(f64::NAN),
            |c| c.rows[0].inner.set_learning_rate(f64::INFINITY),
            |c| {
                if let Inner::Sgd(sgd) = &mut c.rows[0].inner {
                    sgd.momentum = Momentum::nesterov(f64::NAN);
                }
            },
            |c| c.rows[0].around = Around::Average(Average::ema(f64::NAN)),
            |c| c.train.label_smoothing = f64::NAN,
            |c| c.schedule = ScheduleConfig::OneCycle(OneCycleConfig { warmup: f64::NAN, momentum: None }),
            |c| c.schedule = ScheduleConfig::Steps(StepsConfig { milestones: vec![], factor: f64::NAN }),
        ] {
            let message = broken(change);
            assert!(message.contains("but is NaN") || message.contains("but is inf"), "{message}");
        }
        assert!(broken(|c| images(c).mixing = Mixing::Mixup { alpha: f64::NAN }).contains("data.mixing"));
    }

    #[test]
    fn a_message_names_key_rule_and_value() {
        assert_eq!(broken(|c| c.train.epochs = 0.0), "`train.epochs` must be above 0, but is 0");
        assert!(broken(|c| c.train.accumulate = 3).contains("a divisor of train.batch_size, but is 3"));
        assert!(broken(|c| c.rows = vec![c.rows[0].clone(); 2]).ends_with("without repetition, but is sgd,sgd"));
        assert!(broken(|c| c.seeds.clear()).contains("`seeds`"));
        assert!(broken(|c| c.rows[0].name = "a/b".into()).contains("but is `a/b`"));
        assert_eq!(
            broken(|c| around(c).sync_period = 0.into()),
            "`lookahead-sgd.sync_period` must be in [1, inf), but is 0"
        );
        assert!(broken(|c| images(c).cache_side = 40).contains("a folder of photographs"));
    }

    /// A value that TOML cannot hold would make `config.toml` forget it.
    #[test]
    fn a_row_that_no_file_can_hold_is_refused() {
        let schedule = std::sync::Arc::new(lookahead_optim::schedule::Constant(0.5));
        let message = broken(|c| around(c).slow_step_size = StepSize::Scheduled(schedule));
        assert!(message.contains("lookahead-sgd"), "{message}");
    }
}
