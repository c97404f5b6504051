#![doc = include_str!("../README.md")]
//!
//! # Where things are
//!
//! * training a run: [`RunFolder`], [`Opened`], [`discard`], [`Divergence`]; [`MetricsFile`], [`Record`], [`StepRecord`], [`EpochRecord`]; [`Checkpoints`],
//!   [`Found`], [`Position`]; [`EventWriter`]
//! * reading a run: [`Run`], [`Status`], [`Log`]; only its state: [`look`], [`look_except`], [`Look`], [`has_ended`]; its lock:
//!   [`is_in_use`], [`without_locks`]
//! * what a run depends on: [`RowId`], [`flat`], [`DataSet`], [`DataPart`], [`Environment`]
//! * its summary: [`RunSummary`], [`Figures`], [`Split`]; [`RunDetails`], [`HeldOutFigures`], [`Target`], [`Reached`], [`TimeSplit`],
//!   [`Confusion`]
//! * tasks and scores: [`TaskKind`], [`Measure`], [`Scores`]
//! * an experiment: [`ExperimentSummary`], [`SummaryRow`], [`SCHEMA`], [`Plan`]
//! * statistics: [`Spread`], [`PairedDifference`], [`by_seed`]; [`Improvement`], [`expected_best`], [`holm`]
//! * files: [`atomic`], [`digest`]
//! * errors: [`Error`], [`Result`]
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
mod discard;
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
pub use discard::discard;
pub use environment::Environment;
pub use error::{Error, Result};
pub use folder::{Divergence, Opened, RunFolder};
pub use lock::{is_in_use, without_locks};
pub use log::Log;
pub use look::{Look, has_ended, look, look_except};
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
