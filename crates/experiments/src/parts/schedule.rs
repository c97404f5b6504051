//! From a configuration to learning rate and momentum as functions of the step.

use lookahead_optim::Optimizer;
use lookahead_optim::schedule::{Constant, OneCycle, Schedule, StepDecay};

use crate::config::{MomentumCycle, OneCycleConfig, ScheduleConfig};
use crate::error::Result;

/// Learning rate and, where the schedule moves it, momentum; step t uses the values at t, from 0.
#[derive(Debug)]
pub struct Schedules {
    /// Learning rate.
    pub learning_rate: Box<dyn Schedule>,
    /// Momentum or beta1; `None` leaves the optimizer's own.
    pub momentum: Option<Box<dyn Schedule>>,
}

impl Schedules {
    /// Over `epochs` times `steps_per_epoch` steps, with peak or start `peak`.
    ///
    /// # Errors
    /// Those of the schedules' constructors, such as too few steps for a cycle.
    pub fn new(config: &ScheduleConfig, peak: f64, epochs: usize, steps_per_epoch: usize) -> Result<Self> {
        let total = epochs * steps_per_epoch;
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

    /// Gives `optimizer` the values of `step`. An optimizer without momentum has none to be given.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StepsConfig;

    fn cycle(momentum: Option<MomentumCycle>) -> ScheduleConfig {
        ScheduleConfig::OneCycle(OneCycleConfig { warmup: 0.3, momentum })
    }

    /// torch.optim.lr_scheduler.OneCycleLR(opt, 0.4, total_steps=10): starts at .016, peaks at step 2, ends at 1.6e-6.
    #[test]
    fn one_cycle_is_torchs() {
        let s = Schedules::new(&cycle(Some(MomentumCycle { high: 0.95, low: 0.85 })), 0.4, 2, 5).unwrap();
        let rate = |step| s.learning_rate.at(step);
        assert!((rate(0) - 0.016).abs() < 1e-12 && (rate(2) - 0.4).abs() < 1e-12 && (rate(9) - 1.6e-6).abs() < 1e-12);
        let momentum = s.momentum.unwrap();
        assert!((momentum.at(0) - 0.95).abs() < 1e-12 && (momentum.at(2) - 0.85).abs() < 1e-12);
    }

    #[test]
    fn milestones_count_epochs() {
        let steps = ScheduleConfig::Steps(StepsConfig { milestones: vec![1, 2], factor: 0.5 });
        let s = Schedules::new(&steps, 1.0, 3, 4).unwrap();
        let rates: Vec<f64> = [3, 4, 7, 8].iter().map(|&step| s.learning_rate.at(step)).collect();
        assert_eq!(rates, [1.0, 0.5, 0.5, 0.25]);
        assert!(s.momentum.is_none());
    }

    #[test]
    fn momentum_stays_where_it_is_not_cycled() {
        assert!(Schedules::new(&cycle(None), 1.0, 3, 4).unwrap().momentum.is_none());
    }
}
