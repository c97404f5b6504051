//! One schedule after another.

use super::Schedule;

/// Schedules one after another, each counting from 0 for a given number of steps. Past its end, the last one keeps the value it has there.
///
/// ```
/// use lookahead_optim::schedule::{Cosine, Ramp, Schedule, Sequence};
///
/// let warm_up = Ramp { initial: 0.0, last: 0.1, steps: 500 };
/// let decay = Cosine { initial: 0.1, last: 0.0, steps: 9500 };
/// let rate = Sequence::new(Box::new(warm_up), 500).then(Box::new(decay), 9500);
/// assert_eq!((rate.at(0), rate.at(500), rate.at(20_000)), (0.0, 0.1, 0.0));
/// ```
#[derive(Debug)]
#[doc(alias = "SequentialLR")]
pub struct Sequence {
    parts: Vec<(Box<dyn Schedule>, usize)>,
    last: (Box<dyn Schedule>, usize),
}

impl Sequence {
    /// Starts with `schedule` for `steps` steps.
    pub fn new(schedule: Box<dyn Schedule>, steps: usize) -> Self {
        Self { parts: Vec::new(), last: (schedule, steps) }
    }

    /// Continues with `schedule` for `steps` steps.
    #[must_use]
    pub fn then(mut self, schedule: Box<dyn Schedule>, steps: usize) -> Self {
        self.parts.push(std::mem::replace(&mut self.last, (schedule, steps)));
        self
    }
}

impl Schedule for Sequence {
    fn at(&self, step: usize) -> f64 {
        let mut rest = step;
        for (schedule, steps) in &self.parts {
            if rest < *steps {
                return schedule.at(rest);
            }
            rest -= steps;
        }
        let (schedule, steps) = &self.last;
        // Held at its last step, whatever the schedule does after it.
        schedule.at(rest.min(*steps))
    }
}
