//! The configuration: one value that says everything a run's result depends on.
//!
//! A [`Config`] is made by a protocol ([`Config::for_protocol`]), changed by a TOML file, by `--set key=value` and by
//! flags ([`Overrides`]), validated once and then never looked at with suspicion again. What does not change results
//! (threads, folders, verbosity) is not in it.

mod data;
mod error;
mod experiment;
mod inner;
mod keys;
mod model;
mod names;
mod original_crop;
mod overrides;
mod protocol;
mod row;
mod sections;
mod tables;
mod validate;
mod whole;

pub use data::{DataConfig, ImagesConfig, Normalization, TextConfig};
pub use error::ConfigError;
pub use experiment::{Config, RunConfig};
pub use inner::Inner;
pub use model::{LstmParts, ModelConfig, ResNetParts, SpeedNetParts};
pub use names::{Corpus, Experiment, ModelName, Protocol};
pub use overrides::Overrides;
pub use row::{Around, Row, states_of};
pub use sections::{
    EvaluationConfig, MomentumCycle, OneCycleConfig, ScheduleConfig, StepsConfig, TrainConfig, TriangleConfig, Views,
};
