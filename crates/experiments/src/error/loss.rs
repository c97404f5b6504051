//! The number that made a run diverge.

use lookahead_report::counted;
use lookahead_runs::Measure;

/// A number by which a run may diverge: a training or validation loss, or a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossOf {
    /// The training loss of this step, from 0.
    Step(usize),
    /// The validation loss after this many steps.
    Validation(usize),
    /// A validation score: the perplexity of a loss that is finite, but too large for its exponential.
    Score {
        /// The score.
        measure: Measure,
        /// Number of steps before the validation.
        steps: usize,
    },
}

impl LossOf {
    /// Number of steps done by the weights with this loss.
    pub fn steps_done(self) -> usize {
        match self {
            Self::Step(steps) | Self::Validation(steps) | Self::Score { steps, .. } => steps,
        }
    }
}

impl std::fmt::Display for LossOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Step(step) => write!(f, "the loss of step {step}"),
            Self::Validation(steps) => write!(f, "the validation loss after {}", counted(*steps, "step")),
            Self::Score { measure, steps } => {
                write!(f, "the validation {} after {}", measure.name(), counted(*steps, "step"))
            }
        }
    }
}
