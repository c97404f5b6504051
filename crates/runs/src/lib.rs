#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod atomic;
mod before;
mod checkpoint;
mod claims;
mod confusion;
mod dataset;
mod details;
mod difference;
pub mod digest;
mod environment;
mod error;
mod folder;
mod lock;
mod log;
mod look;
mod metrics;
mod plan;
mod position;
mod row;
mod run;
mod score;
mod settings;
mod stats;
mod summary;
mod tensorboard;

pub use checkpoint::{Checkpoints, Found};
pub use claims::{Improvement, expected_best, holm};
pub use confusion::Confusion;
pub use dataset::{DataPart, DataSet};
pub use details::{HeldOutFigures, Reached, RunDetails, Target, TimeSplit};
pub use environment::Environment;
pub use error::{Error, Result};
pub use folder::{Divergence, Opened, RunFolder};
pub use log::Log;
pub use look::{Look, has_ended, look};
pub use metrics::{EpochRecord, MetricsFile, Record, StepRecord};
pub use plan::Plan;
pub use position::Position;
pub use row::RowId;
pub use run::{Run, Status};
pub use score::{Measure, Scores, TaskKind};
pub use settings::flat;
pub use stats::{PairedDifference, Spread, by_seed};
pub use summary::{ExperimentSummary, Figures, RunSummary, SCHEMA, Split, SummaryRow};
pub use tensorboard::EventWriter;
