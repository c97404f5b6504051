use crate::{Error, Result};

/// The two settings of every batch norm in a network.
///
/// | field      | meaning                                                                  | default | range     |
/// |------------|--------------------------------------------------------------------------|---------|-----------|
/// | `momentum` | weight of the new batch: `running = (1 - momentum) * running + momentum * batch` | 0.1    | \[0, 1\] |
/// | `eps`      | added to the variance inside the square root                             | 1e-5    | above 0   |
///
/// Meanings and defaults are PyTorch's. TensorFlow's momentum is one minus this one. PyTorch's `momentum=None`, the mean over all batches,
/// is not supported.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct BatchNormConfig {
    /// Weight of the new batch in the running statistics.
    pub momentum: f64,
    /// Added to the variance inside the square root.
    pub eps: f64,
}

impl Default for BatchNormConfig {
    fn default() -> Self {
        Self { momentum: 0.1, eps: 1e-5 }
    }
}

impl BatchNormConfig {
    pub(crate) fn validate(&self) -> Result<()> {
        let Self { momentum, eps } = *self;
        if !(0.0..=1.0).contains(&momentum) {
            return Err(Error::Config { field: "batch_norm.momentum", value: momentum.to_string(), rule: "in [0, 1]" });
        }
        if !(eps > 0.0 && eps.is_finite()) {
            return Err(Error::Config { field: "batch_norm.eps", value: eps.to_string(), rule: "above 0, and finite" });
        }
        Ok(())
    }
}
