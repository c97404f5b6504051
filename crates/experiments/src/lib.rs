#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod atomic;
mod bench;
mod chart;
mod checkpoint;
mod cli;
mod config;
mod datasets;
mod device;
mod digest;
mod environment;
mod error;
mod evaluate;
mod experiment;
mod fetch;
mod interrupt;
mod lock;
mod losses;
mod memory;
mod metrics;
mod model;
mod names;
mod optimizers;
mod progress;
mod protocol;
mod puzzle;
mod range_test;
mod reference;
pub mod report;
mod reporter;
mod run_folder;
mod schedules;
mod sheet;
mod stats;
mod summary;
mod table;
pub mod tensorboard;
mod train;
pub mod tui;

/// Every program of this package trains or measures training, so the allocator is set here, once for all of them.
#[global_allocator]
static ALLOCATOR: lookahead_kernels::PageCache = lookahead_kernels::PageCache::new();

pub use bench::{BenchFlags, bench_step};
pub use checkpoint::Position;
pub use cli::Flags;
pub use config::{
    AdamWSettings, Augmentation, AveragingSettings, Config, ConfigError, DataSettings, LookaheadSettings, Mixing,
    ModelSettings, Normalization, Overrides, RmsPropSettings, RunConfig, ScheduleKind, ScheduleSettings, SgdSettings,
    TrainSettings,
};
pub use datasets::{Data, data_root, open as open_data};
pub use device::open_device;
pub use digest::weights_digest;
pub use environment::Environment;
pub use error::{Error, Result};
pub use evaluate::{Evaluation, evaluate};
pub use experiment::{exit_with, main, run};
pub use fetch::{FetchFlags, fetch};
pub use interrupt::Interrupt;
pub use metrics::Record;
pub use model::build as build_model;
pub use names::{Experiment, Head, ModelName, OptimizerName, Protocol, State, Stem};
pub use optimizers::build as build_optimizer;
pub use progress::Progress;
pub use puzzle::{MomentsReset, PuzzleFlags, puzzle};
pub use range_test::{RangeFlags, RangeTest, find_learning_rate};
pub use reference::{Reference, Source, references};
pub use run_folder::{RunFolder, RunState};
pub use schedules::Schedules;
pub use stats::{PairedDifference, Spread};
pub use summary::{ExperimentSummary, Row, RunDetails, RunSummary, SCHEMA, TimeSplit};
pub use table::render;
pub use train::{LoopOptions, train, train_with};
