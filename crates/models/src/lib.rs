#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod batch_norm;
mod error;
mod init;
mod language;
mod layers;
mod resnet;
mod speed_net;
mod store;
mod weights;

pub use batch_norm::BatchNormConfig;
pub use error::{Error, Result};
pub use language::{LanguageDropout, LanguageFeatures, LanguageModel, LanguageModelConfig, LanguageState};
pub use lookahead_kernels::LstmState;
pub use resnet::{BlockKind, Head, ResNet, ResNetConfig, Stem};
pub use speed_net::{SpeedNet, SpeedNetConfig};
pub use weights::{Loaded, Mismatch, Misshapen, Naming, Weights};

/// What a forward pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Training: the graph is kept; batch norm uses the batch's statistics and updates the running ones.
    Train {
        /// Numbers the dropout masks, so that a resumed run draws the same ones: the count of steps done. Only [`Head::Fastai`] has dropout.
        step: u64,
    },
    /// Evaluation: no graph, running statistics, no dropout.
    Eval,
}
