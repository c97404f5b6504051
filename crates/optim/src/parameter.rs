//! Parameters: a name, a variable, and for half precision an f32 master copy.

pub use crate::group::Select;
pub use crate::pull::Pull;
pub use crate::variables::{Variables, running_statistics};

use crate::seen::Seen;
use crate::{Error, Result};
use candle_core::backprop::GradStore;
use candle_core::{DType, Var};

/// One trainable variable.
///
/// Updates are computed in f32 (f64 for f64 variables). A bf16 or f16 variable keeps an f32 master copy, on which updates
/// act; the variable is the master copy rounded. Without it, an update below 1/256 of a bf16 weight would be lost.
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
    /// Makes the parameters of an optimizer: sorted by name, with master copies.
    ///
    /// # Errors
    /// [`Error::NoParameters`], [`Error::DuplicateName`], [`Error::SameVariable`] where one variable has two names,
    /// [`Error::NotFloat`].
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

    /// The name it was given; its position where it was given none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it was given a name.
    pub fn is_named(&self) -> bool {
        self.named
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

    /// Rounds the master copy into the variable, if there is one, and takes note that the weights changed.
    ///
    /// # Errors
    /// What candle reports.
    pub fn publish(&self) -> Result<()> {
        if let Some(master) = &self.master {
            self.var.set(&master.as_detached_tensor().to_dtype(self.var.dtype())?)?;
        }
        self.look();
        Ok(())
    }

    /// Makes the master copy, if there is one, equal to the variable: the way back from a change of the variable itself.
    ///
    /// # Errors
    /// What candle reports.
    pub fn adopt(&self) -> Result<()> {
        if let Some(master) = &self.master {
            master.set(&self.var.as_detached_tensor().to_dtype(DType::F32)?)?;
        }
        self.look();
        Ok(())
    }

    /// Takes the weights for known: what has happened to them so far is no surprise.
    pub(crate) fn look(&self) {
        self.seen.record(&self.var);
    }

    /// [`look`](Self::look) where no master copy could be out of date.
    pub(crate) fn look_without_master(&self) {
        if self.master.is_none() {
            self.look();
        }
    }

    /// The weights may be anything the next time they are looked at.
    pub(crate) fn forget(&self) {
        self.seen.forget();
    }

    /// [`check_unchanged`](Self::check_unchanged) for all that have a gradient: running statistics in a careless list change all the time.
    pub(crate) fn check_all_unchanged(parameters: &[Self], grads: &GradStore) -> Result<()> {
        parameters.iter().filter(|p| grads.get(&p.var).is_some()).try_for_each(Self::check_unchanged)
    }

    /// # Errors
    /// [`Error::WeightsChanged`] where somebody else changed the weights after the last [`publish`](Self::publish).
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        if self.seen.differs(&self.var) { Err(Error::WeightsChanged { name: self.name.clone() }) } else { Ok(()) }
    }
}
