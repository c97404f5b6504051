//! A new optimizer from the formula of one element, on the shared engine.

mod clock;
mod fields;
mod number;

pub use crate::adadelta::AdadeltaUpdate;
pub use crate::adagrad::AdagradUpdate;
pub use crate::adamax::AdamaxUpdate;
pub use crate::adamw::AdamUpdate;
pub use crate::checkpoint::Settings;
pub use crate::fused::Fused;
pub use crate::group::Scales;
pub use crate::lion::LionUpdate;
pub use crate::nadam::NAdamUpdate;
pub use crate::radam::RAdamUpdate;
pub use crate::rmsprop::RmsPropUpdate;
pub use crate::schedule_free::{ScheduleFreeAdamWUpdate, ScheduleFreeSgdUpdate};
pub use crate::sgd::SgdUpdate;
pub use clock::Clock;
pub(crate) use fields::{from_learning_rate, momentum_is_beta1, usual_fields};
pub use number::Number;

use crate::error::not_negative;
use crate::group::Group;
use crate::{Gradients, Result};

/// The maximum number of state tensors per parameter.
pub const MAX_SLOTS: usize = 3;

/// An update rule: the part in which optimizers differ.
///
/// A configuration implements it, and [`Fused`] does the rest: parameters, groups, clipping, the one-pass CPU update, other devices, half
/// precision, state. The rule for one element is written once, on [`Number`].
///
/// ```
/// use candle_core::{Device, Var, backprop::GradStore};
/// use lookahead_optim::rule::{Clock, Fused, Number, Rule, Scales, Settings};
///
/// /// Sign descent: w <- w - learning_rate * g / |g|.
/// #[derive(Debug, Clone)]
/// struct SignDescent { learning_rate: f64 }
///
/// impl Rule for SignDescent {
///     const NAME: &'static str = "sign-descent";
///     type Update = f64;
///     fn validate(&self) -> lookahead_optim::Result<()> { self.validate_shared() }
///     fn learning_rate(&self) -> f64 { self.learning_rate }
///     fn set_learning_rate(&mut self, learning_rate: f64) { self.learning_rate = learning_rate }
///     fn update(&self, _clock: &Clock, scales: Scales) -> f64 { self.learning_rate * scales.learning_rate }
///     fn element<X: Number, const N: usize>(step: &f64, w: X, g: X, state: [X; N]) -> (X, [X; N]) {
///         let size = (g.clone() * g.clone()).sqrt().offset(1e-30);
///         (w - (g / size).scale(*step), state)
///     }
///     fn settings(&self, _settings: &mut Settings) {}
/// }
///
/// let w = Var::new(&[1f32, -1.0], &Device::Cpu)?;
/// let mut optimizer = Fused::<SignDescent>::new([("w", w.clone())], SignDescent { learning_rate: 0.25 })?;
/// optimizer.backward_step(&w.sqr()?.sum_all()?)?;
/// assert_eq!(w.to_vec1::<f32>()?, [0.75, -0.75]);
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
pub trait Rule: Clone + std::fmt::Debug + Send + 'static {
    /// The optimizer's name in messages and saved state.
    const NAME: &'static str;

    /// The values of one parameter's update at one step, shared by all its elements.
    type Update: Copy + Send + Sync;

    /// Checks all hyper-parameters, so that a configuration can be checked before anything is built: the rule's own, then
    /// [`validate_shared`](Self::validate_shared).
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) and the like.
    fn validate(&self) -> Result<()>;

    /// Checks what all rules have: the learning rate, [`gradients`](Self::gradients) and the scales of [`groups`](Self::groups). Call it at
    /// the end of [`validate`](Self::validate). [`Fused::new`] calls both.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    fn validate_shared(&self) -> Result<()> {
        not_negative("learning_rate", self.learning_rate())?;
        self.gradients().validate()?;
        self.groups().iter().try_for_each(Group::validate)
    }

    /// The learning rate.
    fn learning_rate(&self) -> f64;

    /// Sets the learning rate.
    fn set_learning_rate(&mut self, learning_rate: f64);

    /// The momentum that a schedule may set; `None` if the rule has none.
    fn momentum(&self) -> Option<f64> {
        None
    }

    /// Sets the momentum; called only if [`momentum`](Self::momentum) is `Some`, with a value in `[0, 1)`.
    fn set_momentum(&mut self, _momentum: f64) {}

    /// The groups of the configuration.
    fn groups(&self) -> &[Group] {
        &[]
    }

    /// Gradient clipping and checks.
    fn gradients(&self) -> Gradients {
        Gradients::default()
    }

    /// Names of the state tensors each parameter has, at most [`MAX_SLOTS`]; all start at zero.
    fn slots(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// The slot that averages squared gradients, which the adaptive slow step size needs.
    fn second_moment(&self) -> Option<usize> {
        None
    }

    /// Decay rates of the averages of gradients and of their squares, if the rule has them: Adam's betas. [`Clock`] then tracks the zero
    /// start's remaining weight in them, also through interpolation.
    fn corrected_rates(&self) -> Option<(f64, f64)> {
        None
    }

    /// Counts an update before [`update`](Self::update) is called. Override it if an update depends on the settings of earlier ones: on a
    /// sum over the steps so far ([`sums`](Self::sums)), or on a product of changing rates ([`Clock::zero_start_1`]).
    fn advance(&self, clock: &mut Clock) {
        clock.steps += 1;
    }

    /// Names of the scalars a parameter keeps in [`Clock::sums`], at most two; all start at zero.
    fn sums(&self) -> &'static [&'static str] {
        &[]
    }

    /// If evaluation uses other weights than training: a slot and a factor, for `w + factor * slot`.
    fn evaluation(&self) -> Option<(usize, f64)> {
        None
    }

    /// Computes the values of an update. `clock` already counts it.
    fn update(&self, clock: &Clock, scales: Scales) -> Self::Update;

    /// Updates one element: weight, gradient and the `N` state values, in the order of [`slots`](Self::slots).
    ///
    /// Mark the implementation `#[inline(always)]`: it is the body of the fused loop.
    fn element<X: Number, const N: usize>(update: &Self::Update, w: X, g: X, state: [X; N]) -> (X, [X; N]);

    /// Records what must agree when a saved state is loaded.
    fn settings(&self, settings: &mut Settings);
}
