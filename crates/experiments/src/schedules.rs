//! From schedule settings to learning rate and momentum as functions of the step.

use lookahead_optim::{Constant, OneCycle, Schedule, StepDecay};

use crate::config::{ScheduleKind, ScheduleSettings};
use crate::error::Result;

/// Learning rate and, where the schedule moves it, momentum; step t uses the values at t, from 0.
#[derive(Debug)]
pub struct Schedules {
    /// Learning rate.
    pub learning_rate: Box<dyn Schedule>,
    /// Momentum or beta1; `None` leaves the optimizer's own.
    pub momentum: Option<Box<dyn Schedule>>,
}

/// OneCycle starts at the peak divided by this, in PyTorch and in fastai.
const START: f64 = 25.0;
/// It ends at its start divided by this.
const END: f64 = 1e4;

impl Schedules {
    /// Over `epochs` times `steps_per_epoch` steps, with peak or start `peak`.
    ///
    /// # Errors
    /// Those of the schedules' constructors, such as too few steps for a cycle.
    pub fn new(settings: &ScheduleSettings, peak: f64, epochs: usize, steps_per_epoch: usize) -> Result<Self> {
        let total = epochs * steps_per_epoch;
        let (rise, low, high) = (settings.warmup, settings.momentum_low, settings.momentum_high);
        let learning_rate: Box<dyn Schedule> = match settings.kind {
            ScheduleKind::Constant => Box::new(Constant(peak)),
            ScheduleKind::OneCycle => {
                Box::new(OneCycle::torch_values(peak / START, peak, peak / START / END, rise, total)?)
            }
            ScheduleKind::OneCycleFastaiV1 => {
                Box::new(OneCycle::fastai_v1_values(peak / START, peak, peak / START / END, rise, total)?)
            }
            ScheduleKind::Steps => Box::new(StepDecay {
                initial: peak,
                factor: settings.factor,
                milestones: settings.milestones.iter().map(|epoch| epoch * steps_per_epoch).collect(),
            }),
        };
        let momentum: Option<Box<dyn Schedule>> = match settings.kind {
            ScheduleKind::OneCycle if settings.cycle_momentum => {
                Some(Box::new(OneCycle::torch_values(high, low, high, rise, total)?))
            }
            ScheduleKind::OneCycleFastaiV1 if settings.cycle_momentum => {
                Some(Box::new(OneCycle::fastai_v1_values(high, low, high, rise, total)?))
            }
            _ => None,
        };
        Ok(Self { learning_rate, momentum })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::names::{Experiment, Protocol};

    fn settings() -> ScheduleSettings {
        Config::for_protocol(Experiment::Cifar10, Protocol::Quick).schedule
    }

    /// torch.optim.lr_scheduler.OneCycleLR(opt, 0.4, total_steps=10): starts at .016, peaks at step 2, ends at 1.6e-6.
    #[test]
    fn one_cycle_is_torchs() {
        let s = Schedules::new(&settings(), 0.4, 2, 5).unwrap();
        let rate = |step| s.learning_rate.at(step);
        assert!((rate(0) - 0.016).abs() < 1e-12 && (rate(2) - 0.4).abs() < 1e-12 && (rate(9) - 1.6e-6).abs() < 1e-12);
        let momentum = s.momentum.unwrap();
        assert!((momentum.at(0) - 0.95).abs() < 1e-12 && (momentum.at(2) - 0.85).abs() < 1e-12);
    }

    #[test]
    fn milestones_count_epochs() {
        let steps = ScheduleSettings { kind: ScheduleKind::Steps, milestones: vec![1, 2], factor: 0.5, ..settings() };
        let s = Schedules::new(&steps, 1.0, 3, 4).unwrap();
        let rates: Vec<f64> = [3, 4, 7, 8].iter().map(|&step| s.learning_rate.at(step)).collect();
        assert_eq!(rates, [1.0, 0.5, 0.5, 0.25]);
        assert!(s.momentum.is_none());
    }

    #[test]
    fn momentum_stays_where_it_is_not_cycled() {
        let still = ScheduleSettings { cycle_momentum: false, ..settings() };
        assert!(Schedules::new(&still, 1.0, 3, 4).unwrap().momentum.is_none());
    }
}
