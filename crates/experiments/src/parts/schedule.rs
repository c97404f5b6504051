//! Learning rate, momentum and slow step size as functions of the step, built from a configuration.

use std::sync::Arc;

use lookahead_optim::Optimizer;
use lookahead_optim::lookahead::StepSize;
use lookahead_optim::schedule::{Airbench, Constant, OneCycle, Ramp, Schedule, Sequence, StepDecay};

use crate::config::{MomentumCycle, OneCycleConfig, ScheduleConfig};
use crate::error::Result;

/// The learning rate and, if the schedule changes it, the momentum. Step t uses the values at t, counted from 0.
#[derive(Debug)]
pub struct Schedules {
    /// Learning rate.
    pub learning_rate: Box<dyn Schedule>,
    /// Momentum or beta1; `None` keeps the optimizer's.
    pub momentum: Option<Box<dyn Schedule>>,
}

impl Schedules {
    /// Schedules over `total` steps, `steps_per_epoch` per epoch, with the peak or initial learning rate `peak`.
    ///
    /// # Errors
    /// Errors of the schedules' constructors, such as too few steps for a cycle.
    pub fn new(config: &ScheduleConfig, peak: f64, total: usize, steps_per_epoch: usize) -> Result<Self> {
        let first = peak / OneCycle::DIVISOR;
        let last = first / OneCycle::LAST_DIVISOR;
        let learning_rate: Box<dyn Schedule> = match config {
            ScheduleConfig::Constant => Box::new(Constant(peak)),
            ScheduleConfig::OneCycle(cycle) => {
                Box::new(OneCycle::torch_values(first, peak, last, cycle.warmup, total)?)
            }
            ScheduleConfig::OneCycleFastaiV1(cycle) => {
                Box::new(OneCycle::fastai_v1_values(first, peak, last, cycle.warmup, total)?)
            }
            ScheduleConfig::Steps(steps) => Box::new(StepDecay {
                initial: peak,
                factor: steps.factor,
                milestones: steps.milestones.iter().map(|epoch| epoch * steps_per_epoch).collect(),
            }),
            ScheduleConfig::Triangle(triangle) => {
                let rise = (triangle.warmup * total as f64) as usize;
                let up = Ramp { initial: triangle.first * peak, last: peak, steps: rise };
                let down = Ramp { initial: peak, last: triangle.last * peak, steps: total - rise };
                Box::new(Sequence::new(Box::new(up), rise).then(Box::new(down), total - rise))
            }
        };
        let momentum: Option<Box<dyn Schedule>> = match config {
            ScheduleConfig::OneCycle(OneCycleConfig { warmup, momentum: Some(MomentumCycle { high, low }) }) => {
                Some(Box::new(OneCycle::torch_values(*high, *low, *high, *warmup, total)?))
            }
            ScheduleConfig::OneCycleFastaiV1(OneCycleConfig {
                warmup,
                momentum: Some(MomentumCycle { high, low }),
            }) => Some(Box::new(OneCycle::fastai_v1_values(*high, *low, *high, *warmup, total)?)),
            _ => None,
        };
        Ok(Self { learning_rate, momentum })
    }

    /// Sets the values of `step` on `optimizer`. The momentum is skipped if the optimizer has none.
    ///
    /// # Errors
    /// A momentum outside [0, 1).
    pub fn set(&self, optimizer: &mut dyn Optimizer, step: usize) -> Result<()> {
        optimizer.set_learning_rate(self.learning_rate.at(step));
        if let Some(momentum) = &self.momentum
            && optimizer.momentum().is_some()
        {
            optimizer.set_momentum(momentum.at(step))?;
        }
        Ok(())
    }
}

/// A slow step size that falls like [`Airbench`]'s, from a given initial value.
#[derive(Debug)]
pub(super) struct Falling {
    first: f64,
    shape: Airbench,
}

impl Falling {
    /// `size` times airbench's schedule over a run of `steps` steps. A size that is not fixed is unchanged.
    pub(super) fn step_size(size: &StepSize, steps: usize) -> StepSize {
        match *size {
            StepSize::Fixed(first) => StepSize::Scheduled(Arc::new(Self { first, shape: Airbench { steps } })),
            _ => size.clone(),
        }
    }
}

impl Schedule for Falling {
    fn at(&self, step: usize) -> f64 {
        self.first * self.shape.at(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{StepsConfig, TriangleConfig};

    fn cycle(momentum: Option<MomentumCycle>) -> ScheduleConfig {
        ScheduleConfig::OneCycle(OneCycleConfig { warmup: 0.3, momentum })
    }

    /// torch.optim.lr_scheduler.OneCycleLR(opt, 0.4, total_steps=10): starts at .016, peaks at step 2, ends at 1.6e-6.
    #[test]
    fn one_cycle_is_torchs() {
        let s = Schedules::new(&cycle(Some(MomentumCycle { high: 0.95, low: 0.85 })), 0.4, 10, 5).unwrap();
        let rate = |step| s.learning_rate.at(step);
        assert!((rate(0) - 0.016).abs() < 1e-12 && (rate(2) - 0.4).abs() < 1e-12 && (rate(9) - 1.6e-6).abs() < 1e-12);
        let momentum = s.momentum.unwrap();
        assert!((momentum.at(0) - 0.95).abs() < 1e-12 && (momentum.at(2) - 0.85).abs() < 1e-12);
    }

    #[test]
    fn milestones_count_epochs() {
        let steps = ScheduleConfig::Steps(StepsConfig { milestones: vec![1, 2], factor: 0.5 });
        let s = Schedules::new(&steps, 1.0, 12, 4).unwrap();
        let rates: Vec<f64> = [3, 4, 7, 8].iter().map(|&step| s.learning_rate.at(step)).collect();
        assert_eq!(rates, [1.0, 0.5, 0.5, 0.25]);
        assert!(s.momentum.is_none());
    }

    /// airbench94's 476 steps: 0.2 at 0, 1 at 109, then a straight line that would be 0.07 at 476.
    #[test]
    fn a_triangle_goes_up_and_down() {
        let triangle = TriangleConfig { first: 0.2, warmup: 0.23, last: 0.07 };
        let s = Schedules::new(&ScheduleConfig::Triangle(triangle), 1.5, 476, 48).unwrap();
        let factor = |t: f64| if t < 109.0 { 0.2 + 0.8 * t / 109.0 } else { 1.0 - 0.93 * (t - 109.0) / 367.0 };
        for step in [0, 1, 108, 109, 110, 300, 475] {
            assert!((s.learning_rate.at(step) - 1.5 * factor(step as f64)).abs() < 1e-14, "{step}");
        }
    }

    #[test]
    fn a_falling_step_size_starts_where_it_is_told() {
        let StepSize::Scheduled(falling) = Falling::step_size(&StepSize::Fixed(0.8), 10) else { panic!() };
        assert_eq!(falling.at(0), 0.8);
        assert!((falling.at(10) - 0.8 * (1.0 - 0.95f64.powi(5))).abs() < 1e-15);
    }

    #[test]
    fn momentum_stays_where_it_is_not_cycled() {
        assert!(Schedules::new(&cycle(None), 1.0, 12, 4).unwrap().momentum.is_none());
    }
}
