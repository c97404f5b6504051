#![doc = include_str!("../README.md")]
//!
//! # Where things are
//!
//! * optimizers: [`Sgd`], [`AdamW`], [`RmsProp`], [`RAdam`], [`Ranger`], [`NAdam`], [`Adamax`], [`Adagrad`], [`Adadelta`], [`Lion`], [`Muon`],
//!   [`ScheduleFreeSgd`], [`ScheduleFreeAdamW`], with settings in [`muon`] and [`schedule_free`]; from your own formula: [`rule`]; candle's:
//!   [`FromCandle`]
//! * wrappers: [`Lookahead`] with [`lookahead`], [`Averaged`] with [`Average`]; the trait [`Optimizer`]
//! * settings: [`WeightDecay`], [`Momentum`], [`Group`], [`Gradients`], [`Clip`]; [`schedule`]
//! * variables to optimize: [`parameter::Variables`]
//! * evaluation: [`with_evaluation_weights`], [`evaluation`]
//! * saving and loading: [`State`], [`save_checkpoint`], [`load_checkpoint`], [`checkpoint`]

mod adadelta;
mod adagrad;
mod adamax;
mod adamw;
mod averaged;
mod away;
mod candle;
pub mod checkpoint;
#[cfg(any(feature = "cuda", all(test, target_os = "linux")))]
mod cuda;
mod decay;
mod error;
pub mod evaluation;
mod fused;
mod gradients;
mod group;
mod kernel;
mod lion;
pub mod lookahead;
pub mod muon;
mod nadam;
mod optimizer;
pub mod parameter;
mod pull;
mod radam;
mod ready;
mod reestimate;
mod rmsprop;
pub mod rule;
pub mod schedule;
pub mod schedule_free;
mod seen;
mod select;
mod sgd;
mod shadow;
mod slices;
mod variables;

pub use adadelta::{Adadelta, AdadeltaConfig};
pub use adagrad::{Adagrad, AdagradConfig};
pub use adamax::{Adamax, AdamaxConfig};
pub use adamw::{AdamW, AdamWConfig};
pub use averaged::{Average, Averaged};
pub use candle::FromCandle;
pub use checkpoint::{State, load_checkpoint, save_checkpoint};
pub use decay::WeightDecay;
pub use error::{Error, Result};
pub use evaluation::with_evaluation_weights;
pub use gradients::{Clip, Gradients};
pub use group::Group;
pub use lion::{Lion, LionConfig};
pub use lookahead::{Lookahead, LookaheadConfig, StatePolicy};
pub use muon::{Muon, MuonConfig};
pub use nadam::{NAdam, NAdamConfig};
pub use optimizer::Optimizer;
pub use radam::{RAdam, RAdamConfig, Ranger, RangerConfig};
pub use rmsprop::{RmsProp, RmsPropConfig};
pub use schedule_free::{ScheduleFreeAdamW, ScheduleFreeAdamWConfig, ScheduleFreeSgd, ScheduleFreeSgdConfig};
pub use sgd::{Momentum, Sgd, SgdConfig};
pub use variables::trainable;
