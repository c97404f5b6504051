//! Schedules: hyper-parameters as functions of the step.

mod one_cycle;
mod powers;
mod restarts;
mod sequence;
mod shapes;
mod warm_up;

pub use one_cycle::{Anneal, OneCycle};
pub use powers::{Exponential, Polynomial};
pub use restarts::CosineRestarts;
pub use sequence::Sequence;
pub use shapes::{Airbench, Constant, Cosine, Ramp, StepDecay};
pub use warm_up::{Decay, InverseSquareRoot, WarmUpCosine, WarmUpStableDecay};

/// A value for every step: a pure function, so a resumed run needs only the step.
///
/// Steps count from 0; under Lookahead they are inner steps. Step t uses the value at t:
///
/// ```text
/// optimizer.set_learning_rate(rate.at(t));
/// optimizer.set_momentum(momentum.at(t))?;
/// optimizer.step(&gradients)?;
/// ```
///
/// Past its end a schedule holds its last value. Closures do not implement `Schedule`: saved state identifies a schedule by its `Debug`
/// output, which a closure lacks.
pub trait Schedule: std::fmt::Debug + Send + Sync {
    /// The value at `step`.
    fn at(&self, step: usize) -> f64;
}

impl<S: Schedule + ?Sized> Schedule for Box<S> {
    fn at(&self, step: usize) -> f64 {
        (**self).at(step)
    }
}

impl<S: Schedule + ?Sized> Schedule for std::sync::Arc<S> {
    fn at(&self, step: usize) -> f64 {
        (**self).at(step)
    }
}

/// Half a cosine from `start` at fraction 0 to `end` at fraction 1.
pub(crate) fn half_cosine(start: f64, end: f64, fraction: f64) -> f64 {
    end + (start - end) / 2.0 * (1.0 + (std::f64::consts::PI * fraction).cos())
}
