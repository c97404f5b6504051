//! Weight decay, L2 or decoupled.

use crate::Result;
use crate::error::not_negative;

/// How weights decay towards zero.
///
/// | kind | what it does | where from |
/// | --- | --- | --- |
/// | `None` | nothing | |
/// | `L2(d)` | adds `d * w` to the gradient, before momentum and moments | PyTorch's `SGD`, `Adam`, `RMSprop` |
/// | `Decoupled(d)` | multiplies the weight by `1 - learning_rate * d`, before the step | PyTorch's `AdamW`; Loshchilov and Hutter, *Decoupled Weight Decay Regularization*, 2019, [arXiv:1711.05101](https://arxiv.org/abs/1711.05101) |
///
/// The coefficient is finite and at least 0. Parameters without a gradient do not decay.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum WeightDecay {
    /// No decay.
    #[default]
    None,
    /// L2 penalty, added to the gradient.
    L2(f64),
    /// Shrinks the weights directly, separately from the gradient step.
    Decoupled(f64),
}

impl WeightDecay {
    pub(crate) fn validate(self) -> Result<()> {
        let value = match self {
            Self::None => return Ok(()),
            Self::L2(value) | Self::Decoupled(value) => value,
        };
        not_negative("weight_decay", value)
    }

    /// The factor of the weight in the term added to the gradient.
    pub(crate) fn penalty(self, scale: f64) -> f64 {
        if let Self::L2(value) = self { value * scale } else { 0.0 }
    }

    /// The factor applied to the weight before the step.
    pub(crate) fn shrinkage(self, scale: f64, learning_rate: f64) -> f64 {
        if let Self::Decoupled(value) = self { 1.0 - learning_rate * (value * scale) } else { 1.0 }
    }
}
