//! The original project's reset of AdamW's state: moments set to zero, step counter kept.

use lookahead_optim::parameter::Parameter;
use lookahead_optim::{Optimizer, Result};

/// Lookahead around AdamW, whose moments are set to zero at each sync while the step counter continues.
///
/// It exists to measure a mistake and is not for training. After many steps, the bias correction is close to 1, so new
/// moments are treated as converged ones. With a constant gradient, the first five steps after a sync are 2.5 to 4.6
/// times too long at step 1,000, and 3.2 to 5.8 times at step 10,000 (beta1 .9, beta2 .999). A correct reset also
/// resets the counter.
#[derive(Debug)]
pub struct MomentsZeroed<O> {
    lookahead: O,
}

impl<O: Optimizer> MomentsZeroed<O> {
    /// Wraps a Lookahead that keeps its inner state.
    pub fn new(lookahead: O) -> Self {
        Self { lookahead }
    }
}

impl<O: Optimizer> Optimizer for MomentsZeroed<O> {
    fn inner(&self) -> Option<&dyn Optimizer> {
        Some(&self.lookahead)
    }

    fn inner_mut(&mut self) -> Option<&mut dyn Optimizer> {
        Some(&mut self.lookahead)
    }

    fn parameters(&self) -> &[Parameter] {
        self.lookahead.parameters()
    }

    fn step(&mut self, grads: &candle_core::backprop::GradStore) -> Result<()> {
        self.lookahead.step(grads)?;
        if self.lookahead.steps_since_sync() == Some(0) {
            let mut state = self.lookahead.state()?;
            let moments: Vec<(String, candle_core::Var)> = state
                .tensors()
                .filter(|(key, _)| key.contains("first_moment.") || key.contains("second_moment."))
                .map(|(key, tensor)| Ok((key.to_owned(), candle_core::Var::from_tensor(&tensor.zeros_like()?)?)))
                .collect::<candle_core::Result<_>>()?;
            for (key, zeros) in &moments {
                state.insert(key, zeros)?;
            }
            self.lookahead.load_state(&state)?;
        }
        Ok(())
    }

    fn learning_rate(&self) -> f64 {
        self.lookahead.learning_rate()
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.lookahead.set_learning_rate(learning_rate);
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};
    use lookahead_optim::lookahead::{Period, StepSize};
    use lookahead_optim::{AdamW, AdamWConfig, Lookahead, LookaheadConfig, WeightDecay};

    use super::*;

    /// Lengths, in learning rates, of five steps under a gradient of 1 after `before` steps, the last of them a sync.
    fn steps_after(before: usize) -> Vec<f64> {
        let w = Var::new(&[0f64], &Device::Cpu).unwrap();
        let config = AdamWConfig { learning_rate: 1e-3, weight_decay: WeightDecay::None, ..AdamWConfig::default() };
        let adamw = AdamW::new(vec![("w".into(), w.clone())], config).unwrap();
        let lookahead = LookaheadConfig {
            sync_period: Period::Fixed(5),
            slow_step_size: StepSize::Fixed(1.0),
            ..LookaheadConfig::default()
        };
        let mut optimizer = MomentsZeroed::new(Lookahead::new(adamw, lookahead).unwrap());
        let value = || w.to_vec1::<f64>().unwrap()[0];
        let mut lengths = Vec::new();
        for _ in 0..before + 5 {
            let start = value();
            optimizer.step(&w.sum_all().unwrap().backward().unwrap()).unwrap();
            lengths.push((start - value()) / 1e-3);
        }
        lengths.split_off(before)
    }

    /// With constant gradient 1 after a reset at step T, step i has m = 1 - .9^i and v = 1 - .999^i,
    /// divided by 1 - .9^(T+i) and 1 - .999^(T+i): 2.5, 3.4, 3.9, 4.3, 4.6 learning rates for T = 1000.
    #[test]
    fn steps_after_a_sync_are_too_long() {
        let lengths = steps_after(1000);
        for (i, length) in (1..).zip(&lengths) {
            let (m, v) = (1.0 - 0.9f64.powi(i), 1.0 - 0.999f64.powi(i));
            let expected = m / (1.0 - 0.9f64.powi(1000 + i)) / (v / (1.0 - 0.999f64.powi(1000 + i))).sqrt();
            assert!((length - expected).abs() < 1e-4, "step {i}: {length}, expected {expected}");
        }
        assert!((lengths[0] - 2.5).abs() < 0.05 && (lengths[4] - 4.6).abs() < 0.05, "{lengths:?}");
        assert!(steps_after(0).iter().all(|length| (length - 1.0).abs() < 1e-4));
    }
}
