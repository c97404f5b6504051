//! The optimizers that a row can have. Register new ones here.

use candle_core::Var;
use lookahead_optim::rule::Rule;
use lookahead_optim::{
    Adadelta, AdadeltaConfig, Adagrad, AdagradConfig, AdamW, AdamWConfig, Adamax, AdamaxConfig, Lion, LionConfig,
    Momentum, Muon, MuonConfig, NAdam, NAdamConfig, Optimizer, RAdam, RAdamConfig, Result, RmsProp, RmsPropConfig,
    ScheduleFreeAdamW, ScheduleFreeAdamWConfig, ScheduleFreeSgd, ScheduleFreeSgdConfig, Sgd, SgdConfig,
};
use serde::{Deserialize, Serialize};

/// Defines [`Inner`] from lines of name, title, configuration and optimizer.
macro_rules! inner_optimizers {
    ($($(#[$doc:meta])* $name:literal, $title:literal, $variant:ident($config:ty => $optimizer:ty);)*) => {
        /// The inner optimizer with its settings.
        ///
        /// In a file: a table with one key, its kind: `inner = { sgd = { learning_rate = 0.4 } }`. Omitted settings
        /// have the defaults of `lookahead-optim`.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub enum Inner {
            $($(#[$doc])* #[serde(rename = $name)] $variant($config),)*
        }

        impl Inner {
            /// The kind, as spelt in files.
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }

            /// The title in tables.
            pub fn title(&self) -> &'static str {
                match self { $(Self::$variant(_) => $title,)* }
            }

            /// The learning rate; the peak, if the schedule has one.
            pub fn learning_rate(&self) -> f64 {
                match self { $(Self::$variant(config) => config.learning_rate(),)* }
            }

            /// Sets the learning rate.
            pub fn set_learning_rate(&mut self, learning_rate: f64) {
                match self { $(Self::$variant(config) => config.set_learning_rate(learning_rate),)* }
            }

            /// Checks the settings.
            ///
            /// # Errors
            /// The first setting that is out of range.
            pub fn validate(&self) -> Result<()> {
                match self { $(Self::$variant(config) => config.validate(),)* }
            }

            /// Builds the optimizer over `parameters`.
            ///
            /// # Errors
            /// A setting out of range; a group that matches no parameter.
            pub fn build(&self, parameters: Vec<(String, Var)>) -> Result<Box<dyn Optimizer>> {
                Ok(match self { $(Self::$variant(config) => Box::new(<$optimizer>::new(parameters, config.clone())?),)* })
            }
        }
    };
}

inner_optimizers! {
    /// Stochastic gradient descent.
    "sgd", "SGD", Sgd(SgdConfig => Sgd);
    /// Adam with decoupled weight decay.
    "adamw", "AdamW", AdamW(AdamWConfig => AdamW);
    /// RMSProp.
    "rmsprop", "RMSProp", RmsProp(RmsPropConfig => RmsProp);
    /// RAdam; with Lookahead around it, Ranger.
    "radam", "RAdam", RAdam(RAdamConfig => RAdam);
    /// NAdam.
    "nadam", "NAdam", NAdam(NAdamConfig => NAdam);
    /// Adamax.
    "adamax", "Adamax", Adamax(AdamaxConfig => Adamax);
    /// Adagrad.
    "adagrad", "Adagrad", Adagrad(AdagradConfig => Adagrad);
    /// Adadelta.
    "adadelta", "Adadelta", Adadelta(AdadeltaConfig => Adadelta);
    /// Lion.
    "lion", "Lion", Lion(LionConfig => Lion);
    /// Muon for matrices and filters, AdamW for the rest.
    "muon", "Muon", Muon(MuonConfig => Muon);
    /// Schedule-Free SGD.
    "schedule-free-sgd", "Schedule-Free SGD", ScheduleFreeSgd(ScheduleFreeSgdConfig => ScheduleFreeSgd);
    /// Schedule-Free AdamW.
    "schedule-free-adamw", "Schedule-Free AdamW", ScheduleFreeAdamW(ScheduleFreeAdamWConfig => ScheduleFreeAdamW);
}

impl Inner {
    /// Whether the optimizer keeps a state between steps, which a sync may reset.
    pub(crate) fn has_state(&self) -> bool {
        !matches!(self, Self::Sgd(sgd) if sgd.momentum == Momentum::None)
    }
}
