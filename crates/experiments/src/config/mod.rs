//! The configuration: one value that contains everything a run's result depends on.
//!
//! A [`Config`] starts as a protocol ([`Config::for_protocol`]). A TOML file, `--set key=value` and flags change it
//! ([`Overrides`]). It is validated once and trusted afterwards. Settings that do not change results (threads, folders,
//! verbosity) are not part of it.

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
