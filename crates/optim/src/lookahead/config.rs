//! Hyper-parameters of Lookahead.

use crate::error::in_range;
use crate::schedule::Schedule;
use crate::{Error, Result};
use std::sync::Arc;

/// Hyper-parameters of [`Lookahead`](crate::Lookahead).
///
/// | field | default | meaning | range |
/// | --- | --- | --- | --- |
/// | `sync_period` | 5 | inner steps from one sync to the next (the paper's k) | at least 1 |
/// | `slow_step_size` | 0.5 | how far the slow weights go towards the fast ones at a sync (alpha) | `[0, 1]` |
/// | `state_policy` | `Keep` | what becomes of the inner state at a sync | [`StatePolicy`] |
/// | `buffer_policy` | `Keep` | what becomes of BatchNorm statistics | [`BufferPolicy`] |
/// | `pulls_back` | true | whether the fast weights return to the slow ones at a sync | |
///
/// The defaults are a corner of the grid the paper recommends, k in {5, 10} and alpha in {0.5, 0.8}. Period 1 with step size 1 is
/// the inner optimizer alone, bit for bit.
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
    /// How far the slow weights go at a sync.
    #[doc(alias = "alpha")]
    #[doc(alias = "la_alpha")]
    pub slow_step_size: StepSize,
    /// What becomes of the inner state.
    pub state_policy: StatePolicy,
    /// What becomes of BatchNorm statistics.
    pub buffer_policy: BufferPolicy,
    /// Whether the fast weights return to the slow ones at a sync. Without it the slow weights are an average of the fast ones, for evaluation
    /// alone, and the inner state is left alone too: the control that tells the average from the pull.
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

/// What goes without saying in a file.
#[cfg(feature = "serde")]
fn is_true(value: &bool) -> bool {
    *value
}

/// Inner steps from one sync to the next.
///
/// Two schedules are taken for equal where their `Debug` texts are, which is also how saved state tells them apart.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Period {
    /// Always the same, at least 1.
    Fixed(usize),
    /// Asked at the start of each cycle, with the number of inner steps taken so far; rounded, and at least 1.
    Scheduled(Arc<dyn Schedule>),
}

/// How far the slow weights go towards the fast ones.
///
/// Two schedules are taken for equal where their `Debug` texts are, which is also how saved state tells them apart.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum StepSize {
    /// Always the same, in `[0, 1]`.
    Fixed(f64),
    /// Asked at each sync, with the number of inner steps taken so far; a value outside `[0, 1]` is an error then.
    Scheduled(Arc<dyn Schedule>),
    /// Worked out at each sync to minimise a quadratic model of the loss, per parameter tensors together:
    ///
    /// ```text
    /// d = slow - fast,  step size = 1 + (d . g) / (d . A d),  kept in [lowest, 1]
    /// ```
    ///
    /// with the bias-corrected second moments of the inner optimizer for the diagonal `A` (proposition 1 of the paper with its
    /// practical approximation). `g` is the gradient of the cycle's last inner step, taken one step before `fast`, so that no
    /// extra backward pass is needed. Waits for the device once a sync.
    Adaptive {
        /// The smallest step size, in `[0, 1]`.
        lowest: f64,
    },
}

/// What becomes of the inner optimizer's state (momentum, moments, their counters) at a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum StatePolicy {
    /// It stays: the paper's main experiments.
    #[default]
    Keep,
    /// It starts anew, step counters included.
    Reset,
    /// It is pulled back as the weights are: towards its value after the last sync, by the slow step size.
    Interpolate,
}

/// What becomes of the buffers given to [`Lookahead::with_buffers`](crate::Lookahead::with_buffers).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum BufferPolicy {
    /// They are left alone: statistics gathered at the fast weights serve the slow ones.
    #[default]
    Keep,
    /// They are averaged and written back as the weights are (airbench does so), and swapped with them for evaluation.
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

/// A schedule has no equality of its own: its text stands for it.
fn same(a: &Arc<dyn Schedule>, b: &Arc<dyn Schedule>) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

impl StatePolicy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Keep, Self::Reset, Self::Interpolate];
}

/// `keep`, `reset` and `interpolate`, as files have them.
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
    /// The size of the sync after `steps` inner steps, where it does not depend on the weights.
    pub(super) fn known_at(&self, steps: usize) -> Result<Option<f64>> {
        match self {
            Self::Fixed(size) => Ok(Some(*size)),
            Self::Scheduled(schedule) => {
                let size = schedule.at(steps);
                check_step_size(size)?;
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
    /// Checks what is fixed, as [`Lookahead::new`](crate::Lookahead::new) does. The values of schedules are checked when they are asked for.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a period of 0 and a step size outside `[0, 1]`, NaN included.
    pub fn validate(&self) -> Result<()> {
        if let Period::Fixed(0) = self.sync_period {
            return Err(Error::OutOfRange { what: "sync_period", value: 0.0, range: "[1, inf)" });
        }
        match self.slow_step_size {
            StepSize::Fixed(size) => check_step_size(size),
            StepSize::Adaptive { lowest } => in_range((0.0..=1.0).contains(&lowest), "lowest", lowest, "[0, 1]"),
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

fn check_step_size(size: f64) -> Result<()> {
    in_range((0.0..=1.0).contains(&size), "slow_step_size", size, "[0, 1]")
}
