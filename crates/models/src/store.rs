use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};

use crate::{Error, Result, init::Init};

/// The named variables of a network, in name order: what is trained, and the buffers that only go along.
#[derive(Debug)]
pub(crate) struct Store {
    seed: u64,
    dtype: DType,
    device: Device,
    pub(crate) parameters: BTreeMap<String, Var>,
    pub(crate) buffers: BTreeMap<String, Var>,
}

impl Store {
    pub(crate) fn new(seed: u64, dtype: DType, device: &Device) -> Self {
        Self { seed, dtype, device: device.clone(), parameters: BTreeMap::new(), buffers: BTreeMap::new() }
    }

    /// A new trainable variable. The layers of this crate never use a name twice.
    pub(crate) fn parameter(&mut self, name: String, shape: &[usize], init: Init) -> Result<Var> {
        let var = self.var(&name, shape, init)?;
        self.parameters.insert(name, var.clone());
        Ok(var)
    }

    /// A new variable that no optimizer sees.
    pub(crate) fn buffer(&mut self, name: String, shape: &[usize], init: Init) -> Result<Var> {
        let var = self.var(&name, shape, init)?;
        self.buffers.insert(name, var.clone());
        Ok(var)
    }

    fn var(&self, name: &str, shape: &[usize], init: Init) -> Result<Var> {
        Ok(Var::from_tensor(&init.tensor(self.seed, name, shape, self.dtype, &self.device)?)?)
    }

    fn all(&self) -> BTreeMap<&str, &Var> {
        self.parameters.iter().chain(&self.buffers).map(|(name, var)| (name.as_str(), var)).collect()
    }

    /// Copies of nothing: the live tensors by name.
    pub(crate) fn state(&self) -> Vec<(String, Tensor)> {
        self.all().into_iter().map(|(name, var)| (name.to_string(), var.as_detached_tensor())).collect()
    }

    /// Checks every name and shape first, so that an error leaves the network as it was.
    pub(crate) fn load_state(&self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let own = self.all();
        let differs = |name: &str, problem: String| Err(Error::State { name: name.to_string(), problem });
        let mut names: Vec<&str> = own.keys().copied().chain(state.keys().map(String::as_str)).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            match (own.get(name), state.get(name)) {
                (Some(var), Some(tensor)) if var.shape() != tensor.shape() => {
                    return differs(name, format!("shape {:?}, the network's is {:?}", tensor.dims(), var.dims()));
                }
                (Some(var), Some(tensor)) if var.dtype() != tensor.dtype() => {
                    return differs(name, format!("dtype {:?}, the network's is {:?}", tensor.dtype(), var.dtype()));
                }
                (Some(_), None) => return differs(name, "missing".to_string()),
                (None, _) => return differs(name, "not a tensor of this network".to_string()),
                _ => {}
            }
        }
        for (name, var) in own {
            var.set(&state[name].to_device(&self.device)?)?;
        }
        Ok(())
    }
}
