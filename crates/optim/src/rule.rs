//! What one optimizer must say to run on the shared engine.

use crate::group::{Group, Scales};
use crate::state::Settings;
use crate::{Gradients, Number, Result};

/// An update rule: the part in which optimizers differ.
///
/// A configuration implements it, and [`Fused`](crate::Fused) does the rest: parameters, groups, clipping, the one-pass CPU
/// update, other devices, half precision, state. The rule of a single element is written once, on [`Number`].
///
/// ```
/// use candle_core::{Device, Var, backprop::GradStore};
/// use lookahead_optim::{Clock, Fused, Gradients, Group, Number, Optimizer, Rule, Scales, Settings};
///
/// /// Sign descent: w <- w - learning_rate * g / |g|.
/// #[derive(Debug, Clone)]
/// struct SignDescent { learning_rate: f64 }
///
/// impl Rule for SignDescent {
///     const NAME: &'static str = "sign-descent";
///     type Update = f64;
///     fn validate(&self) -> lookahead_optim::Result<()> { Ok(()) }
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
/// let mut optimizer = Fused::new(vec![("w".into(), w.clone())], SignDescent { learning_rate: 0.25 })?;
/// optimizer.step(&w.sqr()?.sum_all()?.backward()?)?;
/// assert_eq!(w.to_vec1::<f32>()?, [0.75, -0.75]);
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
pub trait Rule: Clone + std::fmt::Debug + Send + 'static {
    /// The optimizer's name in messages and saved state.
    const NAME: &'static str;

    /// The numbers of one parameter's update at one step, the same for all its elements.
    type Update: Copy + Send + Sync;

    /// Checks the hyper-parameters.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) and the like.
    fn validate(&self) -> Result<()>;

    /// The learning rate.
    fn learning_rate(&self) -> f64;

    /// Sets the learning rate.
    fn set_learning_rate(&mut self, learning_rate: f64);

    /// The momentum that a schedule may drive; `None` if the rule has none.
    fn momentum(&self) -> Option<f64> {
        None
    }

    /// Sets the momentum; called only where [`momentum`](Self::momentum) is some, with a value in `[0, 1)`.
    fn set_momentum(&mut self, _momentum: f64) {}

    /// The groups of the configuration.
    fn groups(&self) -> &[Group] {
        &[]
    }

    /// What is done to gradients first.
    fn gradients(&self) -> Gradients {
        Gradients::default()
    }

    /// Names of the state tensors each parameter has, at most three; all start at zero.
    fn slots(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// The slot that averages squared gradients; the adaptive slow step size needs it.
    fn second_moment(&self) -> Option<usize> {
        None
    }

    /// The rates of the averages of gradients and of their squares, if the rule has those: Adam's betas. What their zero start
    /// still weighs is then kept count of, through interpolation too ([`Clock`]).
    fn corrected_rates(&self) -> Option<(f64, f64)> {
        None
    }

    /// Works out the numbers of an update. `clock` already counts it.
    fn update(&self, clock: &Clock, scales: Scales) -> Self::Update;

    /// Updates one element: weight, gradient and the `N` state values, in the order of [`slots`](Self::slots).
    ///
    /// Mark the implementation `#[inline(always)]`: it is the body of the fused loop.
    fn element<X: Number, const N: usize>(update: &Self::Update, w: X, g: X, state: [X; N]) -> (X, [X; N]);

    /// Writes down what must agree when a saved state is loaded.
    fn settings(&self, settings: &mut Settings);
}

/// How far one parameter's state has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clock {
    /// Updates since the state was built, reset or interpolated.
    pub steps: u64,
    /// The weight that the zero at the start still had in the first moment when `steps` was last set to 0: 1 for fresh state.
    pub zero_start_1: f64,
    /// The same for the second moment.
    pub zero_start_2: f64,
}

impl Clock {
    /// The clock of fresh state.
    pub const FRESH: Self = Self { steps: 0, zero_start_1: 1.0, zero_start_2: 1.0 };

    /// What the two averages, of these rates, are to be divided by: one minus what the zero start still weighs in them.
    /// With `zero_start` 1 it is the familiar `1 - beta^t`.
    pub fn corrections(&self, beta1: f64, beta2: f64) -> (f64, f64) {
        (1.0 - self.zero_start(self.zero_start_1, beta1), 1.0 - self.zero_start(self.zero_start_2, beta2))
    }

    fn zero_start(&self, start: f64, beta: f64) -> f64 {
        start * beta.powf(self.steps as f64)
    }

    /// Moves the powers of the rates into the zero starts, so that clocks can be interpolated as the moments are.
    pub(crate) fn folded(self, beta1: f64, beta2: f64) -> Self {
        Self {
            steps: 0,
            zero_start_1: self.zero_start(self.zero_start_1, beta1),
            zero_start_2: self.zero_start(self.zero_start_2, beta2),
        }
    }

    /// Whether nothing has been averaged yet.
    pub fn is_first(&self) -> bool {
        self.steps <= 1 && self.zero_start_1 == 1.0
    }
}
