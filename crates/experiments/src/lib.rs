#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

// Floors, from the ground up: config, study, error, parts, run, train, screen, program. Each uses those below it alone;
// `just layers` checks it.
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
    BenchFlags, FetchFlags, Flags, Place, PuzzleFlags, RangeFlags, Shard, SweepFlags, bench_step, data_root, exit_with,
    fetch, lr_find, main, open_data, puzzle, run, sweep,
};
pub use run::{environment, weights_digest};
pub use screen::{Progress, RunProgress, tui};
pub use study::{Axis, Range, RowFile, Scale, Setting, SlurmFile, Study, StudyError, StudyFile};
pub use train::{
    ByClass, Evaluation, Gradients, Images, Interrupt, Judge, Language, LoopOptions, Setup, Task, Unwatched, Watch,
    task, train, train_from,
};
