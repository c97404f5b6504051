use crate::{Error, Result};

/// The configuration of a [`LanguageModel`](crate::LanguageModel).
///
/// | field | meaning | default | range |
/// |---|---|---|---|
/// | `vocabulary` | number of tokens | 10,000 | >= 1 |
/// | `embedding` | embedding width | 200 | >= 1 |
/// | `hidden` | units of an LSTM layer, including the last one if the output is not tied | 200 | >= 1 |
/// | `layers` | LSTM layers | 2 | >= 1 |
/// | `tied` | the output layer shares the embedding; the last LSTM layer then has `embedding` units | true | |
/// | `uniform` | bound of a uniform initialisation of every parameter | none | above 0 |
/// | `dropout` | dropout rates | none | [`LanguageDropout`] |
///
/// Without `uniform`, embedding and untied output start uniform within 0.1, the output's bias at 0, and each layer within 1 / sqrt(units),
/// as PyTorch's `nn.LSTM` does.
///
/// ```
/// use lookahead_models::LanguageModelConfig;
///
/// assert_eq!(LanguageModelConfig::awd_lstm(10_000).units(), [1150, 1150, 400]);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct LanguageModelConfig {
    /// Number of tokens.
    pub vocabulary: usize,
    /// Embedding width.
    pub embedding: usize,
    /// Units of an LSTM layer.
    pub hidden: usize,
    /// LSTM layers.
    pub layers: usize,
    /// Whether the output layer shares the embedding.
    pub tied: bool,
    /// Bound of a uniform initialisation of every parameter.
    pub uniform: Option<f64>,
    /// Dropout rates.
    pub dropout: LanguageDropout,
}

/// Dropout rates in training, each in [0, 1): entries that stay are scaled by 1 / (1 - rate).
///
/// | field | what is dropped |
/// |---|---|
/// | `rows` | tokens: whole rows of the embedding, for all occurrences; a tied output keeps them |
/// | `input` | the input of the first layer |
/// | `between` | the activations between layers |
/// | `output` | the output of the last layer |
/// | `recurrent` | recurrent weights, with one mask for all steps of a pass (DropConnect) |
/// | `locked` | whether `input`, `between` and `output` drop the same units at all steps of a pass instead of single elements |
///
/// # References
///
/// Zaremba et al. 2014 (elements), Gal and Ghahramani 2016 (locked, rows), Merity et al. 2018 (recurrent weights).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct LanguageDropout {
    /// Rate for whole rows of the embedding.
    pub rows: f64,
    /// Rate for the input of the first layer.
    pub input: f64,
    /// Rate for the activations between layers.
    pub between: f64,
    /// Rate for the output of the last layer.
    pub output: f64,
    /// Rate for recurrent weights.
    pub recurrent: f64,
    /// Whether all steps share a mask.
    pub locked: bool,
}

impl LanguageDropout {
    /// Dropout of elements, at the same rate everywhere but in the recurrence, as in Zaremba et al.
    pub fn elements(rate: f64) -> Self {
        Self { input: rate, between: rate, output: rate, ..Self::default() }
    }
}

impl Default for LanguageModelConfig {
    fn default() -> Self {
        Self {
            vocabulary: 10_000,
            embedding: 200,
            hidden: 200,
            layers: 2,
            tied: true,
            uniform: None,
            dropout: LanguageDropout::default(),
        }
    }
}

impl LanguageModelConfig {
    /// Words: two tied layers of 200 units, dropout 0.2. PyTorch's `word_language_model` example, tied.
    pub fn words(vocabulary: usize) -> Self {
        Self { vocabulary, dropout: LanguageDropout::elements(0.2), ..Self::default() }
    }

    /// Characters: one tied layer of 256 units, dropout 0.2.
    pub fn characters(vocabulary: usize) -> Self {
        Self { embedding: 256, hidden: 256, layers: 1, ..Self::words(vocabulary) }
    }

    /// Zaremba et al. 2014, small: two layers of 200 units, untied output, no dropout.
    pub fn zaremba_small(vocabulary: usize) -> Self {
        Self { vocabulary, tied: false, uniform: Some(0.1), ..Self::default() }
    }

    /// Zaremba et al. 2014, medium: two layers of 650 units, untied output, dropout 0.5.
    pub fn zaremba_medium(vocabulary: usize) -> Self {
        let (uniform, dropout) = (Some(0.05), LanguageDropout::elements(0.5));
        Self { embedding: 650, hidden: 650, uniform, dropout, ..Self::zaremba_small(vocabulary) }
    }

    /// AWD-LSTM of Merity et al. 2018 with the dropout of its recipe for Penn Treebank: 400, 1150, 1150, 400, tied.
    pub fn awd_lstm(vocabulary: usize) -> Self {
        let dropout =
            LanguageDropout { rows: 0.1, input: 0.4, between: 0.25, output: 0.4, recurrent: 0.5, locked: true };
        Self { vocabulary, embedding: 400, hidden: 1150, layers: 3, dropout, ..Self::default() }
    }

    /// The units of each layer.
    pub fn units(&self) -> Vec<usize> {
        let mut units = vec![self.hidden; self.layers];
        if let Some(last) = units.last_mut().filter(|_| self.tied) {
            *last = self.embedding;
        }
        units
    }

    /// Checks every field against the table above.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the first field out of range.
    pub fn validate(&self) -> Result<()> {
        let refuse = |field, value: String, rule| Err(Error::Config { field, value, rule });
        let sizes = [("vocabulary", self.vocabulary), ("embedding", self.embedding), ("hidden", self.hidden)];
        for (field, size) in sizes.into_iter().chain([("layers", self.layers)]) {
            if size == 0 {
                return refuse(field, "0".to_string(), "at least 1");
            }
        }
        if let Some(bound) = self.uniform.filter(|bound| !(*bound > 0.0 && bound.is_finite())) {
            return refuse("uniform", bound.to_string(), "above 0, and finite");
        }
        let LanguageDropout { rows, input, between, output, recurrent, .. } = self.dropout;
        for (field, rate) in [
            ("dropout.rows", rows),
            ("dropout.input", input),
            ("dropout.between", between),
            ("dropout.output", output),
            ("dropout.recurrent", recurrent),
        ] {
            if !(0.0..1.0).contains(&rate) {
                return refuse(field, rate.to_string(), "in [0, 1)");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_describes_no_model_is_refused_by_name() {
        let fresh = LanguageModelConfig::default;
        let rate = LanguageDropout { recurrent: 1.0, ..LanguageDropout::default() };
        for (config, field) in [
            (LanguageModelConfig { vocabulary: 0, ..fresh() }, "vocabulary"),
            (LanguageModelConfig { layers: 0, ..fresh() }, "layers"),
            (LanguageModelConfig { uniform: Some(0.0), ..fresh() }, "uniform"),
            (LanguageModelConfig { dropout: rate, ..fresh() }, "dropout.recurrent"),
        ] {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
        for config in [LanguageModelConfig::words(5), LanguageModelConfig::awd_lstm(5)] {
            config.validate().unwrap();
        }
    }
}
