#![doc = include_str!("../README.md")]

mod adamw;
mod averaged;
mod candle;
mod checkpoint;
#[cfg(any(feature = "cuda", all(test, target_os = "linux")))]
mod cuda;
mod decay;
mod error;
mod fused;
mod gradients;
mod group;
mod kernel;
mod lookahead;
mod number;
mod optimizer;
mod parameter;
mod pull;
mod rmsprop;
mod rule;
mod schedule;
mod sgd;
mod shadow;
mod slices;
mod state;

pub use adamw::{AdamUpdate, AdamW, AdamWConfig};
pub use averaged::{Average, Averaged};
pub use checkpoint::{load_checkpoint, save_checkpoint};
pub use decay::WeightDecay;
pub use error::{Error, Result};
pub use fused::Fused;
pub use gradients::{Clip, Gradients};
pub use group::{Group, Scales, Select};
pub use lookahead::{BufferPolicy, Lookahead, LookaheadConfig, Period, Reestimate, StatePolicy, StepSize};
pub use number::Number;
pub use optimizer::{Optimizer, with_evaluation_weights};
pub use parameter::{Parameter, trainable};
pub use pull::Pull;
pub use rmsprop::{RmsProp, RmsPropConfig, RmsPropUpdate};
pub use rule::{Clock, Rule};
pub use schedule::{Airbench, Anneal, Constant, Cosine, Linear, OneCycle, Schedule, Sequence, StepDecay};
pub use sgd::{Momentum, Sgd, SgdConfig, SgdUpdate};
pub use state::{Settings, State};
