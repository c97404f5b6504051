//! Variables that an optimizer is built from.

use candle_core::Var;
use candle_nn::VarMap;

/// Named or unnamed variables, which the constructors of optimizers take as `impl Into<Variables>`.
///
/// | from | names |
/// | --- | --- |
/// | `&VarMap` | the map's; running statistics of batch norm, and variables that are not floating-point, are left out ([`trainable`]) |
/// | `Vec<(String, Var)>`, `[(&str, Var); N]` | as given |
/// | `Vec<Var>`, `[Var; N]` | none; variables that are not floating-point are skipped, as candle's own optimizers do |
///
/// An optimizer of unnamed variables trains like any other, but its state cannot be saved ([`Error::Unnamed`](crate::Error::Unnamed)): the
/// next process might list the variables in another order, as `VarMap::all_vars` does.
///
/// ```
/// use candle_core::{DType, Device, Var};
/// use candle_nn::{VarBuilder, VarMap};
/// use lookahead_optim::Sgd;
///
/// let vars = VarMap::new();
/// candle_nn::linear(2, 1, VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu))?;
/// let by_map = Sgd::new(&vars, 0.1)?;
/// let w = Var::zeros(2, DType::F32, &Device::Cpu)?;
/// let by_name = Sgd::new([("w", w.clone())], 0.1)?;
/// let unnamed = Sgd::new([w], 0.1)?;
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Variables {
    pub(crate) list: Vec<(String, Var)>,
    pub(crate) named: bool,
}

impl From<Vec<(String, Var)>> for Variables {
    fn from(list: Vec<(String, Var)>) -> Self {
        Self { list, named: true }
    }
}

impl<const N: usize> From<[(&str, Var); N]> for Variables {
    fn from(list: [(&str, Var); N]) -> Self {
        list.map(|(name, var)| (name.to_owned(), var)).to_vec().into()
    }
}

impl From<&VarMap> for Variables {
    fn from(vars: &VarMap) -> Self {
        trainable(vars).into()
    }
}

impl From<Vec<Var>> for Variables {
    fn from(vars: Vec<Var>) -> Self {
        let float = vars.into_iter().filter(|var| var.dtype().is_float());
        // Zero-padded, so that they sort in order.
        Self { list: float.enumerate().map(|(i, var)| (format!("{i:06}"), var)).collect(), named: false }
    }
}

impl<const N: usize> From<[Var; N]> for Variables {
    fn from(vars: [Var; N]) -> Self {
        Vec::from(vars).into()
    }
}

/// The trainable variables of a `VarMap`, sorted by name.
///
/// `VarMap::all_vars` has no fixed order and includes the running statistics of batch norm, which are buffers. This list omits every name
/// whose last part is `running_mean` or `running_var`, and variables that are not floating-point, such as a step counter.
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
    let mut list = sorted(vars, |name| !is_running_statistic(name));
    list.retain(|(_, var)| var.dtype().is_float());
    list
}

/// The running statistics of batch norm in a `VarMap`, sorted by name: the buffers of
/// [`Lookahead::with_buffers`](crate::Lookahead::with_buffers).
pub fn running_statistics(vars: &VarMap) -> Vec<(String, Var)> {
    sorted(vars, is_running_statistic)
}

fn sorted(vars: &VarMap, wanted: impl Fn(&str) -> bool) -> Vec<(String, Var)> {
    // A poisoned lock means that another thread panicked while adding a variable; the map itself is intact.
    let data = vars.data().lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut named: Vec<(String, Var)> =
        data.iter().filter(|(name, _)| wanted(name)).map(|(n, v)| (n.clone(), v.clone())).collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named
}

fn is_running_statistic(name: &str) -> bool {
    matches!(name.rsplit('.').next(), Some("running_mean" | "running_var"))
}
