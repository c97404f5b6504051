use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    path::Path,
};

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;

use crate::{BatchNormConfig, Error, Loaded, Result, Weights, init::Init, weights::plan};

/// The named variables of a network, in name order: trainable parameters, and buffers, which are not trained.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) parameters: BTreeMap<String, Var>,
    pub(crate) buffers: BTreeMap<String, Var>,
}

impl Store {
    fn all(&self) -> BTreeMap<&str, &Var> {
        self.parameters.iter().chain(&self.buffers).map(|(name, var)| (name.as_str(), var)).collect()
    }

    /// Trainable parameters, sorted by name.
    pub(crate) fn parameters(&self) -> Vec<(String, Var)> {
        listed(&self.parameters)
    }

    /// Buffers, sorted by name.
    pub(crate) fn buffers(&self) -> Vec<(String, Var)> {
        listed(&self.buffers)
    }

    /// Number of trainable values.
    pub(crate) fn parameter_count(&self) -> usize {
        self.parameters.values().map(|var| var.elem_count()).sum()
    }

    /// Writes everything to a safetensors file: first under a temporary name, so that a failure leaves the old file intact.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let state: HashMap<_, _> = self.state().into_iter().collect();
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".partial");
        let written = candle_core::safetensors::save(&state, &temporary)
            .and_then(|()| Ok(File::options().write(true).open(&temporary)?.sync_all()?))
            .and_then(|()| Ok(fs::rename(&temporary, path)?));
        written.map_err(|source| {
            // The disk may be full; do not leave a partial file.
            let _ = fs::remove_file(&temporary);
            Error::File { path: path.to_path_buf(), source }
        })
    }

    /// The live tensors by name, not copies.
    pub(crate) fn state(&self) -> Vec<(String, Tensor)> {
        self.all().into_iter().map(|(name, var)| (name.to_string(), var.as_detached_tensor())).collect()
    }

    /// Loads the values of `weights`; on error the network is unchanged.
    pub(crate) fn load(&self, weights: Weights, keep_head: bool) -> Result<Loaded> {
        let own = self.all();
        let tensors = own.iter().map(|(name, var)| (*name, var.as_tensor())).collect();
        let (chosen, loaded) = plan(&tensors, weights, keep_head)?;
        replace(&own, &chosen, |tensor, var| {
            // A copy, because the given tensors may be this network's own.
            Ok(tensor.to_device(var.device())?.to_dtype(var.dtype())?.copy()?)
        })?;
        Ok(loaded)
    }
}

fn listed(vars: &BTreeMap<String, Var>) -> Vec<(String, Var)> {
    vars.iter().map(|(name, var)| (name.clone(), var.clone())).collect()
}

/// Converts every tensor before setting the first variable, so that no failure leaves a partial change.
fn replace(
    own: &BTreeMap<&str, &Var>,
    chosen: &BTreeMap<String, Tensor>,
    convert: impl Fn(&Tensor, &Var) -> Result<Tensor>,
) -> Result<()> {
    let mut pairs = Vec::with_capacity(chosen.len());
    for (name, tensor) in chosen {
        let Some(var) = own.get(name.as_str()) else { continue };
        pairs.push((var, convert(tensor, var)?));
    }
    for (var, tensor) in pairs {
        var.set(&tensor)?;
    }
    Ok(())
}

/// The dtype of everything but activations.
pub(crate) fn precise(activations: DType) -> DType {
    if activations == DType::BF16 { DType::F32 } else { activations }
}

/// A network's variables during construction: drawn from the seed, or taken from a `VarBuilder`. All are of `dtype`, the precise one.
pub(crate) struct StoreBuilder<'a> {
    pub(crate) seed: u64,
    pub(crate) dtype: DType,
    pub(crate) device: Device,
    /// Settings of every batch norm.
    pub(crate) batch_norm: BatchNormConfig,
    pub(crate) source: Option<VarBuilder<'a>>,
    pub(crate) store: Store,
}

impl<'a> StoreBuilder<'a> {
    /// No variables yet. `dtype` is that of the activations.
    pub(crate) fn new(
        seed: u64,
        dtype: DType,
        device: &Device,
        batch_norm: BatchNormConfig,
        source: Option<VarBuilder<'a>>,
    ) -> Result<Self> {
        if !matches!(dtype, DType::F32 | DType::F64 | DType::BF16) {
            return Err(Error::Config { field: "dtype", value: format!("{dtype:?}"), rule: "F32, F64 or BF16" });
        }
        let (dtype, device) = (precise(dtype), device.clone());
        Ok(Self { seed, dtype, device, batch_norm, source, store: Store::default() })
    }

    /// A new trainable variable. The layers of this crate never use a name twice.
    pub(crate) fn parameter(&mut self, name: String, shape: &[usize], init: Init) -> Result<Var> {
        let var = self.var(&name, shape, init)?;
        self.store.parameters.insert(name, var.clone());
        Ok(var)
    }

    /// A new variable that is not trained.
    pub(crate) fn buffer(&mut self, name: String, shape: &[usize], init: Init) -> Result<Var> {
        let var = self.var(&name, shape, init)?;
        self.store.buffers.insert(name, var.clone());
        Ok(var)
    }

    fn var(&self, name: &str, shape: &[usize], init: Init) -> Result<Var> {
        let drawn = || init.tensor(self.seed, name, shape, self.dtype, &self.device);
        let Some(source) = &self.source else { return Ok(Var::from_tensor(&drawn()?)?) };

        // A `VarMap` creates what it lacks, but takes an initialiser instead of values: it makes zeros, which are replaced.
        let there = source.contains_tensor(name);
        let tensor = source.get_with_hints_dtype(shape, name, candle_nn::Init::Const(0.0), self.dtype)?;
        if tensor.dtype() != self.dtype {
            let prefix = source.prefix();
            let name = if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") };
            return Err(Error::VarType { name, expected: self.dtype, got: tensor.dtype() });
        }
        let var = Var::from_tensor(&tensor)?;
        if !there {
            var.set(&drawn()?)?;
        }
        Ok(var)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversion_that_fails_halfway_leaves_every_variable_as_it_was() {
        let device = Device::Cpu;
        let vars = [0f32, 1.0, 2.0].map(|value| Var::new(value, &device).unwrap());
        let own = BTreeMap::from([("a", &vars[0]), ("b", &vars[1]), ("c", &vars[2])]);
        let new = |name: &str| (name.to_string(), Tensor::new(9f32, &device).unwrap());
        let chosen = BTreeMap::from(["a", "b", "c"].map(new));
        let values = || vars.each_ref().map(|var| var.to_scalar::<f32>().unwrap());

        let fails_at_the_last = |tensor: &Tensor, var: &Var| {
            if var.to_scalar::<f32>()? == 2.0 {
                return Err(candle_core::Error::Msg("the device is full".to_string()).into());
            }
            Ok(tensor.clone())
        };
        assert!(replace(&own, &chosen, fails_at_the_last).is_err());
        assert_eq!(values(), [0.0, 1.0, 2.0]);
        replace(&own, &chosen, |tensor, _| Ok(tensor.clone())).unwrap();
        assert_eq!(values(), [9.0; 3]);
    }
}
