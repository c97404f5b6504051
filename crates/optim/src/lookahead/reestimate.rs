//! BatchNorm statistics estimated anew at the slow weights.

use super::Lookahead;
use crate::error::in_range;
use crate::{Error, Optimizer, Result};
use candle_core::{Tensor, Var};

/// How [`Lookahead::with_reestimated_slow_weights`] gathers statistics.
///
/// | field | meaning | range |
/// | --- | --- | --- |
/// | `batches` | training batches to average over | at least 1 |
/// | `momentum` | that of the model's batch norm, `running <- (1 - momentum) * running + momentum * batch` (PyTorch's 0.1) | `(0, 1]` |
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reestimate {
    /// Training batches to average over.
    pub batches: usize,
    /// The momentum of the model's batch norm.
    pub momentum: f64,
}

impl<O: Optimizer> Lookahead<O> {
    /// [`with_slow_weights`](Self::with_slow_weights), with the buffers first made the plain average of the statistics of `batches`
    /// batches at the slow weights. `forward(i)` must run the model on the i-th of them in training mode. Weights and buffers are
    /// back afterwards, bit for bit, whether the closures succeed, fail or panic.
    ///
    /// The average is exact: each batch's statistics are read from buffers set to zero before it, where a running update leaves
    /// `momentum` times them.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]; those of the closures; what candle reports.
    pub fn with_reestimated_slow_weights<T, E: From<Error>>(
        &mut self,
        how: Reestimate,
        mut forward: impl FnMut(usize) -> std::result::Result<(), E>,
        evaluate: impl FnOnce() -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        in_range(how.batches > 0, "batches", how.batches as f64, "[1, inf)")?;
        in_range(how.momentum > 0.0 && how.momentum <= 1.0, "momentum", how.momentum, "(0, 1]")?;
        let vars: Vec<Var> = self.buffers.iter().map(|b| b.var.clone()).collect();
        self.with_slow_weights(|| {
            let saved = Saved::new(vars)?;
            let mut sums: Vec<Tensor> =
                saved.vars.iter().map(|v| Ok(v.as_detached_tensor().zeros_like()?)).collect::<Result<_>>()?;
            for batch in 0..how.batches {
                saved
                    .vars
                    .iter()
                    .try_for_each(|v| -> Result<()> { Ok(v.set(&v.as_detached_tensor().zeros_like()?)?) })?;
                forward(batch)?;
                for (sum, var) in sums.iter_mut().zip(&saved.vars) {
                    *sum = (&*sum + var.as_detached_tensor()).map_err(Error::from)?;
                }
            }
            let factor = 1.0 / (how.momentum * how.batches as f64);
            for (sum, var) in sums.iter().zip(&saved.vars) {
                (sum * factor).and_then(|mean| var.set(&mean)).map_err(Error::from)?;
            }
            let result = evaluate();
            saved.restore()?;
            result
        })
    }
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
        // Empty after `restore`; on the way out of an error or a panic, a second error has nowhere to go.
        let _ = self.write_back();
    }
}
