//! How far one parameter's state has come.

/// How far one parameter's state has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clock {
    /// Updates since the state was built, reset or interpolated.
    pub steps: u64,
    /// The weight that the zero at the start still had in the first moment when `steps` was last set to 0: 1 for fresh state.
    pub zero_start_1: f64,
    /// The same for the second moment.
    pub zero_start_2: f64,
    /// What [`Rule::sums`](super::Rule::sums) names. Interpolation leaves it as it is.
    pub sums: [f64; 2],
}

impl Clock {
    /// The clock of fresh state.
    pub const FRESH: Self = Self { steps: 0, zero_start_1: 1.0, zero_start_2: 1.0, sums: [0.0; 2] };

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
            sums: self.sums,
        }
    }

    /// How many updates leave the zero start of the second moment, of this rate, the weight that it has: `steps`, and after an
    /// interpolation a number between those of the two states.
    pub fn updates(&self, beta2: f64) -> f64 {
        let before = self.zero_start_2.ln() / beta2.ln();
        self.steps as f64 + if before.is_finite() { before.abs() } else { 0.0 }
    }

    /// Whether nothing has been averaged yet.
    pub fn is_first(&self) -> bool {
        self.steps <= 1 && self.zero_start_2 == 1.0
    }
}
