//! Plain weight files, as candle's `VarMap` reads and writes them.

use super::archive::replace;
use crate::evaluation::EvaluationWeights;
use crate::parameter::Parameter;
use crate::{Error, Optimizer, Result};
use candle_core::{Device, Tensor, Var};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Writes the evaluation weights (slow weights, averages, or else the weights themselves) and `buffers` to a safetensors file under their
/// plain names, without optimizer state. `VarMap::load`, `VarBuilder` and other programs can read it.
///
/// To save the fast weights, write the variables themselves, as `VarMap::save` does.
///
/// # Errors
/// [`Error::Unnamed`], [`Error::DuplicateName`], [`Error::Io`], [`Error::Format`]; candle errors.
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
    super::check_named(optimizer)?;
    let named: Vec<(String, Var)> =
        optimizer.parameters().iter().map(|p| (p.name().to_owned(), p.var().clone())).chain(buffers.to_vec()).collect();
    let weights = EvaluationWeights::of(optimizer)?;
    let mut tensors: BTreeMap<String, Tensor> = BTreeMap::new();
    for (name, var) in named {
        let copy = var.as_detached_tensor().copy()?;
        if tensors.insert(name.clone(), copy).is_some() {
            return Err(Error::DuplicateName { name });
        }
    }
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
/// [`Error::StateMissing`], [`Error::StateTensor`], [`Error::Unnamed`], [`Error::Format`], [`Error::Io`]; candle errors.
pub fn import_weights(
    path: impl AsRef<Path>,
    optimizer: &mut dyn Optimizer,
    buffers: &[(String, Var)],
) -> Result<Vec<String>> {
    super::check_named(optimizer)?;
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.to_path_buf(), source })?;
    let saved = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
        .map_err(|error| Error::Format { path: path.to_path_buf(), reason: error.to_string() })?;
    let parameters = optimizer.parameters().iter().map(|p: &Parameter| (p.name().to_owned(), p.var().clone()));
    let targets: Vec<(String, Var)> = parameters.chain(buffers.to_vec()).collect();
    for (name, var) in &targets {
        let tensor = saved.get(name).ok_or_else(|| Error::StateMissing { key: name.clone() })?;
        if tensor.dims() != var.dims() {
            let text = |t: &Tensor| format!("{:?} {:?}", t.dims(), t.dtype());
            return Err(Error::StateTensor { key: name.clone(), saved: text(tensor), here: text(var) });
        }
    }
    for (name, var) in &targets {
        var.set(&saved[name].to_device(var.device())?.to_dtype(var.dtype())?)?;
    }
    optimizer.adopt_weights()?;
    let known: BTreeSet<&String> = targets.iter().map(|(name, _)| name).collect();
    let mut rest: Vec<String> = saved.keys().filter(|name| !known.contains(name)).cloned().collect();
    rest.sort();
    Ok(rest)
}
