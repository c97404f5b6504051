//! Training losses between the device and the log.

use candle_core::{DType, Tensor};
use lookahead_runs::Position;

use crate::error::{Error, LossOf, Result};

/// Losses of steps that were not yet read from the device. Reading them is the only time the loop waits for the device.
#[derive(Debug, Default)]
pub(crate) struct PendingLosses {
    losses: Vec<Tensor>,
}

impl PendingLosses {
    /// Adds the loss of the latest step: a scalar without a graph.
    pub(crate) fn push(&mut self, loss: Tensor) {
        self.losses.push(loss);
    }

    /// Reads all losses and adds them to the sums of `position`, whose `step` already counts them.
    ///
    /// The sums are f64 and in the order of the steps, so they do not depend on when losses are read.
    ///
    /// # Errors
    /// [`Error::NotFinite`] with the first step whose loss is not finite.
    pub(crate) fn read_into(&mut self, position: &mut Position) -> Result<()> {
        if self.losses.is_empty() {
            return Ok(());
        }
        let values = Tensor::stack(&self.losses, 0)?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        self.losses.clear();
        let first = position.step - values.len();
        for (offset, loss) in values.into_iter().enumerate() {
            if !loss.is_finite() {
                return Err(Error::NotFinite { of: LossOf::Step(first + offset), loss });
            }
            position.epoch_loss += loss;
            position.logged_loss += loss;
            position.logged_steps += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn loss(value: f32) -> Tensor {
        Tensor::new(value, &Device::Cpu).unwrap()
    }

    #[test]
    fn sums_do_not_depend_on_when_they_are_read() {
        let values = [0.1f32, 0.2, 0.3, 0.7];
        let sums = |read_each: bool| {
            let (mut pending, mut position) = (PendingLosses::default(), Position::default());
            for value in values {
                pending.push(loss(value));
                position.step += 1;
                if read_each {
                    pending.read_into(&mut position).unwrap();
                }
            }
            pending.read_into(&mut position).unwrap();
            (position.epoch_loss, position.logged_loss, position.logged_steps)
        };
        assert_eq!(sums(true), sums(false));
        assert_eq!(sums(true).2, 4);
    }

    #[test]
    fn the_first_step_that_is_not_finite_is_named() {
        let (mut pending, mut position) = (PendingLosses::default(), Position { step: 10, ..Position::default() });
        for value in [1.0, 2.0, f32::NAN, f32::INFINITY] {
            pending.push(loss(value));
            position.step += 1;
        }
        match pending.read_into(&mut position) {
            Err(Error::NotFinite { of: LossOf::Step(12), loss }) => assert!(loss.is_nan()),
            other => panic!("{other:?}"),
        }
    }
}
