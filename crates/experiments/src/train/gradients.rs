//! The gradients of one step.

use std::time::Instant;

use candle_core::Tensor;
use candle_core::backprop::GradStore;
use lookahead_kernels::gradients_of;
use lookahead_models::Pass;
use lookahead_runs::TimeSplit;

use super::task::Task;
use crate::error::{Error, Result};

/// A step's loss, a scalar without a graph, and its gradients.
#[derive(Debug)]
pub struct Gradients {
    /// Mean loss of the step, in nats per image or token.
    pub loss: Tensor,
    /// Its gradients, by variable.
    pub store: GradStore,
}

impl Gradients {
    /// The gradients of step `step`, counted from 0, over the next `parts` batches of `task`. The elapsed time is added
    /// to `time`.
    ///
    /// The loss is the mean over the parts. Dropout masks are numbered by part, so that a resumed run draws the same
    /// masks.
    ///
    /// # Errors
    /// Errors of the data and of the network; an epoch that ends too early.
    pub fn of(task: &mut dyn Task, step: usize, parts: usize, time: &mut TimeSplit) -> Result<Self> {
        let mut sum: Option<Self> = None;
        for part in 0..parts {
            let mut clock = Instant::now();
            if !task.load()? {
                return Err(Error::EndOfData { step });
            }
            lap(&mut clock, &mut time.data);
            let (loss, store) = gradients_of(|| -> Result<Tensor> {
                let loss = task.loss(Pass::Train { step: (step * parts + part) as u64 })?;
                let loss = if parts > 1 { (loss / parts as f64)? } else { loss };
                lap(&mut clock, &mut time.forward);
                Ok(loss)
            })?;
            let of_part = Self { store, loss: loss.detach() };
            sum = Some(match sum {
                None => of_part,
                Some(sum) => sum.plus(of_part, task)?,
            });
            lap(&mut clock, &mut time.backward);
        }
        let mut sum = sum.ok_or(Error::EndOfData { step })?;
        // Without a gradient, neither momentum nor decay changes a parameter.
        for var in task.frozen(step) {
            sum.store.remove(&var);
        }
        Ok(sum)
    }

    /// The sum of two, over the parameters of `task`.
    fn plus(mut self, more: Self, task: &dyn Task) -> Result<Self> {
        for (_, var) in task.parameters() {
            if let Some(gradient) = more.store.get(&var) {
                let total = match self.store.get(&var) {
                    Some(before) => (before + gradient)?,
                    None => gradient.clone(),
                };
                self.store.insert(&var, total);
            }
        }
        self.loss = (self.loss + more.loss)?;
        Ok(self)
    }
}

/// Adds the time since `clock` to `sum` and restarts the clock.
fn lap(clock: &mut Instant, sum: &mut f64) {
    let now = Instant::now();
    *sum += (now - *clock).as_secs_f64();
    *clock = now;
}
