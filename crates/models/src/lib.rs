#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod batch_norm;
mod error;
mod init;
mod language;
mod layers;
mod module;
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

/// The purpose of a forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Training: the graph is kept; batch norm uses the batch's statistics and updates the running ones.
    Train {
        /// The number of steps done. It selects the dropout masks, so that a resumed run draws the same ones. [`Head::Fastai`] and
        /// [`LanguageModel`] have dropout.
        step: u64,
    },
    /// Evaluation: no graph, running statistics, no dropout.
    Eval,
}
