//! Common schedules with a warm-up.

use super::{Cosine, Ramp, Schedule};

/// A straight line from `initial` to `peak` over `warm_up` steps, then half a cosine to `last` at step `steps`, then constant.
///
/// PyTorch's `SequentialLR` of `LinearLR` and `CosineAnnealingLR`; the scheduler most transformers are trained with.
///
/// ```
/// use lookahead_optim::schedule::{Schedule, WarmUpCosine};
/// let rate = WarmUpCosine { initial: 0.0, peak: 0.1, last: 0.0, warm_up: 100, steps: 1100 };
/// assert_eq!((rate.at(50), rate.at(100)), (0.05, 0.1));
/// assert!((rate.at(600) - 0.05).abs() < 1e-12);
/// assert_eq!((rate.at(1100), rate.at(5000)), (0.0, 0.0));
/// ```
#[doc(alias = "get_cosine_schedule_with_warmup")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WarmUpCosine {
    /// The value at step 0.
    pub initial: f64,
    /// The value at the end of the warm-up.
    pub peak: f64,
    /// The value at the end.
    pub last: f64,
    /// Steps of the warm-up; 0 starts at the peak.
    pub warm_up: usize,
    /// The step at which it ends, warm-up included.
    pub steps: usize,
}

impl Schedule for WarmUpCosine {
    fn at(&self, step: usize) -> f64 {
        let step = step.min(self.steps);
        if step < self.warm_up {
            return Ramp { initial: self.initial, last: self.peak, steps: self.warm_up }.at(step);
        }
        let steps = self.steps.saturating_sub(self.warm_up);
        Cosine { initial: self.peak, last: self.last, steps }.at(step - self.warm_up)
    }
}

/// A straight line from `initial` to `peak` over `warm_up` steps, constant, then down to `last` over the last `decay` of `steps` steps.
///
/// A run can be extended from any point before the decay.
///
/// ```
/// use lookahead_optim::schedule::{Decay, Schedule, WarmUpStableDecay};
/// let rate = WarmUpStableDecay {
///     initial: 0.0, peak: 0.1, last: 0.0, warm_up: 10, decay: 20, steps: 100, shape: Decay::Linear,
/// };
/// assert_eq!([0, 5, 10, 80, 90, 100, 500].map(|step| rate.at(step)), [0.0, 0.05, 0.1, 0.1, 0.05, 0.0, 0.0]);
/// ```
///
/// # References
/// Hu et al.: *MiniCPM*, 2024, [arXiv:2404.06395](https://arxiv.org/abs/2404.06395). Hägele et al.: *Scaling Laws and Compute-Optimal
/// Training Beyond Fixed Training Durations*, 2024, [arXiv:2405.18392](https://arxiv.org/abs/2405.18392).
#[doc(alias = "WSD")]
#[doc(alias = "trapezoidal")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WarmUpStableDecay {
    /// The value at step 0.
    pub initial: f64,
    /// The value between warm-up and decay.
    pub peak: f64,
    /// The value at the end.
    pub last: f64,
    /// Steps of the warm-up; 0 starts at the peak.
    pub warm_up: usize,
    /// Steps of the decay, at the end of the run; steps that would overlap the warm-up are dropped.
    pub decay: usize,
    /// The step at which it ends, warm-up and decay included.
    pub steps: usize,
    /// The shape of the decay.
    pub shape: Decay,
}

/// The shape of [`WarmUpStableDecay`]'s decay: the remaining part of the way to the last value, at the fraction p of the decay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Decay {
    /// `1 - p`.
    #[default]
    Linear,
    /// Half a cosine.
    Cosine,
    /// `1 - sqrt(p)`: fast at first.
    OneMinusRoot,
}

impl Schedule for WarmUpStableDecay {
    fn at(&self, step: usize) -> f64 {
        if step >= self.steps {
            return self.last;
        }
        if step < self.warm_up {
            return Ramp { initial: self.initial, last: self.peak, steps: self.warm_up }.at(step);
        }
        let begin = self.steps.saturating_sub(self.decay).max(self.warm_up);
        if step <= begin {
            return self.peak;
        }
        let fraction = (step - begin) as f64 / (self.steps - begin) as f64;
        let left = match self.shape {
            Decay::Linear => 1.0 - fraction,
            Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * fraction).cos()),
            Decay::OneMinusRoot => 1.0 - fraction.sqrt(),
        };
        self.last + (self.peak - self.last) * left
    }
}

/// A straight line from `initial` to `peak` over `warm_up` steps, then `peak * sqrt(warm_up / step)` up to step `steps`, then constant.
///
/// The schedule of the first transformer, whose peak was `width^-0.5 * warm_up^-0.5`. Without warm-up it is
/// `peak / sqrt(step)` from step 1 on.
///
/// ```
/// use lookahead_optim::schedule::{InverseSquareRoot, Schedule};
/// let rate = InverseSquareRoot { initial: 0.0, peak: 0.1, warm_up: 100, steps: 1_600 };
/// assert_eq!([50, 100, 400, 1_600, 90_000].map(|step| rate.at(step)), [0.05, 0.1, 0.05, 0.025, 0.025]);
/// ```
///
/// # References
/// Vaswani et al.: *Attention Is All You Need*, 2017, [arXiv:1706.03762](https://arxiv.org/abs/1706.03762).
#[doc(alias = "Noam")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InverseSquareRoot {
    /// The value at step 0.
    pub initial: f64,
    /// The value at the end of the warm-up.
    pub peak: f64,
    /// Steps of the warm-up.
    pub warm_up: usize,
    /// The step from which the value is constant; `usize::MAX` for never.
    pub steps: usize,
}

impl Schedule for InverseSquareRoot {
    fn at(&self, step: usize) -> f64 {
        let step = step.min(self.steps);
        if step < self.warm_up {
            return Ramp { initial: self.initial, last: self.peak, steps: self.warm_up }.at(step);
        }
        self.peak * (self.warm_up.max(1) as f64 / step.max(1) as f64).sqrt()
    }
}
