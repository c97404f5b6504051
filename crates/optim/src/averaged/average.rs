//! Kinds of weight averages.

use crate::Result;
use crate::error::{at_most_one, not_negative};

/// The average that [`Averaged`](crate::Averaged) keeps. [`polyak`](Self::polyak) and [`ema`](Self::ema) suit runs of any length.
///
/// Averaging begins after `start` steps; until then, evaluation uses the current weights. The first averaged step sets the average to its
/// weights, so the random initial weights never enter it.
///
/// # References
/// Polyak, Juditsky: *Acceleration of stochastic approximation by averaging*, 1992. Shamir, Zhang: *Stochastic Gradient Descent for
/// Non-smooth Optimization*, 2013, [arXiv:1212.1824](https://arxiv.org/abs/1212.1824) (`power`, their eta). TensorFlow's
/// `ExponentialMovingAverage` with `num_updates` (the warm-up). PyTorch's `AveragedModel` with an exponential average has no warm-up: it
/// copies the weights at its first update and uses a constant decay from then on.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case", deny_unknown_fields))]
#[non_exhaustive]
pub enum Average {
    /// Running mean of the weights after each step. At the t-th averaged step, from 1,
    ///
    /// ```text
    /// average <- average + (1 + power) / (t + power) * (weights - average)
    /// ```
    Polyak {
        /// The first averaged step, from 0.
        #[cfg_attr(feature = "serde", serde(default))]
        start: usize,
        /// How much more late steps weigh than early ones: about `t^power`. 0 is the plain mean, which retains the poor weights of early
        /// training; 8 gives the last ninth of the run two thirds of the weight. In `[0, inf)`.
        #[cfg_attr(feature = "serde", serde(default = "power"))]
        power: f64,
    },
    /// `average <- decay * average + (1 - decay) * weights` after each step.
    Ema {
        /// Weight of the old average, in `[0, 1]`.
        decay: f64,
        /// The first averaged step, from 0.
        #[cfg_attr(feature = "serde", serde(default))]
        start: usize,
        /// Whether to warm up the decay: the t-th averaged step, from 1, uses `min(decay, (t - 1) / (t + 8))`, so the average starts as
        /// Polyak's with `power` 8. Without warm-up, the first averaged weights dominate for `1 / (1 - decay)` steps.
        #[cfg_attr(feature = "serde", serde(default = "yes"))]
        warm_up: bool,
    },
}

/// Default `power`: weights late steps enough for short runs.
const POWER: f64 = 8.0;

#[cfg(feature = "serde")]
fn power() -> f64 {
    POWER
}

#[cfg(feature = "serde")]
fn yes() -> bool {
    true
}

impl Average {
    /// Polyak averaging with `power` 8, from the first step.
    pub fn polyak() -> Self {
        Self::Polyak { start: 0, power: POWER }
    }

    /// Exponential moving average with this decay, warmed up, from the first step.
    #[doc(alias = "EMA")]
    pub fn ema(decay: f64) -> Self {
        Self::Ema { decay, start: 0, warm_up: true }
    }

    /// Starts averaging at `step`.
    #[must_use]
    #[doc(alias = "swa_start")]
    pub fn starting_at(mut self, step: usize) -> Self {
        match &mut self {
            Self::Polyak { start, .. } | Self::Ema { start, .. } => *start = step,
        }
        self
    }

    /// Checks the fields, as [`Averaged::new`](crate::Averaged::new) does.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a decay outside `[0, 1]` or a power outside `[0, inf)`, NaN included.
    pub fn validate(self) -> Result<()> {
        match self {
            Self::Polyak { power, .. } => not_negative("power", power),
            Self::Ema { decay, .. } => at_most_one("decay", decay),
        }
    }

    /// The first averaged step, from 0.
    pub(super) fn start(self) -> usize {
        let (Self::Polyak { start, .. } | Self::Ema { start, .. }) = self;
        start
    }

    /// Interpolation weight after step `step`, from 1; `None` before the first averaged step.
    pub(super) fn rate(self, step: usize) -> Option<f64> {
        let t = step.checked_sub(self.start()).filter(|t| *t > 0)? as f64;
        Some(match self {
            Self::Polyak { power, .. } => (1.0 + power) / (t + power),
            Self::Ema { decay, warm_up: true, .. } => 1.0 - decay.min((t - 1.0) / (t + 8.0)),
            Self::Ema { .. } if t == 1.0 => 1.0,
            Self::Ema { decay, .. } => 1.0 - decay,
        })
    }

    /// Whether there is an average after `steps` steps.
    pub(super) fn has_begun(self, steps: usize) -> bool {
        steps > self.start()
    }
}
