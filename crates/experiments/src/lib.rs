#![doc = include_str!("../README.md")]
//!
//! # Where things are
//!
//! * the configuration: [`Config`], [`RunConfig`], [`Overrides`], [`ConfigError`]; its names: [`Experiment`], [`Protocol`]
//! * its rows: [`Row`], [`Inner`], [`Around`], [`states_of`]
//! * its data: [`DataConfig`], [`ImagesConfig`], [`Normalization`], [`TextConfig`], [`Corpus`]; its network: [`ModelConfig`], [`ModelName`],
//!   [`ResNetParts`], [`SpeedNetParts`], [`LstmParts`]
//! * its training: [`TrainConfig`], [`ScheduleConfig`], [`OneCycleConfig`], [`MomentumCycle`], [`StepsConfig`], [`TriangleConfig`]; its
//!   evaluation: [`EvaluationConfig`], [`Views`]
//! * studies: [`StudyFile`], [`RowFile`], [`Axis`], [`Range`], [`Scale`], [`SlurmFile`]; expanded: [`Study`], [`Setting`]; [`StudyError`]
//! * what a configuration describes: [`Data`], [`ImageData`], [`TextData`], [`Sealed`]; [`model`], [`Network`], [`language_model`];
//!   [`optimizer`], [`MomentsZeroed`]; [`Schedules`]; [`open_device`]
//! * training: [`train`], [`train_from`], [`Setup`], [`LoopOptions`], [`Interrupt`]; listening: [`Watch`], [`Unwatched`]
//! * tasks: [`task`], [`Task`], [`Images`], [`Language`], [`Gradients`]; evaluating: [`Judge`], [`Evaluation`], [`ByClass`]
//! * run folders: [`environment`], [`weights_digest`]; the data's folder: [`open_data`], [`data_root`], [`Place`]
//! * programs: [`main`], [`run`] with [`Flags`], [`Seeds`]; [`sweep`] with [`SweepFlags`], [`Shard`]; [`lr_find`] with [`RangeFlags`]; [`puzzle`] with
//!   [`PuzzleFlags`]; [`fetch`] with [`FetchFlags`]; [`bench_step`] with [`BenchFlags`]; [`exit_with`]
//! * progress: [`Progress`], [`RunProgress`], [`tui`]
//! * errors: [`Error`], [`LossOf`], [`Result`]
#![forbid(unsafe_code)]

// Floors, from the bottom: config, study, error, parts, run, train, screen, program. Each uses only those below it;
// `just layers` checks this.
mod config;
mod error;
mod parts;
mod program;
mod run;
mod screen;
mod study;
mod train;

/// Every program of this package trains or measures training, so the allocator is set here, once for all of them.
#[global_allocator]
static ALLOCATOR: lookahead_kernels::PageCache = lookahead_kernels::PageCache::new();

pub use config::{
    Around, Config, ConfigError, Corpus, DataConfig, EvaluationConfig, Experiment, ImagesConfig, Inner, LstmParts,
    ModelConfig, ModelName, MomentumCycle, Normalization, OneCycleConfig, Overrides, Protocol, ResNetParts, Row,
    RunConfig, ScheduleConfig, SpeedNetParts, StepsConfig, TextConfig, TrainConfig, TriangleConfig, Views, states_of,
};
pub use error::{Error, LossOf, Result};
pub use parts::{
    Data, ImageData, MomentsZeroed, Network, Schedules, Sealed, TextData, language_model, model, open_device, optimizer,
};
pub use program::{
    BenchFlags, FetchFlags, Flags, Place, PuzzleFlags, RangeFlags, Seeds, Shard, SweepFlags, bench_step, data_root,
    exit_with, fetch, lr_find, main, open_data, puzzle, run, sweep,
};
pub use run::{environment, weights_digest};
pub use screen::{Progress, RunProgress, tui};
pub use study::{Axis, Range, RowFile, Scale, Setting, SlurmFile, Study, StudyError, StudyFile};
pub use train::{
    ByClass, Evaluation, Gradients, Images, Interrupt, Judge, Language, LoopOptions, Setup, Task, Unwatched, Watch,
    task, train, train_from,
};

/// The programs of the guides, which must compile.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../../../docs/guides/lookahead-in-your-project.md")]
    struct LookaheadInYourProject;
    #[doc = include_str!("../../../docs/guides/your-data.md")]
    struct YourData;
    #[doc = include_str!("../../../docs/guides/your-optimizer.md")]
    struct YourOptimizer;
}
