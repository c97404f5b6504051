//! Hyper-parameters of Lookahead.

use crate::error::{at_most_one, in_range};
use crate::schedule::Schedule;
use crate::{Error, Result};
use std::sync::Arc;

/// Hyper-parameters of [`Lookahead`](crate::Lookahead).
///
/// | field | default | meaning | range |
/// | --- | --- | --- | --- |
/// | `sync_period` | 5 | inner steps from one sync to the next (the paper's k) | at least 1 |
/// | `slow_step_size` | 0.5 | how far a sync moves the slow weights towards the fast ones (alpha) | `[0, 1]` |
/// | `state_policy` | `Keep` | what happens to the inner state at a sync | [`StatePolicy`] |
/// | `buffer_policy` | `Keep` | what happens to BatchNorm statistics | [`BufferPolicy`] |
/// | `pulls_back` | true | whether the fast weights return to the slow ones at a sync | |
///
/// The defaults are one corner of the grid the paper recommends, k in {5, 10} and alpha in {0.5, 0.8}. Period 1 with step size 1 is the
/// inner optimizer alone, bit for bit.
///
/// ```
/// use lookahead_optim::{LookaheadConfig, StatePolicy};
///
/// let config = LookaheadConfig {
///     sync_period: 10.into(),
///     slow_step_size: 0.8.into(),
///     state_policy: StatePolicy::Reset,
///     ..LookaheadConfig::default()
/// };
/// # let _ = config;
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct LookaheadConfig {
    /// Inner steps from one sync to the next.
    #[doc(alias = "k")]
    #[doc(alias = "la_steps")]
    pub sync_period: Period,
    /// How far a sync moves the slow weights.
    #[doc(alias = "alpha")]
    #[doc(alias = "la_alpha")]
    pub slow_step_size: StepSize,
    /// What happens to the inner state at a sync.
    pub state_policy: StatePolicy,
    /// What happens to BatchNorm statistics.
    pub buffer_policy: BufferPolicy,
    /// Whether the fast weights return to the slow ones at a sync. If false, the slow weights are an average of the fast ones, used only
    /// for evaluation, and the inner state is left alone: a control that separates averaging from the pull.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "is_true"))]
    pub pulls_back: bool,
}

impl Default for LookaheadConfig {
    fn default() -> Self {
        Self {
            sync_period: Period::default(),
            slow_step_size: StepSize::default(),
            state_policy: StatePolicy::default(),
            buffer_policy: BufferPolicy::default(),
            pulls_back: true,
        }
    }
}

/// Whether a file may omit the field.
#[cfg(feature = "serde")]
fn is_true(value: &bool) -> bool {
    *value
}

/// Inner steps from one sync to the next.
///
/// Two schedules are equal if their `Debug` output is; saved state compares them the same way.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Period {
    /// Constant, at least 1.
    Fixed(usize),
    /// Evaluated at the start of each cycle, at the number of inner steps taken so far; rounded, and must be at least 1.
    Scheduled(Arc<dyn Schedule>),
}

/// How far the slow weights go towards the fast ones.
///
/// Two schedules are equal if their `Debug` output is; saved state compares them the same way.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum StepSize {
    /// Constant, in `[0, 1]`.
    Fixed(f64),
    /// Evaluated at each sync, at the number of inner steps taken so far; a value outside `[0, 1]` is an error.
    Scheduled(Arc<dyn Schedule>),
    /// Chosen at each sync to minimise a quadratic model of the loss, one step size for all parameters:
    ///
    /// ```text
    /// d = slow - fast,  step size = 1 + (d . g) / (d . A d),  kept in [lowest, 1]
    /// ```
    ///
    /// The diagonal `A` holds the bias-corrected second moments of the inner optimizer (proposition 1 of the paper with its practical
    /// approximation). `g` is the gradient of the cycle's last inner step, taken one step before `fast`, which saves an extra backward
    /// pass. Waits for the device once per sync.
    ///
    /// `g` is the gradient that was passed to the step, before clipping and without L2 decay, but `A` averages the squares of gradients after
    /// both. With either, the two belong to different losses and the step size is not the minimiser; decoupled decay enters neither.
    Adaptive {
        /// The smallest step size, in `[0, 1]`.
        lowest: f64,
    },
}

/// What happens to the inner optimizer's state (momentum, moments, their counters) at a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum StatePolicy {
    /// Keep it, as in the paper's main experiments.
    #[default]
    Keep,
    /// Reset it, step counters included.
    Reset,
    /// Pull it back like the weights: towards its value after the last sync, by the slow step size.
    Interpolate,
}

/// What happens to the buffers passed to [`Lookahead::with_buffers`](crate::Lookahead::with_buffers).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum BufferPolicy {
    /// Leave them unchanged: evaluation uses the statistics of the fast weights.
    #[default]
    Keep,
    /// Average them and write them back like the weights (as airbench does), and swap them in for evaluation. Their slow copies have the
    /// buffers' dtype, in bf16 and f16 too: keep statistics in f32.
    Average,
}

impl Default for Period {
    fn default() -> Self {
        Self::Fixed(5)
    }
}

impl Default for StepSize {
    fn default() -> Self {
        Self::Fixed(0.5)
    }
}

impl From<usize> for Period {
    fn from(period: usize) -> Self {
        Self::Fixed(period)
    }
}

impl From<f64> for StepSize {
    fn from(size: f64) -> Self {
        Self::Fixed(size)
    }
}

impl PartialEq for Period {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fixed(a), Self::Fixed(b)) => a == b,
            (Self::Scheduled(a), Self::Scheduled(b)) => same(a, b),
            _ => false,
        }
    }
}

impl PartialEq for StepSize {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fixed(a), Self::Fixed(b)) => a == b,
            (Self::Scheduled(a), Self::Scheduled(b)) => same(a, b),
            (Self::Adaptive { lowest: a }, Self::Adaptive { lowest: b }) => a == b,
            _ => false,
        }
    }
}

/// Compares schedules by their `Debug` output, since they have no equality.
fn same(a: &Arc<dyn Schedule>, b: &Arc<dyn Schedule>) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

impl StatePolicy {
    /// All policies.
    pub const ALL: [Self; 3] = [Self::Keep, Self::Reset, Self::Interpolate];
}

/// `keep`, `reset` and `interpolate`, as in files.
impl std::fmt::Display for StatePolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Keep => "keep",
            Self::Reset => "reset",
            Self::Interpolate => "interpolate",
        })
    }
}

impl Period {
    /// The period of the cycle that starts after `steps` inner steps.
    pub(super) fn at(&self, steps: usize) -> Result<usize> {
        match self {
            Self::Fixed(period) => Ok(*period),
            Self::Scheduled(schedule) => {
                let value = schedule.at(steps).round();
                in_range((1.0..1e15).contains(&value), "sync_period", value, "[1, 1e15)")?;
                Ok(value as usize)
            }
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Fixed(period) => period.to_string(),
            Self::Scheduled(schedule) => format!("scheduled: {schedule:?}"),
        }
    }
}

impl StepSize {
    /// The step size of the sync after `steps` inner steps, if it does not depend on the weights.
    pub(super) fn known_at(&self, steps: usize) -> Result<Option<f64>> {
        match self {
            Self::Fixed(size) => Ok(Some(*size)),
            Self::Scheduled(schedule) => {
                let size = schedule.at(steps);
                at_most_one("slow_step_size", size)?;
                Ok(Some(size))
            }
            Self::Adaptive { .. } => Ok(None),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Fixed(size) => size.to_string(),
            Self::Scheduled(schedule) => format!("scheduled: {schedule:?}"),
            Self::Adaptive { lowest } => format!("adaptive from {lowest}"),
        }
    }
}

impl LookaheadConfig {
    /// Checks the constant fields, as [`Lookahead::new`](crate::Lookahead::new) does. A schedule's values are checked when they are used.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a period of 0 or a step size outside `[0, 1]`, NaN included.
    pub fn validate(&self) -> Result<()> {
        if let Period::Fixed(0) = self.sync_period {
            return Err(Error::OutOfRange { what: "sync_period", value: 0.0, range: "[1, inf)" });
        }
        match self.slow_step_size {
            StepSize::Fixed(size) => at_most_one("slow_step_size", size),
            StepSize::Adaptive { lowest } => at_most_one("lowest", lowest),
            StepSize::Scheduled(_) => Ok(()),
        }
    }

    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("sync_period", self.sync_period.describe()),
            ("slow_step_size", self.slow_step_size.describe()),
            ("state_policy", format!("{:?}", self.state_policy)),
            ("buffer_policy", format!("{:?}", self.buffer_policy)),
        ];
        if !self.pulls_back {
            settings.push(("pulls_back", "false".to_owned()));
        }
        settings
    }
}
