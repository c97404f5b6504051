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
        // The weight shrinks with every cycle of an interpolation until it underflows; counted as the smallest number, not as no update.
        let before = self.zero_start_2.max(f64::from_bits(1)).ln() / beta2.ln();
        self.steps as f64 + if before.is_finite() { before.abs() } else { 0.0 }
    }

    /// Whether nothing has been averaged yet.
    pub fn is_first(&self) -> bool {
        self.steps <= 1 && self.zero_start_2 == 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_are_counted_through_interpolations_and_underflow() {
        let after = |zero_start_2| Clock { zero_start_2, ..Clock::FRESH };
        let beta2 = 0.9f64;
        assert_eq!(Clock { steps: 7, ..Clock::FRESH }.updates(beta2), 7.0);
        assert!((after(beta2.powi(12)).updates(beta2) - 12.0).abs() < 1e-9);
        // ln(2^-1074) / ln 0.9
        assert!((after(0.0).updates(beta2) - 7065.7).abs() < 0.1);
        assert_eq!(after(0.0).updates(0.0), 0.0);

        // Cycles of ten steps, of which a slow step size of 0.8 keeps the most.
        let mut clock = Clock::FRESH;
        for _ in 0..2000 {
            let before = clock.zero_start_2;
            let now = Clock { steps: 10, ..clock }.folded(beta2, beta2).zero_start_2;
            clock.zero_start_2 = before + 0.8 * (now - before);
        }
        assert!(clock.updates(beta2) > 7000.0, "{clock:?}");
    }
}
