//! Muon: orthogonal steps for matrices, AdamW for the rest.

mod config;
mod orthogonal;

pub use config::{MuonConfig, StepScale};
pub use orthogonal::NewtonSchulz;

use crate::error::{below_one, not_negative};
use crate::gradients::Treatment;
use crate::group::{Scales, scales, selects};
use crate::parameter::{Parameter, Variables};
use crate::pull::pull_pairs;
use crate::ready::{Ready, ready};
use crate::{AdamW, Error, Optimizer, Result, State};
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

/// Steps with all singular values alike, for matrices; biases and other vectors go to [`AdamW`]. See [`MuonConfig`].
///
/// It uses candle's matrix products, on every device. Their cost does not depend on the batch: with five iterations, a step takes 10 to 15
/// multiplications per weight for each row of the matrix, or for each column if there are fewer.
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{Muon, MuonConfig};
///
/// let weight = Var::new(&[[3f64, 0.0], [0.0, 4.0]], &Device::Cpu)?;
/// let bias = Var::new(&[1f64], &Device::Cpu)?;
/// let named = [("fc.weight", weight.clone()), ("fc.bias", bias.clone())];
/// let mut muon = Muon::new(named, MuonConfig::default())?;
/// assert_eq!(muon.matrices().collect::<Vec<_>>(), ["fc.weight"]);
/// let loss = (weight.sqr()?.sum_all()? + bias.sqr()?.sum_all()?)?;
/// muon.step(&loss.backward()?)?;
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
#[derive(Debug)]
pub struct Muon {
    config: MuonConfig,
    parameters: Vec<Parameter>,
    matrices: Vec<Matrix>,
    /// `None` if every parameter is a matrix.
    rest: Option<AdamW>,
    /// AdamW's learning rate over Muon's.
    proportion: f64,
}

/// What groups select from, in messages: either list is easily taken for that of all parameters.
const CHOSEN: &str = "matrix of Muon's; the other parameters have `adamw.groups`";
const LEFT: &str = "parameter of AdamW's; Muon's matrices have `groups`";

#[derive(Debug)]
struct Matrix {
    /// Index of the parameter.
    index: usize,
    /// Its shape, with all dimensions but the first merged.
    rows: usize,
    columns: usize,
    scales: Scales,
    momentum: Var,
}

impl Muon {
    /// An optimizer of `variables` ([accepted forms](Variables)), sorted by name and split into matrices and the rest. `config` may be a
    /// bare learning rate, with defaults for everything else.
    ///
    /// # Errors
    /// As [`AdamW::new`](crate::rule::Fused::new); a pattern of `left_to_adamw` that matches no parameter; [`MuonConfig::validate`].
    pub fn new(variables: impl Into<Variables>, config: impl Into<MuonConfig>) -> Result<Self> {
        let config = config.into();
        config.validate()?;
        let parameters = Parameter::list(variables)?;
        for pattern in &config.left_to_adamw {
            if !parameters.iter().any(|parameter| selects(pattern, parameter.name())) {
                return Err(Error::UnmatchedGroup { pattern: pattern.clone(), searched: "parameter" });
            }
        }
        let is_matrix = |parameter: &Parameter| {
            let left = config.left_to_adamw.iter().any(|pattern| selects(pattern, parameter.name()));
            parameter.var().rank() >= 2 && parameter.var().elem_count() > 0 && !left
        };
        // Clones share the variables, and the master copies.
        let (chosen, rest): (Vec<Parameter>, Vec<Parameter>) = parameters.iter().cloned().partition(is_matrix);
        let rest = if rest.is_empty() { None } else { Some(AdamW::over(rest, config.adamw.clone(), LEFT)?) };
        let scales = scales(&config.groups, &chosen, CHOSEN)?;
        let matrix = |(parameter, scales): (&Parameter, Scales)| {
            let weights = parameter.weights();
            let rows = weights.dims()[0];
            let momentum = Var::zeros(weights.shape(), weights.dtype(), weights.device())?;
            let index = parameters.partition_point(|other| other.name() < parameter.name());
            Ok(Matrix { index, rows, columns: weights.elem_count() / rows, scales, momentum })
        };
        let matrices = chosen.iter().zip(scales).map(matrix).collect::<Result<_>>()?;
        let proportion = config.adamw.learning_rate / config.learning_rate;
        Ok(Self { config, parameters, matrices, rest, proportion })
    }

    /// The configuration, with the current learning rates and momentum.
    pub fn config(&self) -> &MuonConfig {
        &self.config
    }

    /// Names of the parameters that Muon updates, in order.
    pub fn matrices(&self) -> impl Iterator<Item = &str> {
        self.matrices.iter().map(|matrix| self.parameters[matrix.index].name())
    }

    /// The optimizer of the other parameters.
    pub fn rest(&self) -> Option<&AdamW> {
        self.rest.as_ref()
    }

    fn step_rest(&mut self, ready: &[Ready], treatment: &Treatment) -> Result<()> {
        let Some(rest) = &mut self.rest else { return Ok(()) };
        let (mut grads, mut has_any) = (GradStore::default(), false);
        for r in ready {
            if self.matrices.binary_search_by_key(&r.index, |matrix| matrix.index).is_err() {
                has_any = true;
                grads.insert(self.parameters[r.index].var(), treatment.apply(&r.gradient)?);
            }
        }
        if has_any { Optimizer::step(rest, &grads) } else { Ok(()) }
    }

    fn step_matrix(&self, matrix: &Matrix, gradient: &Tensor) -> Result<()> {
        let config = &self.config;
        let weights = self.parameters[matrix.index].weights();
        let (w, before) = (weights.as_detached_tensor(), matrix.momentum.as_detached_tensor());
        let lr = config.learning_rate * matrix.scales.learning_rate;
        let penalty = config.weight_decay.penalty(matrix.scales.weight_decay);
        let gradient = if penalty == 0.0 { gradient.clone() } else { (gradient + (&w * penalty)?)? };
        let momentum = (&before + ((&gradient - &before)? * (1.0 - config.momentum))?)?;
        let update = if config.nesterov {
            (&gradient + ((&momentum - &gradient)? * config.momentum)?)?
        } else {
            momentum.clone()
        };
        let update = config.newton_schulz.apply(&update.reshape((matrix.rows, matrix.columns))?)?;
        let shrinkage = config.weight_decay.shrinkage(matrix.scales.weight_decay, lr);
        let step = lr * config.step_scale.of(matrix.rows, matrix.columns);
        let moved = ((w * shrinkage)? - (update.reshape(weights.shape())? * step)?)?;
        matrix.momentum.set(&momentum)?;
        weights.set(&moved)?;
        self.parameters[matrix.index].publish()
    }
}

impl Optimizer for Muon {
    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn step(&mut self, grads: &GradStore) -> Result<()> {
        not_negative("learning_rate", self.config.learning_rate)?;
        let ready = ready(&self.parameters, grads)?;
        let treatment = self.config.gradients.treat(&ready, &self.parameters)?;
        self.step_rest(&ready, &treatment)?;
        for r in &ready {
            if let Ok(at) = self.matrices.binary_search_by_key(&r.index, |matrix| matrix.index) {
                self.step_matrix(&self.matrices[at], &treatment.apply(&r.gradient)?)?;
            }
        }
        Ok(())
    }

    fn learning_rate(&self) -> f64 {
        self.config.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.config.learning_rate = learning_rate;
        self.config.adamw.learning_rate = learning_rate * self.proportion;
        if let Some(rest) = &mut self.rest {
            rest.set_learning_rate(self.config.adamw.learning_rate);
        }
    }

    fn name(&self) -> &'static str {
        "muon"
    }

    fn momentum(&self) -> Option<f64> {
        Some(self.config.momentum)
    }

    fn set_momentum(&mut self, momentum: f64) -> Result<()> {
        below_one("momentum", momentum)?;
        self.config.momentum = momentum;
        Ok(())
    }

    fn state(&self) -> Result<State> {
        let mut state = State::new("muon");
        let settings = state.settings_mut();
        settings.set("nesterov", self.config.nesterov);
        settings.set("newton_schulz", format!("{:?}", self.config.newton_schulz));
        settings.set("step_scale", format!("{:?}", self.config.step_scale));
        settings.set("weight_decay", format!("{:?}", self.config.weight_decay));
        state.count("learning_rate", self.config.learning_rate);
        state.count("adamw_proportion", self.proportion);
        state.count("momentum", self.config.momentum);
        for matrix in &self.matrices {
            let parameter = &self.parameters[matrix.index];
            let (name, Scales { learning_rate, weight_decay }) = (parameter.name(), matrix.scales);
            if !parameter.is_named() {
                state.settings_mut().set(format!("unnamed.{name}"), format!("{:?}", parameter.var().id()));
            }
            state.settings_mut().set(format!("shape.{name}"), format!("{:?}", parameter.var().dims()));
            state.settings_mut().set(format!("scales.{name}"), format!("{learning_rate}, {weight_decay}"));
            state.insert(format!("momentum.{name}"), &matrix.momentum)?;
            if let Some(master) = parameter.master() {
                parameter.check_unchanged()?;
                state.insert(format!("master.{name}"), master)?;
            }
        }
        match &self.rest {
            Some(rest) => Ok(state.with_inner(rest.state()?)),
            None => Ok(state),
        }
    }

    fn load_state(&mut self, state: &State) -> Result<()> {
        state.check_fits(&Parameter::unchecked(&self.parameters, || self.state())?)?;
        let (learning_rate, momentum) = (state.counter::<f64>("learning_rate")?, state.counter::<f64>("momentum")?);
        let proportion = state.counter::<f64>("adamw_proportion")?;
        not_negative("learning_rate", learning_rate)?;
        not_negative("adamw_proportion", proportion)?;
        below_one("momentum", momentum)?;
        if let Some(rest) = &mut self.rest {
            rest.load_state(&state.inner())?;
            self.config.adamw.learning_rate = rest.learning_rate();
        }
        for matrix in &self.matrices {
            let parameter = &self.parameters[matrix.index];
            let set = |var: &Var, key: &str| -> Result<()> {
                Ok(var.set(&state.tensor(&format!("{key}.{}", parameter.name()))?.to_device(var.device())?)?)
            };
            set(&matrix.momentum, "momentum")?;
            if let Some(master) = parameter.master() {
                set(master, "master")?;
            }
        }
        self.parameters.iter().for_each(Parameter::forget);
        (self.config.learning_rate, self.config.momentum) = (learning_rate, momentum);
        self.proportion = proportion;
        Ok(())
    }

    fn reset_state(&mut self) -> Result<()> {
        for matrix in &self.matrices {
            matrix.momentum.set(&matrix.momentum.as_detached_tensor().zeros_like()?)?;
        }
        self.rest.as_mut().map_or(Ok(()), Optimizer::reset_state)
    }

    fn can_reset_state(&self) -> bool {
        true
    }

    fn interpolate_state(&mut self, anchor: &mut State, rate: f64) -> Result<()> {
        for matrix in &self.matrices {
            let key = format!("momentum.{}", self.parameters[matrix.index].name());
            let before = Var::from_tensor(anchor.tensor(&key)?)?;
            pull_pairs(&[(&matrix.momentum, &before)], rate, true)?;
            anchor.tensors.insert(key, before.as_detached_tensor());
        }
        if let Some(rest) = &mut self.rest {
            let mut inner = anchor.inner();
            rest.interpolate_state(&mut inner, rate)?;
            *anchor = std::mem::take(anchor).with_inner(inner);
        }
        Ok(())
    }
}
