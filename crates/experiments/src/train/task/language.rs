//! Language: the next token of a text, cross-entropy, perplexity.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use lookahead_data::{SampleRng, TextUnit, TextWindows};
use lookahead_models::{LanguageModel, LanguageState, Pass};
use lookahead_runs::Scores;

use super::{Evaluation, Judge, Task};
use crate::config::{ConfigError, ModelConfig, RunConfig};
use crate::error::{Error, Result};
use crate::parts::{self, TextData};
use crate::train::Interrupt;

/// A model that reads a text at several places in parallel, window by window, and carries its state from one to the
/// next.
#[derive(Debug)]
pub struct Language<'a> {
    run: &'a RunConfig,
    data: &'a TextData,
    device: &'a Device,
    model: LanguageModel,
    windows: TextWindows,
    /// The state after the last window whose loss was computed.
    state: LanguageState,
    /// The next window.
    next: usize,
    /// Tokens and targets of the loaded window.
    window: Option<(Tensor, Tensor)>,
}

/// Number of tokens that [`Language::sample`] generates.
const SAMPLE_WORDS: usize = 120;
const SAMPLE_CHARACTERS: usize = 600;

impl<'a> Language<'a> {
    /// The model of `run` and the text of `data`.
    ///
    /// # Errors
    /// A text too short for its batch; errors of the model.
    pub fn new(run: &'a RunConfig, data: &'a TextData, device: &'a Device) -> Result<Self> {
        let batch = run.config.train.batch_size;
        let most = data.train.len() / 2;
        if batch > most {
            return Err(Error::Config(ConfigError::OutOfRange {
                key: "train.batch_size".to_owned(),
                rule: format!("at most half the number of training tokens ({most})").into(),
                value: batch.to_string(),
            }));
        }
        let model = parts::language_model(&run.config, data, run.seed, device)?;
        let windows = data.train_windows(batch, run.config.text()?.steps)?;
        let state = model.begin(batch)?;
        Ok(Self { run, data, device, model, windows, state, next: 0, window: None })
    }

    /// Like [`new`](Self::new), with another model.
    ///
    /// # Errors
    /// Candle errors, such as too little memory.
    #[cfg(test)]
    pub(in crate::train) fn with(self, model: LanguageModel) -> Result<Self> {
        let state = model.begin(self.run.config.train.batch_size)?;
        Ok(Self { model, state, ..self })
    }

    /// The mean loss of all of `tokens`, read from a zero state. The state of training is not changed.
    fn evaluate(&self, tokens: &Arc<[u32]>, interrupt: &Interrupt) -> Result<Option<Evaluation>> {
        let windows = TextData::judged(tokens, self.run.config.text()?.steps)?;
        let (mut sum, mut state) = (0.0, None);
        for position in 0..windows.len() {
            if interrupt.is_asked() {
                return Ok(None);
            }
            let window = windows.window(position)?;
            let (tokens, targets) = window.to_device(self.device)?;
            let before = match state.take() {
                Some(state) => state,
                None => self.model.begin(window.batch)?,
            };
            let (loss, after) = self.model.loss(&tokens, &targets, &before, Pass::Eval)?;
            sum += loss.to_dtype(DType::F64)?.to_scalar::<f64>()? * window.targets.len() as f64;
            state = Some(after.detach());
        }
        let loss = sum / windows.targets() as f64;
        Ok(Some(Evaluation { loss, scores: Scores::of_language(loss), classes: None }))
    }

    /// Merity et al.'s regularisation of the last layer's output (T, B, units): `dropped` is kept small, `raw` is kept
    /// slow.
    fn regularisation(&self, dropped: &Tensor, raw: &Tensor) -> Result<Option<Tensor>> {
        let ModelConfig::Lstm(parts) = &self.run.config.model else { return Ok(None) };
        let mut sum = None;
        if parts.activation > 0.0 {
            sum = Some((dropped.sqr()?.mean_all()? * parts.activation)?);
        }
        let steps = raw.dim(0)?;
        if parts.slowness > 0.0 && steps > 1 {
            let change = (raw.narrow(0, 1, steps - 1)? - raw.narrow(0, 0, steps - 1)?)?;
            let slowness = (change.sqr()?.mean_all()? * parts.slowness)?;
            sum = Some(sum.map_or(Ok(slowness.clone()), |sum| sum + &slowness)?);
        }
        Ok(sum)
    }
}

impl Task for Language<'_> {
    fn parameters(&self) -> Vec<(String, Var)> {
        self.model.parameters()
    }

    fn buffers(&self) -> Vec<(String, Var)> {
        Vec::new()
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.model.state()
    }

    fn batches_per_epoch(&self) -> usize {
        self.windows.len()
    }

    fn seen(&self, batches: usize) -> usize {
        let (epochs, rest) = (batches / self.windows.len(), batches % self.windows.len());
        // All windows but an epoch's last are whole.
        epochs * self.windows.targets() + rest * self.windows.steps() * self.windows.batch()
    }

    fn begin(&mut self, _epoch: usize, batch: usize) -> Result<()> {
        if batch == 0 {
            self.state = self.model.begin(self.run.config.train.batch_size)?;
        }
        self.next = batch;
        Ok(())
    }

    fn load(&mut self) -> Result<bool> {
        if self.next == self.windows.len() {
            return Ok(false);
        }
        self.window = Some(self.windows.window(self.next)?.to_device(self.device)?);
        self.next += 1;
        Ok(true)
    }

    fn loss(&mut self, pass: Pass) -> Result<Tensor> {
        let Some((tokens, targets)) = self.window.take() else {
            return Err(candle_core::Error::msg("no window was loaded").into());
        };
        let features = self.model.features(&tokens, &self.state, pass)?;
        let loss = self.model.loss_of(&features.dropped, &targets, pass)?;
        let more = self.regularisation(&features.dropped, &features.raw)?;
        // Gradients do not go back beyond the window.
        self.state = features.state.detach();
        Ok(match more {
            Some(more) => (loss + more)?,
            None => loss,
        })
    }

    fn carried(&self) -> Result<Vec<(String, Var)>> {
        self.state.tensors().into_iter().map(|(name, tensor)| Ok((name, Var::from_tensor(&tensor)?))).collect()
    }

    fn carry_on(&mut self, carried: &[(String, Var)]) -> Result<()> {
        let tensors = carried.iter().map(|(name, var)| (name.clone(), var.as_detached_tensor())).collect();
        self.state = self.model.resume(&tensors)?;
        Ok(())
    }

    fn has_test(&self) -> bool {
        self.data.test.is_some()
    }

    fn judge(&self, part: Judge<'_>, interrupt: &Interrupt) -> Result<Option<Evaluation>> {
        match part {
            Judge::Valid(_) => self.evaluate(&self.data.valid, interrupt),
            Judge::Test(at) => {
                let test = self.data.test.as_ref().ok_or(Error::NoTest)?.open(&self.run.config, at)?;
                self.evaluate(test, interrupt)
            }
        }
    }

    /// Draws tokens one after another from the model's distribution, starting after the end of a line. The run's seed
    /// determines the draws, so the same weights generate the same text.
    fn sample(&self) -> Result<Option<String>> {
        let vocabulary = &self.data.vocabulary;
        let (end, count) = match vocabulary.unit() {
            TextUnit::Words => ("<eos>", SAMPLE_WORDS),
            TextUnit::Characters => ("\n", SAMPLE_CHARACTERS),
        };
        let mut token = vocabulary.number(end);
        let (mut state, mut written) = (self.model.begin(1)?, Vec::with_capacity(count));
        let mut rng = SampleRng::outside(self.run.seed, 0, 0);
        for _ in 0..count {
            let input = Tensor::new(&[[token]], self.device)?;
            let (logits, after) = self.model.forward(&input, &state, Pass::Eval)?;
            state = after.detach();
            let logits = logits.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
            token = drawn(&logits, rng.unit());
            written.push(token);
        }
        Ok(Some(vocabulary.text(&written)))
    }
}

/// The index at which the cumulative probability of `logits` passes `share`, in [0, 1).
fn drawn(logits: &[f64], share: f64) -> u32 {
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logits.iter().map(|logit| (logit - highest).exp()).collect();
    let mut left = share * weights.iter().sum::<f64>();
    let index = weights.iter().position(|weight| {
        left -= weight;
        left < 0.0
    });
    index.unwrap_or(logits.len().saturating_sub(1)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Probabilities 1/8, 2/8 and 5/8.
    #[test]
    fn tokens_are_drawn_by_their_probability() {
        let logits = [0.0, 2f64.ln(), 5f64.ln()];
        let at = |share| drawn(&logits, share);
        assert_eq!([0.0, 0.124, 0.126, 0.374, 0.376, 0.999].map(at), [0, 0, 1, 1, 2, 2]);
    }
}
