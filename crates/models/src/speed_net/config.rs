use crate::{BatchNormConfig, Error, Result};

/// The shape of a [`SpeedNet`](crate::SpeedNet). The default is airbench94's, for ten classes: 1.97 million parameters.
///
/// | field         | meaning                                             | default         | range                           |
/// |---------------|-----------------------------------------------------|-----------------|---------------------------------|
/// | `widths`      | channels of each group                              | 64, 256, 256    | at least one group, each >= 1   |
/// | `classes`     | width of the last layer                             | 10              | >= 1                            |
/// | `batch_norm`  | momentum and eps of every batch norm                | 0.4 and 1e-12   | [`BatchNormConfig`]             |
/// | `logit_scale` | factor on the logits                                | 1 / 9           | finite, not 0                   |
/// | `whitening_eps` | added to the eigenvalues of the patches' covariance | 5e-4          | above 0                         |
///
/// ```
/// use lookahead_models::SpeedNetConfig;
///
/// let half = SpeedNetConfig::default().scaled(0.5)?;
/// assert_eq!(half.widths, [32, 128, 128]);
/// # Ok::<(), lookahead_models::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct SpeedNetConfig {
    /// Channels of each group.
    pub widths: Vec<usize>,
    /// Width of the last layer.
    pub classes: usize,
    /// Momentum and eps of every batch norm.
    pub batch_norm: BatchNormConfig,
    /// Factor on the logits.
    pub logit_scale: f64,
    /// Added to the eigenvalues of the patches' covariance.
    pub whitening_eps: f64,
}

impl Default for SpeedNetConfig {
    fn default() -> Self {
        Self {
            widths: vec![64, 256, 256],
            classes: 10,
            batch_norm: BatchNormConfig { momentum: 0.4, eps: 1e-12 },
            logit_scale: 1.0 / 9.0,
            whitening_eps: 5e-4,
        }
    }
}

impl SpeedNetConfig {
    /// The same with every width multiplied by `factor`, rounded to a multiple of 16 and at least 16.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] unless the factor is finite and above 0.
    pub fn scaled(mut self, factor: f64) -> Result<Self> {
        if !(factor > 0.0 && factor.is_finite()) {
            let (field, value, rule) = ("width factor", factor.to_string(), "above 0, and finite");
            return Err(Error::Config { field, value, rule });
        }
        for width in &mut self.widths {
            *width = ((*width as f64 * factor / 16.0).round() as usize).max(1) * 16;
        }
        Ok(self)
    }

    /// The image sides that the groups' pools reduce to one pixel under the last pool, which is 3x3.
    pub(super) fn sides(&self) -> std::ops::RangeInclusive<usize> {
        let groups = self.widths.len() as u32;
        // The whitening removes a pixel; each group halves and rounds down.
        (3 << groups) + 1..=(6 << groups)
    }

    pub(super) fn validate(&self) -> Result<()> {
        let refuse = |field, value: String, rule| Err(Error::Config { field, value, rule });
        if self.widths.is_empty() || self.widths.len() > 8 {
            return refuse("widths", format!("{:?}", self.widths), "one to eight groups");
        }
        if self.widths.contains(&0) {
            return refuse("widths", format!("{:?}", self.widths), "at least 1 each");
        }
        if self.classes == 0 {
            return refuse("classes", "0".to_string(), "at least 1");
        }
        if !self.logit_scale.is_finite() || self.logit_scale == 0.0 {
            return refuse("logit_scale", self.logit_scale.to_string(), "finite, and not 0");
        }
        if !(self.whitening_eps > 0.0 && self.whitening_eps.is_finite()) {
            return refuse("whitening_eps", self.whitening_eps.to_string(), "above 0, and finite");
        }
        self.batch_norm.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_scaled_to_sixteens() {
        let scaled = |factor| SpeedNetConfig::default().scaled(factor).unwrap().widths;
        assert_eq!(scaled(1.0), [64, 256, 256]);
        assert_eq!(scaled(0.4), [32, 96, 96]); // 25.6 and 102.4
        assert_eq!(scaled(0.01), [16, 16, 16]);
        for factor in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(SpeedNetConfig::default().scaled(factor).is_err(), "{factor}");
        }
    }

    /// 25 - 1 = 24 halves to 12, 6, 3; 48 - 1 = 47 to 23, 11, 5, which a 3x3 pool still reduces to one pixel.
    #[test]
    fn sides_are_those_that_end_in_one_pixel() {
        assert_eq!(SpeedNetConfig::default().sides(), 25..=48);
    }

    #[test]
    fn what_describes_no_network_is_refused_by_name() {
        let fresh = SpeedNetConfig::default;
        for (config, field) in [
            (SpeedNetConfig { widths: vec![], ..fresh() }, "widths"),
            (SpeedNetConfig { widths: vec![16, 0], ..fresh() }, "widths"),
            (SpeedNetConfig { classes: 0, ..fresh() }, "classes"),
            (SpeedNetConfig { logit_scale: f64::NAN, ..fresh() }, "logit_scale"),
            (SpeedNetConfig { whitening_eps: 0.0, ..fresh() }, "whitening_eps"),
            (
                SpeedNetConfig { batch_norm: BatchNormConfig { momentum: 2.0, eps: 1.0 }, ..fresh() },
                "batch_norm.momentum",
            ),
        ] {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
        fresh().validate().unwrap();
    }
}
