//! What configurations with the same fields would each write again.

/// The methods of a [`Rule`](super::Rule) whose configuration has the fields that nearly all have.
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

/// The methods of a [`Rule`](super::Rule) whose first rate is what a momentum schedule drives.
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

/// A learning rate stands for the configuration that has it.
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
