//! Saved state, and one file for a whole checkpoint.

mod archive;
mod state;
mod weights;

pub use state::{Settings, State};
pub use weights::{export_weights, import_weights};

use crate::parameter::Parameter;
use crate::{Error, Optimizer, Result};
use archive::{Archive, under};
use candle_core::{Device, Var};
use state::check_tensor;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Saves weights, `buffers`, optimizer state and your own `extra` entries (epoch, step) in one safetensors file. The running statistics of
/// batch norm are buffers: pass [`running_statistics`](crate::parameter::running_statistics).
///
/// Tensors are named `weights.NAME`, `buffers.NAME` and `state.SLOT.NAME`; counters, settings and `extra` are stored in the metadata. The
/// file is written under a temporary name next to `path`, then renamed. Equal contents give equal bytes.
///
/// # Errors
/// [`Error::Io`], [`Error::Format`], [`Error::EvaluationWeightsInPlace`]; [`Error::WeightsChanged`] as [`Optimizer::state`];
/// [`Error::Unnamed`] for variables without names; [`Error::DuplicateName`] for two buffers of one name.
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{load_checkpoint, save_checkpoint, Lookahead, LookaheadConfig, Optimizer, Sgd, SgdConfig};
///
/// let w = Var::new(&[3f32], &Device::Cpu)?;
/// let make = |w: &Var| {
///     let sgd = Sgd::new(vec![("w".into(), w.clone())], SgdConfig { learning_rate: 0.1, ..SgdConfig::default() })?;
///     Lookahead::new(sgd, LookaheadConfig::default())
/// };
/// let mut optimizer = make(&w)?;
/// optimizer.step(&w.sqr()?.sum_all()?.backward()?)?;
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("latest.safetensors");
/// save_checkpoint(&path, &optimizer, &[], &[("epoch", "7".into())])?;
///
/// let fresh = Var::new(&[0f32], &Device::Cpu)?;
/// let mut resumed = make(&fresh)?;
/// let extra = load_checkpoint(&path, &mut resumed, &[])?;
/// assert_eq!(extra["epoch"], "7");
/// assert_eq!(fresh.to_vec1::<f32>()?, w.to_vec1::<f32>()?);
/// assert_eq!(resumed.steps_since_sync(), Some(1));
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
pub fn save_checkpoint(
    path: impl AsRef<Path>,
    optimizer: &dyn Optimizer,
    buffers: &[(String, Var)],
    extra: &[(&str, String)],
) -> Result<()> {
    check_named(optimizer)?;
    let mut archive = optimizer.state()?.archive()?;
    for parameter in optimizer.parameters() {
        archive.tensors.insert(format!("weights.{}", parameter.name()), parameter.var().as_detached_tensor());
    }
    for (name, var) in by_name(buffers.iter().cloned())? {
        archive.tensors.insert(format!("buffers.{name}"), var.as_detached_tensor());
    }
    archive.lines.extend(extra.iter().map(|(key, value)| (format!("extra.{key}"), value.clone())));
    archive.save(path.as_ref())
}

/// Loads a file of [`save_checkpoint`] into `optimizer`, its parameters' variables and `buffers`, and returns the `extra` entries.
///
/// Training continues with the same bits as if it had never stopped. All or nothing: everything is checked before anything is written.
///
/// # Errors
/// The first mismatch, by name; [`Error::Io`], [`Error::Format`], [`Error::Unnamed`], [`Error::DuplicateName`].
pub fn load_checkpoint(
    path: impl AsRef<Path>,
    optimizer: &mut dyn Optimizer,
    buffers: &[(String, Var)],
) -> Result<BTreeMap<String, String>> {
    check_named(optimizer)?;
    let archive = Archive::load(path.as_ref(), &Device::Cpu)?;
    let mut targets: BTreeMap<String, Var> = BTreeMap::new();
    for parameter in optimizer.parameters() {
        targets.insert(format!("weights.{}", parameter.name()), parameter.var().clone());
    }
    for (name, var) in by_name(buffers.iter().cloned())? {
        targets.insert(format!("buffers.{name}"), var);
    }
    let saved = archive.tensors.iter().filter(|(key, _)| !key.starts_with("state.")).collect::<BTreeMap<_, _>>();
    let state = State::of_archive(&archive);
    // Check the settings first: they describe a different optimizer or network better than a missing tensor does.
    state.check_fits(&Parameter::unchecked(optimizer.parameters(), || optimizer.state())?)?;
    for key in saved.keys().copied().chain(targets.keys()).collect::<BTreeSet<_>>() {
        check_tensor(key, saved.get(key).copied(), targets.get(key).map(Var::as_tensor))?;
    }
    optimizer.load_state(&state)?;
    for (key, var) in &targets {
        var.set(&saved[key].to_device(var.device())?)?;
    }
    optimizer.parameters().iter().for_each(Parameter::look);
    Ok(under("extra.", &archive.lines))
}

/// The variables by name: of two with one name, a file could hold only one.
fn by_name(named: impl IntoIterator<Item = (String, Var)>) -> Result<BTreeMap<String, Var>> {
    let mut vars = BTreeMap::new();
    for (name, var) in named {
        if vars.insert(name.clone(), var).is_some() {
            return Err(Error::DuplicateName { name });
        }
    }
    Ok(vars)
}

fn check_named(optimizer: &dyn Optimizer) -> Result<()> {
    if optimizer.parameters().iter().all(Parameter::is_named) { Ok(()) } else { Err(Error::Unnamed) }
}
