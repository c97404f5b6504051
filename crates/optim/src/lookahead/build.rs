//! Construction and accessors of Lookahead.

use super::buffers::Buffers;
use super::{Lookahead, LookaheadConfig, StatePolicy, StepSize};
use crate::evaluation::with_evaluation_weights;
use crate::parameter::Parameter;
use crate::reestimate::{Reestimate, with_reestimated_statistics};
use crate::shadow::Shadow;
use crate::{Error, Optimizer, Result};
use candle_core::{Tensor, Var};

impl<O: Optimizer> Lookahead<O> {
    /// Wraps `inner`, with slow weights equal to the present weights.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a period of 0 or a step size outside `[0, 1]`, NaN included; [`Error::NoCurvature`] for an adaptive step
    /// size around an optimizer without second moments; [`Error::Unsupported`] for a state policy that `inner` does not support.
    pub fn new(inner: O, config: LookaheadConfig) -> Result<Self> {
        Self::with_buffers(inner, config, Vec::new())
    }

    /// As [`new`](Self::new), for a model with buffers: the running statistics of batch norm, which [`BufferPolicy`](super::BufferPolicy)
    /// and [`with_reestimated_slow_weights`](Self::with_reestimated_slow_weights) handle.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`Error::DuplicateName`]; [`Error::SameVariable`] if a buffer is also a parameter or has two names.
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
            StatePolicy::Interpolate => Some(Parameter::unchecked(inner.parameters(), || inner.state())?),
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

    /// Measures the distances between fast and slow weights before each sync, for [`last_sync`](Optimizer::last_sync). Results do not
    /// change; each sync reads the weights twice more and waits for the device.
    #[must_use]
    pub fn measuring_syncs(mut self) -> Self {
        self.measures = true;
        self
    }

    /// The inner optimizer.
    pub fn inner(&self) -> &O {
        &self.inner
    }

    /// The inner optimizer, to change its settings. Do not step it: Lookahead would not count that. Its own next step reports it, as
    /// [`Error::WeightsChanged`], only for f32 and f64 weights on the CPU, and only if the inner optimizer does not
    /// [publish](Parameter::publish) them, as wrappers do.
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

    /// Runs `evaluate` with the slow weights in the variables (and the averaged buffers, under
    /// [`BufferPolicy::Average`](super::BufferPolicy::Average)), then restores the fast weights bit for bit, also after an error or a
    /// panic. [`EvaluationWeights`](crate::evaluation::EvaluationWeights) does the same without a closure.
    ///
    /// # Errors
    /// [`Error::WeightsChanged`] for weights loaded without [`adopt_weights`](Optimizer::adopt_weights); errors of `evaluate`; candle
    /// errors.
    pub fn with_slow_weights<T>(&mut self, evaluate: impl FnOnce() -> Result<T>) -> Result<T> {
        with_evaluation_weights(self, evaluate)
    }

    /// Like [`with_slow_weights`](Self::with_slow_weights), after [re-estimating](with_reestimated_statistics) the buffers from `batches`
    /// training batches at the slow weights.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]; [`Error::WeightsChanged`] as [`with_slow_weights`](Self::with_slow_weights); errors of the closures; candle
    /// errors.
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

/// The name of the optimizer that takes the steps.
fn innermost(optimizer: &dyn Optimizer) -> &'static str {
    optimizer.inner().map_or_else(|| optimizer.name(), innermost)
}
