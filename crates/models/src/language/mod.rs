//! Language models: an embedding, LSTM layers, and a softmax over the vocabulary.

mod config;
mod features;
mod masks;
mod state;

use std::{collections::HashMap, path::Path};

use candle_core::{DType, Device, Tensor, Var};
use lookahead_kernels::{LstmState, linear, linear_cross_entropy, masked_linear_cross_entropy};

pub use self::config::{LanguageDropout, LanguageModelConfig};
pub use self::features::LanguageFeatures;
use self::features::Outputs;
pub use self::state::LanguageState;
use crate::{
    BatchNormConfig, Error, Loaded, Pass, Result, Weights,
    init::Init,
    layers::weight,
    store::{Store, StoreBuilder},
};

/// An LSTM language model, which predicts the next token.
///
/// | parameter | shape | |
/// | --- | --- | --- |
/// | `embedding.weight` | (V, E) | shared with the output if tied |
/// | `lstm.weight_ih_l0`, `lstm.weight_hh_l0` | (4 H, E), (4 H, H) | PyTorch's names and gate order; `l1` and so on for the layers above |
/// | `lstm.bias_ih_l0`, `lstm.bias_hh_l0` | (4 H) each | |
/// | `decoder.weight` | (V, H) | only if the output is not tied |
/// | `decoder.bias` | (V) | |
///
/// Tokens are u32 (T, B): T steps of B parallel texts, each of which continues in the next window. The caller keeps the state between
/// windows.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use lookahead_models::{LanguageModel, LanguageModelConfig, Pass};
///
/// let config = LanguageModelConfig { embedding: 16, hidden: 16, ..LanguageModelConfig::words(50) };
/// let model = LanguageModel::new(&config, 1, DType::F32, &Device::Cpu)?;
/// let tokens = Tensor::zeros((5, 2), DType::U32, &Device::Cpu)?; // five steps of two texts
/// let mut state = model.begin(2)?;
/// for step in 0..2 {
///     let (loss, after) = model.loss(&tokens, &tokens, &state, Pass::Train { step })?;
///     let gradients = loss.backward()?;
///     state = after.detach();
/// #   assert!(model.parameters().iter().all(|(_, var)| gradients.get(var).is_some()));
/// }
/// # Ok::<(), lookahead_models::Error>(())
/// ```
///
/// # References
///
/// Zaremba et al. 2014, *Recurrent Neural Network Regularization*; Inan et al. 2017 and Press and Wolf 2017 for the tied output;
/// Merity et al. 2018, *Regularizing and Optimizing LSTM Language Models*.
#[derive(Debug)]
pub struct LanguageModel {
    config: LanguageModelConfig,
    seed: u64,
    dtype: DType,
    device: Device,
    embedding: Var,
    layers: Vec<Layer>,
    /// `None` if the output is tied.
    decoder: Option<Var>,
    bias: Var,
    store: Store,
}

#[derive(Debug)]
struct Layer {
    weight_ih: Var,
    weight_hh: Var,
    bias_ih: Var,
    bias_hh: Var,
}

impl LanguageModel {
    /// A model with fresh weights, which depend only on `seed` and the parameters' names; `seed` also determines the dropout masks.
    ///
    /// `dtype` is f32 or f64.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the configuration is invalid.
    pub fn new(config: &LanguageModelConfig, seed: u64, dtype: DType, device: &Device) -> Result<Self> {
        config.validate()?;
        if ![DType::F32, DType::F64].contains(&dtype) {
            return Err(Error::Config { field: "dtype", value: format!("{dtype:?}"), rule: "F32 or F64" });
        }
        let mut store = StoreBuilder::new(seed, dtype, device, BatchNormConfig::default(), None)?;
        let init = |bound: f64| Init::Uniform(config.uniform.unwrap_or(bound));
        let (vocabulary, width) = (config.vocabulary, config.embedding);
        let table = store.parameter("embedding.weight".into(), &[vocabulary, width], init(0.1))?;
        let (mut inputs, mut layers) = (width, Vec::with_capacity(config.layers));
        for (index, units) in config.units().into_iter().enumerate() {
            let init = init(1.0 / (units as f64).sqrt());
            let mut of = |name: &str, shape: &[usize]| store.parameter(format!("lstm.{name}_l{index}"), shape, init);
            layers.push(Layer {
                weight_ih: of("weight_ih", &[4 * units, inputs])?,
                weight_hh: of("weight_hh", &[4 * units, units])?,
                bias_ih: of("bias_ih", &[4 * units])?,
                bias_hh: of("bias_hh", &[4 * units])?,
            });
            inputs = units;
        }
        let decoder = match config.tied {
            true => None,
            false => Some(store.parameter("decoder.weight".into(), &[vocabulary, inputs], init(0.1))?),
        };
        let bias = config.uniform.map_or(Init::Constant(0.0), Init::Uniform);
        let bias = store.parameter("decoder.bias".into(), &[vocabulary], bias)?;
        let (config, device, store) = (config.clone(), device.clone(), store.store);
        Ok(Self { config, seed, dtype, device, embedding: table, layers, decoder, bias, store })
    }

    /// The initial state of `batch` texts: zeros.
    ///
    /// # Errors
    ///
    /// A candle error if memory cannot be allocated.
    pub fn begin(&self, batch: usize) -> Result<LanguageState> {
        let zeros = |units| Ok(LstmState::zeros(batch, units, self.dtype, &self.device)?);
        Ok(LanguageState { layers: self.config.units().into_iter().map(zeros).collect::<Result<_>>()? })
    }

    /// Restores a state from its [tensors](LanguageState::tensors), usually from a checkpoint; other tensors are ignored.
    ///
    /// # Errors
    ///
    /// A tensor that is missing, or not (B, units) with the same B everywhere.
    pub fn resume(&self, tensors: &HashMap<String, Tensor>) -> Result<LanguageState> {
        let (op, mut batch, mut layers) = ("LanguageModel::resume", None, Vec::with_capacity(self.layers.len()));
        for (layer, units) in self.config.units().into_iter().enumerate() {
            let (hidden, cell) = state::names(layer);
            let mut find = |name: String| -> Result<Tensor> {
                let Some(tensor) = tensors.get(&name) else {
                    return Err(Error::StateMissing { name });
                };
                let rows = *batch.get_or_insert(tensor.dims().first().copied().unwrap_or(0));
                if tensor.dims() != [rows, units] {
                    let (expected, got) = (format!("({rows}, {units})"), tensor.dims().to_vec());
                    return Err(lookahead_kernels::Error::Shape { op, argument: "state", expected, got }.into());
                }
                Ok(tensor.to_device(&self.device)?.to_dtype(self.dtype)?)
            };
            layers.push(LstmState { hidden: find(hidden)?, cell: find(cell)? });
        }
        Ok(LanguageState { layers })
    }

    /// Logits (T, B, V) of the token after each of `tokens`, u32 (T, B), and the state after the last step.
    ///
    /// # Errors
    ///
    /// Errors of [`features`](Self::features).
    pub fn forward(&self, tokens: &Tensor, state: &LanguageState, pass: Pass) -> Result<(Tensor, LanguageState)> {
        let features = self.features(tokens, state, pass)?;
        let (output, bias) = self.output(pass);
        Ok((linear(&features.dropped, &output, Some(&bias))?, features.state))
    }

    /// The mean cross-entropy of `targets`, u32 (T, B), in nats per token, and the state after the window.
    ///
    /// # Errors
    ///
    /// Errors of [`features`](Self::features), for tokens and targets.
    pub fn loss(
        &self,
        tokens: &Tensor,
        targets: &Tensor,
        state: &LanguageState,
        pass: Pass,
    ) -> Result<(Tensor, LanguageState)> {
        let Outputs { raw, mask, state } = self.outputs(tokens, state, pass)?;
        let Some(mask) = mask else { return Ok((self.loss_of(&raw, targets, pass)?, state)) };
        let (output, bias) = self.output(pass);
        Ok((masked_linear_cross_entropy(&raw, &mask, &output, Some(&bias), targets, 0.0)?, state))
    }

    /// The mean cross-entropy of `targets`, in nats per token, from [`features`](Self::features) computed before.
    ///
    /// # Errors
    ///
    /// Targets of another count or dtype, or beyond the vocabulary.
    pub fn loss_of(&self, features: &Tensor, targets: &Tensor, pass: Pass) -> Result<Tensor> {
        let (output, bias) = self.output(pass);
        Ok(linear_cross_entropy(features, &output, Some(&bias), targets, 0.0)?)
    }

    fn output(&self, pass: Pass) -> (Tensor, Tensor) {
        (weight(self.decoder.as_ref().unwrap_or(&self.embedding), pass), weight(&self.bias, pass))
    }

    /// Trainable parameters, sorted by name.
    pub fn parameters(&self) -> Vec<(String, Var)> {
        self.store.parameters()
    }

    /// Number of trainable values.
    pub fn parameter_count(&self) -> usize {
        self.store.parameter_count()
    }

    /// The dtype, as passed to [`new`](Self::new).
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The configuration of this model.
    pub fn config(&self) -> &LanguageModelConfig {
        &self.config
    }

    /// The parameters by name, sharing storage with the model. The carried state is not included.
    #[doc(alias = "state_dict")]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        self.store.state()
    }

    /// Loads the weights of a model of the same shape, as [`ResNet::load`](crate::ResNet::load) does.
    ///
    /// # Errors
    ///
    /// [`Error::Weights`] with every name that is missing, unexpected, of another shape or not floating-point; the model is then unchanged.
    #[doc(alias = "load_state_dict")]
    pub fn load(&self, weights: impl Into<Weights>) -> Result<Loaded> {
        self.store.load(weights.into(), false)
    }

    /// Writes the parameters to a safetensors file.
    ///
    /// # Errors
    ///
    /// [`Error::File`] if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.store.save(path.as_ref())
    }
}
