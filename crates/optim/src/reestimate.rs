//! Re-estimates BatchNorm statistics at the evaluation weights.

use crate::error::in_range;
use crate::evaluation::with_evaluation_weights;
use crate::{Optimizer, Result};
use candle_core::{DType, Tensor, Var};

/// How [`with_reestimated_statistics`] gathers statistics.
///
/// | field | meaning | range |
/// | --- | --- | --- |
/// | `batches` | training batches to average over | at least 1 |
/// | `momentum` | momentum of the model's batch norm, `running <- (1 - momentum) * running + momentum * batch` (PyTorch's 0.1) | `(0, 1]` |
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reestimate {
    /// Training batches to average over.
    pub batches: usize,
    /// The momentum of the model's batch norm.
    pub momentum: f64,
}

/// Runs `evaluate` with the evaluation weights in the variables, as [`with_evaluation_weights`](crate::with_evaluation_weights) does, and
/// with the buffers `statistics` set to the average of the statistics of `batches` batches at those weights. Batch norm's running
/// statistics belong to the fast weights. `forward(i)` must run the model on the i-th batch in training mode. Afterwards weights and buffers
/// are restored bit for bit, also after an error or a panic.
///
/// It is the plain average: buffers are set to zero before each batch, so that a running update leaves `momentum` times the batch's
/// statistics. They are summed in f32 (f64 for f64 buffers). PyTorch's `torch.optim.swa_utils.update_bn` does the same for averages.
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange); errors of the closures; candle errors.
///
/// ```
/// use candle_core::{Device, Tensor, Var};
/// use lookahead_optim::evaluation::{Reestimate, with_reestimated_statistics};
/// use lookahead_optim::{Average, Averaged, Sgd};
///
/// let w = Var::new(&[4f64], &Device::Cpu)?;
/// let mean = Var::new(&[0f64], &Device::Cpu)?; // of a layer whose input is the weight
/// let forward = |_batch| -> lookahead_optim::Result<()> {
///     Ok(mean.set(&((mean.as_detached_tensor() * 0.9)? + (w.as_detached_tensor() * 0.1)?)?)?)
/// };
/// let mut optimizer = Averaged::new(Sgd::new([("w", w.clone())], 1.0)?, Average::Polyak { start: 0, power: 0.0 })?;
/// for _ in 0..3 {
///     optimizer.backward_step(&w.sum_all()?)?; // 3, 2, 1
/// }
/// let how = Reestimate { batches: 2, momentum: 0.1 };
/// let seen = with_reestimated_statistics(&mut optimizer, &[mean.clone()], how, forward, || Ok(mean.to_vec1::<f64>()?))?;
/// assert!((seen[0] - 2.0).abs() < 1e-12);
/// assert_eq!(mean.to_vec1::<f64>()?, [0.0]);
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
#[doc(alias = "update_bn")]
pub fn with_reestimated_statistics<T>(
    optimizer: &mut dyn Optimizer,
    statistics: &[Var],
    how: Reestimate,
    mut forward: impl FnMut(usize) -> Result<()>,
    evaluate: impl FnOnce() -> Result<T>,
) -> Result<T> {
    in_range(how.batches > 0, "batches", how.batches as f64, "[1, inf)")?;
    in_range(how.momentum > 0.0 && how.momentum <= 1.0, "momentum", how.momentum, "(0, 1]")?;
    with_evaluation_weights(optimizer, || {
        let saved = Saved::new(statistics.to_vec())?;
        let zeros = |v: &Var| -> Result<Tensor> { Ok(v.as_detached_tensor().zeros_like()?) };
        // A sum in half precision would stop growing after some hundred batches.
        let wide = |v: &Var| if v.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
        let mut sums: Vec<Tensor> =
            saved.vars.iter().map(|v| Ok(zeros(v)?.to_dtype(wide(v))?)).collect::<Result<_>>()?;
        for batch in 0..how.batches {
            saved.vars.iter().try_for_each(|v| -> Result<()> { Ok(v.set(&zeros(v)?)?) })?;
            forward(batch)?;
            for (sum, var) in sums.iter_mut().zip(&saved.vars) {
                *sum = (&*sum + var.as_detached_tensor().to_dtype(wide(var))?)?;
            }
        }
        let factor = 1.0 / (how.momentum * how.batches as f64);
        for (sum, var) in sums.iter().zip(&saved.vars) {
            var.set(&(sum * factor)?.to_dtype(var.dtype())?)?;
        }
        let result = evaluate();
        saved.restore()?;
        result
    })
}

/// Buffers with copies of what they held, written back when dropped.
struct Saved {
    vars: Vec<Var>,
    values: Vec<Tensor>,
}

impl Saved {
    fn new(vars: Vec<Var>) -> Result<Self> {
        let values = vars.iter().map(|v| Ok(v.as_detached_tensor().copy()?)).collect::<Result<_>>()?;
        Ok(Self { vars, values })
    }

    fn restore(mut self) -> Result<()> {
        self.write_back()
    }

    fn write_back(&mut self) -> Result<()> {
        for (var, value) in self.vars.iter().zip(std::mem::take(&mut self.values)) {
            var.set(&value)?;
        }
        Ok(())
    }
}

impl Drop for Saved {
    fn drop(&mut self) {
        // Empty after `restore`; after an error or during a panic, a second error cannot be reported.
        let _ = self.write_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sgd;
    use candle_core::Device;

    #[test]
    fn an_average_over_many_batches_is_one_in_half_precision() {
        let w = Var::new(&[1f32], &Device::Cpu).unwrap();
        let mean = Var::zeros(1, DType::BF16, &Device::Cpu).unwrap();
        let mut sgd = Sgd::new([("w", w)], 0.1).unwrap();
        // A running update with momentum 0.5 and a batch of mean 3.
        let forward = |_| Ok(mean.set(&(mean.as_detached_tensor() * 0.5)?.affine(1.0, 1.5)?)?);
        let seen = || Ok(mean.as_detached_tensor().to_dtype(DType::F32)?.to_vec1::<f32>()?);
        let how = Reestimate { batches: 800, momentum: 0.5 };
        assert_eq!(
            with_reestimated_statistics(&mut sgd, std::slice::from_ref(&mean), how, forward, seen).unwrap(),
            [3.0]
        );
    }
}
