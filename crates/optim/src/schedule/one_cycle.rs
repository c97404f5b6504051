//! One cycle, up to a peak and down again, in three variants.

use super::{Schedule, half_cosine};
use crate::Result;
use crate::error::{at_most_one, in_range, not_negative};

/// One cycle of a learning rate (up, then down to almost zero) or of a momentum (down, then up).
///
/// Over `total` steps, numbered from 0, with `cos(s, e, p) = e + (s - e) / 2 * (1 + cos(pi p))`:
///
/// | | [`torch`](Self::torch) | [`fastai_v1`](Self::fastai_v1) | [`fastai_v2`](Self::fastai_v2) |
/// | --- | --- | --- | --- |
/// | learning rate | peak/25, peak, peak/250000 | peak/25, peak, peak/250000 | peak/25, peak, peak/100000 |
/// | momentum | 0.95, 0.85, 0.95 | the same | the same |
/// | peak at step | 0.3 total - 1 | floor(0.3 total) | 0.25 total |
/// | last step | the last value exactly | one step short of it | one step short of it |
///
/// Positions may fall between steps. [`three_phase`](Self::three_phase) is torch's option: back to the first value in as many steps as up,
/// then on to the last.
///
/// ```
/// use lookahead_optim::schedule::{OneCycle, Schedule};
///
/// let rate = OneCycle::torch(0.1, 100)?;
/// assert!((rate.at(0) - 0.004).abs() < 1e-12);
/// assert!((rate.at(29) - 0.1).abs() < 1e-12);
/// assert!((rate.at(99) - 4e-7).abs() < 1e-12);
/// assert_eq!(rate.at(5000), rate.at(99));
///
/// let momentum = OneCycle::torch_momentum(100)?;
/// assert!((momentum.at(29) - 0.85).abs() < 1e-12);
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
///
/// # References
/// Smith, Topin: *Super-Convergence*, 2018, [arXiv:1708.07120](https://arxiv.org/abs/1708.07120). `torch.optim.lr_scheduler.OneCycleLR`;
/// fastai 1.0 `callbacks/one_cycle.py`; fastai 2 `callback/schedule.py`.
#[derive(Debug, Clone, PartialEq)]
#[doc(alias = "OneCycleLR")]
pub struct OneCycle {
    total: usize,
    anneal: Anneal,
    phases: Vec<Phase>,
}

/// The interpolation between the values of a [`OneCycle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Anneal {
    /// Half a cosine.
    #[default]
    Cosine,
    /// A straight line.
    Linear,
}

/// From `start` to `end` between two steps, which need not be integers; it covers the steps up to and including `covers`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Phase {
    from: f64,
    to: f64,
    covers: f64,
    start: f64,
    end: f64,
}

/// fastai v2's final divisor, of the peak.
const LAST_DIVISOR_V2: f64 = 1e5;
const HIGH_MOMENTUM: f64 = 0.95;
const LOW_MOMENTUM: f64 = 0.85;

impl OneCycle {
    /// torch's and fastai's `div_factor`: the peak over the first value.
    pub const DIVISOR: f64 = 25.0;
    /// torch's and fastai v1's `final_div_factor`: the first value over the last.
    pub const LAST_DIVISOR: f64 = 1e4;

    /// PyTorch's `OneCycleLR(max_lr=peak, total_steps=total)`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) if the peak is negative or not a number, or there are no steps.
    pub fn torch(peak: f64, total: usize) -> Result<Self> {
        not_negative("peak", peak)?;
        Self::torch_values(peak / Self::DIVISOR, peak, peak / Self::DIVISOR / Self::LAST_DIVISOR, 0.3, total)
    }

    /// The momentum of `OneCycleLR`: 0.95, 0.85, 0.95.
    ///
    /// # Errors
    /// As [`torch`](Self::torch).
    pub fn torch_momentum(total: usize) -> Result<Self> {
        Self::torch_values(HIGH_MOMENTUM, LOW_MOMENTUM, HIGH_MOMENTUM, 0.3, total)
    }

    /// torch's shape with custom values, the middle one after `fraction` of the steps (in `[0, 1]`, torch's `pct_start`; at 1 the cycle ends
    /// there).
    ///
    /// # Errors
    /// As [`torch`](Self::torch).
    pub fn torch_values(first: f64, middle: f64, last: f64, fraction: f64, total: usize) -> Result<Self> {
        check(first, middle, last, fraction, total)?;
        let (turn, end) = (fraction * total as f64 - 1.0, total as f64 - 1.0);
        Self::of(total, &[(0.0, turn, first, middle), (turn, end, middle, last)])
    }

    /// torch's `three_phase=True`: up, down to `first` in as many steps, then to `last`; a momentum stays at `first` there.
    ///
    /// # Errors
    /// As [`torch`](Self::torch).
    pub fn three_phase(first: f64, middle: f64, last: f64, fraction: f64, total: usize) -> Result<Self> {
        check(first, middle, last, fraction, total)?;
        in_range(fraction <= 0.5, "fraction", fraction, "[0, 0.5]")?;
        let n = total as f64;
        let (up, down, end) = (fraction * n - 1.0, 2.0 * fraction * n - 2.0, n - 1.0);
        Self::of(total, &[(0.0, up, first, middle), (up, down, middle, first), (down, end, first, last)])
    }

    /// fastai v1's `fit_one_cycle(max_lr=peak)`.
    ///
    /// # Errors
    /// As [`torch`](Self::torch).
    pub fn fastai_v1(peak: f64, total: usize) -> Result<Self> {
        not_negative("peak", peak)?;
        Self::fastai_v1_values(peak / Self::DIVISOR, peak, peak / (Self::DIVISOR * Self::LAST_DIVISOR), 0.3, total)
    }

    /// The momentum of fastai v1: 0.95, 0.85, 0.95.
    ///
    /// # Errors
    /// As [`torch`](Self::torch).
    pub fn fastai_v1_momentum(total: usize) -> Result<Self> {
        Self::fastai_v1_values(HIGH_MOMENTUM, LOW_MOMENTUM, HIGH_MOMENTUM, 0.3, total)
    }

    /// fastai v1's shape with custom values, the middle one after `fraction` of the steps (in `[0, 1]`).
    ///
    /// # Errors
    /// As [`torch`](Self::torch).
    pub fn fastai_v1_values(first: f64, middle: f64, last: f64, fraction: f64, total: usize) -> Result<Self> {
        check(first, middle, last, fraction, total)?;
        let (turn, end) = ((fraction * total as f64).floor(), total as f64);
        Self::of(total, &[(0.0, turn, first, middle), (turn, end, middle, last)])
    }

    /// fastai v2's `fit_one_cycle(lr_max=peak)`.
    ///
    /// # Errors
    /// As [`torch`](Self::torch).
    pub fn fastai_v2(peak: f64, total: usize) -> Result<Self> {
        not_negative("peak", peak)?;
        Self::fastai_v2_values(peak / Self::DIVISOR, peak, peak / LAST_DIVISOR_V2, 0.25, total)
    }

    /// The momentum of fastai v2: 0.95, 0.85, 0.95.
    ///
    /// # Errors
    /// As [`torch`](Self::torch).
    pub fn fastai_v2_momentum(total: usize) -> Result<Self> {
        Self::fastai_v2_values(HIGH_MOMENTUM, LOW_MOMENTUM, HIGH_MOMENTUM, 0.25, total)
    }

    /// fastai v2's shape with custom values, the middle one after `fraction` of the steps (in `[0, 1]`).
    ///
    /// # Errors
    /// As [`torch`](Self::torch).
    pub fn fastai_v2_values(first: f64, middle: f64, last: f64, fraction: f64, total: usize) -> Result<Self> {
        check(first, middle, last, fraction, total)?;
        let (turn, end) = (fraction * total as f64, total as f64);
        let mut cycle = Self::of(total, &[(0.0, turn, first, middle), (turn, end, middle, last)])?;
        // fastai v2 assigns the step at the turn to the second phase, which starts with the same value.
        cycle.phases[0].covers = if turn >= end { end } else { turn.ceil() - 1.0 };
        Ok(cycle)
    }

    /// The same cycle with another interpolation.
    #[must_use]
    pub fn with_anneal(mut self, anneal: Anneal) -> Self {
        self.anneal = anneal;
        self
    }

    fn of(total: usize, phases: &[(f64, f64, f64, f64)]) -> Result<Self> {
        let phases = phases.iter().map(|&(from, to, start, end)| Phase { from, to, covers: to, start, end }).collect();
        Ok(Self { total, anneal: Anneal::Cosine, phases })
    }
}

impl Schedule for OneCycle {
    fn at(&self, step: usize) -> f64 {
        let step = step.min(self.total - 1) as f64;
        let last = self.phases.len() - 1;
        let index = self.phases.iter().position(|phase| step <= phase.covers).unwrap_or(last);
        let Phase { from, to, start, end, .. } = self.phases[index];
        // A phase of length zero ends as soon as it begins.
        let fraction = if to > from { (step - from) / (to - from) } else { 1.0 };
        match self.anneal {
            Anneal::Cosine => half_cosine(start, end, fraction),
            Anneal::Linear => start + (end - start) * fraction,
        }
    }
}

fn check(first: f64, middle: f64, last: f64, fraction: f64, total: usize) -> Result<()> {
    for (what, value) in [("first", first), ("middle", middle), ("last", last)] {
        not_negative(what, value)?;
    }
    at_most_one("fraction", fraction)?;
    in_range(total > 0, "total", total as f64, "[1, inf)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_out_of_range_is_named_as_it_was_given() {
        for build in [OneCycle::torch, OneCycle::fastai_v1, OneCycle::fastai_v2] {
            let error = build(-0.1, 100).unwrap_err().to_string();
            assert_eq!(error, "peak should be in [0, inf), but is -0.1");
        }
    }
}
