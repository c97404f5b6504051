//! Parameters: a name, a variable and, for half precision, an f32 master copy.

pub use crate::group::Select;
pub use crate::pull::Pull;
pub use crate::variables::{Variables, running_statistics};

use crate::seen::Seen;
use crate::{Error, Result};
use candle_core::{DType, Var};

/// One trainable variable.
///
/// Updates are computed in f32 (f64 for f64 variables). A bf16 or f16 variable keeps an f32 master copy: updates act on the copy, and the
/// variable is the copy rounded. Without it, an update below 1/256 of a bf16 weight would be lost.
///
/// Clones share the variable.
#[derive(Debug, Clone)]
pub struct Parameter {
    name: String,
    named: bool,
    var: Var,
    master: Option<Var>,
    seen: Seen,
}

impl Parameter {
    /// Builds the parameters of an optimizer: sorted by name, with master copies.
    ///
    /// # Errors
    /// [`Error::NoParameters`], [`Error::DuplicateName`], [`Error::SameVariable`] if one variable has two names, [`Error::NotFloat`].
    ///
    /// ```
    /// use candle_core::{DType, Device, Var};
    /// use lookahead_optim::parameter::Parameter;
    ///
    /// let weight = Var::zeros((2, 3), DType::F32, &Device::Cpu)?;
    /// let bias = Var::zeros(2, DType::F32, &Device::Cpu)?;
    /// let list = Parameter::list([("fc.weight", weight), ("fc.bias", bias)])?;
    /// assert_eq!(list[0].name(), "fc.bias");
    /// # Ok::<(), lookahead_optim::Error>(())
    /// ```
    pub fn list(variables: impl Into<Variables>) -> Result<Vec<Self>> {
        let Variables { mut list, named } = variables.into();
        if list.is_empty() {
            return Err(Error::NoParameters);
        }
        list.sort_by(|a, b| a.0.cmp(&b.0));
        for pair in list.windows(2) {
            if pair[0].0 == pair[1].0 {
                return Err(Error::DuplicateName { name: pair[0].0.clone() });
            }
        }
        let mut seen = std::collections::HashMap::new();
        for (name, var) in &list {
            if let Some(first) = seen.insert(var.id(), name) {
                return Err(Error::SameVariable { first: first.clone(), second: name.clone() });
            }
        }
        list.into_iter().map(|(name, var)| Self::new(name, named, var)).collect()
    }

    fn new(name: String, named: bool, var: Var) -> Result<Self> {
        let master = match var.dtype() {
            DType::F32 | DType::F64 => None,
            DType::F16 | DType::BF16 => Some(Var::from_tensor(&var.as_detached_tensor().to_dtype(DType::F32)?)?),
            dtype => return Err(Error::NotFloat { name, dtype }),
        };
        let parameter = Self { name, named, var, master, seen: Seen::default() };
        parameter.look();
        Ok(parameter)
    }

    /// The name, or the position of an unnamed variable.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it has a name.
    pub fn is_named(&self) -> bool {
        self.named
    }

    /// The model's variable, under which an optimizer looks up the gradient.
    pub fn var(&self) -> &Var {
        &self.var
    }

    /// The f32 or f64 tensor that updates act on: the master copy if there is one, else the variable. After writing to it, call
    /// [`publish`](Self::publish).
    pub fn weights(&self) -> &Var {
        self.master.as_ref().unwrap_or(&self.var)
    }

    /// The f32 master copy of a bf16 or f16 variable.
    pub fn master(&self) -> Option<&Var> {
        self.master.as_ref()
    }

    /// Rounds the master copy, if any, into the variable, and records that the weights changed.
    ///
    /// # Errors
    /// Candle errors.
    pub fn publish(&self) -> Result<()> {
        if let Some(master) = &self.master {
            self.var.set(&master.as_detached_tensor().to_dtype(self.var.dtype())?)?;
        }
        self.look();
        Ok(())
    }

    /// Copies the variable into the master copy, if any. Call it after changing the variable itself.
    ///
    /// # Errors
    /// Candle errors.
    pub fn adopt(&self) -> Result<()> {
        if let Some(master) = &self.master {
            master.set(&self.var.as_detached_tensor().to_dtype(DType::F32)?)?;
        }
        self.look();
        Ok(())
    }

    /// Records the present weights as known.
    pub(crate) fn look(&self) {
        self.seen.record(&self.var);
    }

    /// [`look`](Self::look), unless a master copy could be out of date.
    pub(crate) fn look_without_master(&self) {
        if self.master.is_none() {
            self.look();
        }
    }

    /// Makes the next check accept any weights.
    pub(crate) fn forget(&self) {
        self.seen.take();
    }

    /// Runs `f`, in which every check accepts any weights: a load may begin with the weights or with the state.
    pub(crate) fn unchecked<T>(parameters: &[Self], f: impl FnOnce() -> T) -> T {
        let records: Vec<u64> = parameters.iter().map(|p| p.seen.take()).collect();
        let result = f();
        parameters.iter().zip(records).for_each(|(p, record)| p.seen.put(record));
        result
    }

    /// # Errors
    /// [`Error::WeightsChanged`] if the weights changed outside the optimizer after the last [`publish`](Self::publish).
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        if self.seen.differs(&self.var) { Err(Error::WeightsChanged { name: self.name.clone() }) } else { Ok(()) }
    }
}
