//! Lookahead built, and what it shows.

use super::buffers::Buffers;
use super::{Lookahead, LookaheadConfig, StatePolicy, StepSize};
use crate::evaluation::with_evaluation_weights;
use crate::parameter::Parameter;
use crate::reestimate::{Reestimate, with_reestimated_statistics};
use crate::shadow::Shadow;
use crate::{Error, Optimizer, Result};
use candle_core::{Tensor, Var};

impl<O: Optimizer> Lookahead<O> {
    /// Lookahead around `inner`, with slow weights equal to the present ones.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a period of 0 and a step size outside `[0, 1]`, NaN included; [`Error::NoCurvature`] for an adaptive step
    /// size around an optimizer without second moments; [`Error::Unsupported`] for a state policy that `inner` cannot follow.
    pub fn new(inner: O, config: LookaheadConfig) -> Result<Self> {
        Self::with_buffers(inner, config, Vec::new())
    }

    /// The same for a model with buffers: the running statistics of batch norm, which [`BufferPolicy`](super::BufferPolicy) and
    /// [`with_reestimated_slow_weights`](Self::with_reestimated_slow_weights) are about.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`Error::DuplicateName`], and [`Error::SameVariable`] where a buffer is a parameter too.
    pub fn with_buffers(inner: O, config: LookaheadConfig, buffers: Vec<(String, Var)>) -> Result<Self> {
        config.validate()?;
        if matches!(config.slow_step_size, StepSize::Adaptive { .. }) && inner.second_moments()?.is_none() {
            return Err(Error::NoCurvature);
        }
        if config.state_policy == StatePolicy::Reset && !inner.can_reset_state() {
            return Err(Error::Unsupported { optimizer: innermost(&inner), operation: "reset its state" });
        }
        let buffers = Buffers::new(buffers, inner.parameters())?;
        let slow = Shadow::new("slow", inner.parameters())?;
        let slow_state = match config.state_policy {
            StatePolicy::Interpolate => Some(inner.state()?),
            StatePolicy::Keep | StatePolicy::Reset => None,
        };
        let period = config.sync_period.at(0)?;
        inner.parameters().iter().for_each(Parameter::look_without_master);
        Ok(Self {
            inner,
            config,
            slow,
            steps: 0,
            steps_since_sync: 0,
            period,
            slow_state,
            buffers,
            slow_in_place: false,
            measures: false,
            last_sync: None,
        })
    }

    /// The same, and at each sync the distances between fast and slow weights are taken before it:
    /// [`last_sync`](Optimizer::last_sync) has them. Results do not change; a sync reads the weights twice more, and waits for the
    /// device.
    #[must_use]
    pub fn measuring_syncs(mut self) -> Self {
        self.measures = true;
        self
    }

    /// The inner optimizer.
    pub fn inner(&self) -> &O {
        &self.inner
    }

    /// The inner optimizer, to change its settings. A step of it alone is [`Error::WeightsChanged`] at the next.
    pub fn inner_mut(&mut self) -> &mut O {
        &mut self.inner
    }

    /// The hyper-parameters.
    pub fn config(&self) -> &LookaheadConfig {
        &self.config
    }

    /// Copies of the slow weights, by name.
    ///
    /// # Errors
    /// [`Error::EvaluationWeightsInPlace`].
    pub fn slow_weights(&self) -> Result<Vec<(String, Tensor)>> {
        self.check_fast_in_place("copy the slow weights")?;
        let copy = |(p, slow): (&Parameter, &Var)| Ok((p.name().to_string(), slow.as_detached_tensor().copy()?));
        self.inner.parameters().iter().zip(&self.slow.values).map(copy).collect()
    }

    /// Runs `evaluate` with the slow weights in the variables (and averaged buffers, under [`BufferPolicy::Average`](super::BufferPolicy::Average)), and brings the
    /// fast ones back, bit for bit, whether it succeeds, fails or panics. [`EvaluationWeights`](crate::evaluation::EvaluationWeights) does it without a closure.
    ///
    /// # Errors
    /// Those of `evaluate`; what candle reports.
    pub fn with_slow_weights<T>(&mut self, evaluate: impl FnOnce() -> Result<T>) -> Result<T> {
        with_evaluation_weights(self, evaluate)
    }

    /// [`with_slow_weights`](Self::with_slow_weights), with the buffers first
    /// [estimated anew](with_reestimated_statistics) from `batches` training batches at the slow weights.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]; those of the closures; what candle reports.
    #[doc(alias = "update_bn")]
    pub fn with_reestimated_slow_weights<T>(
        &mut self,
        how: Reestimate,
        forward: impl FnMut(usize) -> Result<()>,
        evaluate: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let statistics = self.buffers.vars();
        with_reestimated_statistics(self, &statistics, how, forward, evaluate)
    }
}

/// The name of the optimizer that makes the steps.
fn innermost(optimizer: &dyn Optimizer) -> &'static str {
    optimizer.inner().map_or_else(|| optimizer.name(), innermost)
}
