//! Parameters: a name, a variable, and for half precision an f32 master copy.

use crate::{Error, Result};
use candle_core::{DType, Var};
use candle_nn::VarMap;

/// One trainable variable.
///
/// Updates are computed in f32 (f64 for f64 variables). A bf16 or f16 variable keeps an f32 master copy, on which updates
/// act; the variable is the master copy rounded. Without it, an update below 1/256 of a bf16 weight would be lost.
///
/// Clones share the variable.
#[derive(Debug, Clone)]
pub struct Parameter {
    name: String,
    var: Var,
    master: Option<Var>,
}

impl Parameter {
    /// Makes the parameters of an optimizer from (name, variable) pairs: sorted by name, with master copies.
    ///
    /// # Errors
    /// [`Error::DuplicateName`], [`Error::SameVariable`] where one variable has two names, [`Error::NotFloat`].
    ///
    /// ```
    /// use candle_core::{DType, Device, Var};
    /// use lookahead_optim::Parameter;
    ///
    /// let weight = Var::zeros((2, 3), DType::F32, &Device::Cpu)?;
    /// let bias = Var::zeros(2, DType::F32, &Device::Cpu)?;
    /// let list = Parameter::list(vec![("fc.weight".into(), weight), ("fc.bias".into(), bias)])?;
    /// assert_eq!(list[0].name(), "fc.bias");
    /// # Ok::<(), lookahead_optim::Error>(())
    /// ```
    pub fn list(mut named: Vec<(String, Var)>) -> Result<Vec<Self>> {
        named.sort_by(|a, b| a.0.cmp(&b.0));
        for pair in named.windows(2) {
            if pair[0].0 == pair[1].0 {
                return Err(Error::DuplicateName { name: pair[0].0.clone() });
            }
        }
        let mut seen = std::collections::HashMap::new();
        for (name, var) in &named {
            if let Some(first) = seen.insert(var.id(), name) {
                return Err(Error::SameVariable { first: first.clone(), second: name.clone() });
            }
        }
        named.into_iter().map(|(name, var)| Self::new(name, var)).collect()
    }

    fn new(name: String, var: Var) -> Result<Self> {
        let master = match var.dtype() {
            DType::F32 | DType::F64 => None,
            DType::F16 | DType::BF16 => Some(Var::from_tensor(&var.as_detached_tensor().to_dtype(DType::F32)?)?),
            dtype => return Err(Error::NotFloat { name, dtype }),
        };
        Ok(Self { name, var, master })
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The model's variable, whose gradient an optimizer looks up.
    pub fn var(&self) -> &Var {
        &self.var
    }

    /// What updates act on, in f32 or f64: the master copy if there is one, else the variable itself.
    /// After writing to it, call [`publish`](Self::publish).
    pub fn weights(&self) -> &Var {
        self.master.as_ref().unwrap_or(&self.var)
    }

    /// The f32 master copy of a bf16 or f16 variable.
    pub fn master(&self) -> Option<&Var> {
        self.master.as_ref()
    }

    /// Rounds the master copy into the variable; nothing to do without one.
    ///
    /// # Errors
    /// What candle reports.
    pub fn publish(&self) -> Result<()> {
        if let Some(master) = &self.master {
            self.var.set(&master.as_detached_tensor().to_dtype(self.var.dtype())?)?;
        }
        Ok(())
    }
}

/// The trainable variables of a `VarMap`, sorted by name.
///
/// `VarMap::all_vars` has no fixed order and includes the running statistics of batch norm, which are buffers; this list
/// leaves out every name whose last part is `running_mean` or `running_var`.
///
/// ```
/// use candle_core::{DType, Device};
/// use candle_nn::{BatchNormConfig, VarBuilder, VarMap};
///
/// let vars = VarMap::new();
/// let builder = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
/// candle_nn::batch_norm(4, BatchNormConfig::default(), builder.pp("bn"))?;
/// let names: Vec<String> = lookahead_optim::trainable(&vars).into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["bn.bias", "bn.weight"]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn trainable(vars: &VarMap) -> Vec<(String, Var)> {
    // A poisoned lock means that another thread panicked while it added a variable; the map itself is still whole.
    let data = vars.data().lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut named: Vec<(String, Var)> =
        data.iter().filter(|(name, _)| !is_running_statistic(name)).map(|(n, v)| (n.clone(), v.clone())).collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named
}

fn is_running_statistic(name: &str) -> bool {
    matches!(name.rsplit('.').next(), Some("running_mean" | "running_var"))
}
