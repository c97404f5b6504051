//! Plain weight files, as candle's `VarMap` reads and writes them.

use super::archive::replace;
use super::state::unlike;
use super::{by_name, check_named};
use crate::evaluation::EvaluationWeights;
use crate::{Error, Optimizer, Result};
use candle_core::{Device, Tensor, Var};
use std::collections::BTreeMap;
use std::path::Path;

/// Writes the evaluation weights (slow weights, averages, or else the weights themselves) and `buffers` to a safetensors file under their
/// plain names, without optimizer state. `VarMap::load`, `VarBuilder` and other programs can read it.
///
/// To save the fast weights, write the variables themselves, as `VarMap::save` does.
///
/// # Errors
/// [`Error::Unnamed`], [`Error::DuplicateName`]; [`Error::EvaluationWeightsInPlace`] and [`Error::WeightsChanged`] as at an evaluation;
/// [`Error::Io`], [`Error::Format`]; candle errors.
///
/// ```
/// use candle_core::{DType, Device};
/// use candle_nn::{VarBuilder, VarMap};
/// use lookahead_optim::{Lookahead, LookaheadConfig, Sgd, checkpoint::export_weights};
///
/// let vars = VarMap::new();
/// let layer = candle_nn::linear(2, 1, VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu).pp("fc"))?;
/// let mut optimizer = Lookahead::new(Sgd::new(&vars, 0.1)?, LookaheadConfig::default())?;
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("slow.safetensors");
/// export_weights(&path, &mut optimizer, &[])?;
///
/// let mut other = VarMap::new();
/// let copy = candle_nn::linear(2, 1, VarBuilder::from_varmap(&other, DType::F32, &Device::Cpu).pp("fc"))?;
/// other.load(&path)?;
/// assert_eq!(copy.weight().to_vec2::<f32>()?, layer.weight().to_vec2::<f32>()?);
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
pub fn export_weights(path: impl AsRef<Path>, optimizer: &mut dyn Optimizer, buffers: &[(String, Var)]) -> Result<()> {
    check_named(optimizer)?;
    let named = by_name(weights_and(buffers, optimizer))?;
    let weights = EvaluationWeights::of(optimizer)?;
    let copy = |(name, var): (String, Var)| Ok((name, var.as_detached_tensor().copy()?));
    let tensors: BTreeMap<String, Tensor> = named.into_iter().map(copy).collect::<Result<_>>()?;
    weights.restore()?;
    let path = path.as_ref();
    let bytes = safetensors::serialize(&tensors, None)
        .map_err(|error| Error::Format { path: path.to_path_buf(), reason: error.to_string() })?;
    replace(path, &bytes)
}

/// Reads weights and `buffers` from a file with plain names (of `VarMap::save`, [`export_weights`] or another program) into the variables,
/// and restarts the optimizer from them ([`Optimizer::adopt_weights`]). Dtypes are converted.
///
/// All or nothing: names and shapes are checked before anything is written. Returns the names of the other tensors in the file.
///
/// # Errors
/// [`Error::StateMissing`], [`Error::StateTensor`], [`Error::EvaluationWeightsInPlace`], [`Error::Unnamed`], [`Error::DuplicateName`],
/// [`Error::Format`], [`Error::Io`]; candle errors.
pub fn import_weights(
    path: impl AsRef<Path>,
    optimizer: &mut dyn Optimizer,
    buffers: &[(String, Var)],
) -> Result<Vec<String>> {
    check_named(optimizer)?;
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.to_path_buf(), source })?;
    let saved = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
        .map_err(|error| Error::Format { path: path.to_path_buf(), reason: error.to_string() })?;
    let targets = by_name(weights_and(buffers, optimizer))?;
    let mut converted = Vec::with_capacity(targets.len());
    for (name, var) in &targets {
        let tensor = saved.get(name).ok_or_else(|| Error::StateMissing { key: name.clone() })?;
        if tensor.dims() != var.dims() {
            return Err(unlike(name, tensor, var));
        }
        converted.push((var, tensor.to_device(var.device())?.to_dtype(var.dtype())?));
    }
    // Before anything is written: it refuses while the evaluation weights are swapped in.
    optimizer.adopt_weights()?;
    for (var, tensor) in converted {
        var.set(&tensor)?;
    }
    optimizer.adopt_weights()?;
    let mut rest: Vec<String> = saved.keys().filter(|name| !targets.contains_key(*name)).cloned().collect();
    rest.sort();
    Ok(rest)
}

fn weights_and(buffers: &[(String, Var)], optimizer: &dyn Optimizer) -> Vec<(String, Var)> {
    let weights = optimizer.parameters().iter().map(|p| (p.name().to_owned(), p.var().clone()));
    weights.chain(buffers.iter().cloned()).collect()
}
