//! Methods that configurations with the same fields share.

/// The methods of a [`Rule`](super::Rule) whose configuration has the usual fields.
macro_rules! usual_fields {
    () => {
        fn learning_rate(&self) -> f64 {
            self.learning_rate
        }

        fn set_learning_rate(&mut self, learning_rate: f64) {
            self.learning_rate = learning_rate;
        }

        fn groups(&self) -> &[crate::Group] {
            &self.groups
        }

        fn gradients(&self) -> crate::Gradients {
            self.gradients
        }
    };
}
pub(crate) use usual_fields;

/// The methods of a [`Rule`](super::Rule) whose first rate is set by a momentum schedule.
macro_rules! momentum_is_beta1 {
    () => {
        fn momentum(&self) -> Option<f64> {
            Some(self.beta1)
        }

        fn set_momentum(&mut self, momentum: f64) {
            self.beta1 = momentum;
        }
    };
}
pub(crate) use momentum_is_beta1;

/// Makes a bare learning rate a configuration.
macro_rules! from_learning_rate {
    ($config:ty) => {
        /// The defaults with this learning rate.
        impl From<f64> for $config {
            fn from(learning_rate: f64) -> Self {
                Self { learning_rate, ..Self::default() }
            }
        }
    };
}
pub(crate) use from_learning_rate;
