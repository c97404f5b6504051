//! Progress of one parameter's state.

/// Progress of one parameter's state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clock {
    /// Updates since the state was built, reset or interpolated.
    pub steps: u64,
    /// The zero start's remaining weight in the first moment when `steps` was last set to 0: 1 for fresh state.
    pub zero_start_1: f64,
    /// The same for the second moment.
    pub zero_start_2: f64,
    /// The values named by [`Rule::sums`](super::Rule::sums). Interpolation does not change them.
    pub sums: [f64; 2],
}

impl Clock {
    /// The clock of fresh state.
    pub const FRESH: Self = Self { steps: 0, zero_start_1: 1.0, zero_start_2: 1.0, sums: [0.0; 2] };

    /// Bias-correction divisors of the two averages with these rates: one minus the zero start's remaining weight. With `zero_start` 1 that
    /// is the familiar `1 - beta^t`.
    pub fn corrections(&self, beta1: f64, beta2: f64) -> (f64, f64) {
        (1.0 - self.zero_start(self.zero_start_1, beta1), 1.0 - self.zero_start(self.zero_start_2, beta2))
    }

    fn zero_start(&self, start: f64, beta: f64) -> f64 {
        start * beta.powf(self.steps as f64)
    }

    /// Folds the powers of the rates into the zero starts, so that clocks interpolate like the moments.
    pub(crate) fn folded(self, beta1: f64, beta2: f64) -> Self {
        Self {
            steps: 0,
            zero_start_1: self.zero_start(self.zero_start_1, beta1),
            zero_start_2: self.zero_start(self.zero_start_2, beta2),
            sums: self.sums,
        }
    }

    /// The number of updates that the second moment is worth at this rate: `steps`, or after an interpolation a number between those of the
    /// two states.
    pub fn updates(&self, beta2: f64) -> f64 {
        let before = self.zero_start_2.ln() / beta2.ln();
        self.steps as f64 + if before.is_finite() { before.abs() } else { 0.0 }
    }

    /// Whether nothing has been averaged yet.
    pub fn is_first(&self) -> bool {
        self.steps <= 1 && self.zero_start_2 == 1.0
    }
}
