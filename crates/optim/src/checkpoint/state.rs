//! Saved state: tensors and counters by name, and the settings they belong to.

use super::archive::{Archive, under};
use crate::{Error, Result};
use candle_core::{Device, Tensor, Var};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::Path;

/// The state of an optimizer, by name.
///
/// * *tensors*, such as `momentum.fc.weight`: copies that later steps do not change;
/// * *counters*, such as the steps since the last sync: numbers as text that parses to the same bits;
/// * *settings*, such as the sync period and each parameter's shape: compared when loading, not loaded.
///
/// The fast weights belong to the model and are not included, but the f32 master copies of bf16 and f16 weights are;
/// [`save_checkpoint`](crate::save_checkpoint) stores both in one file. A wrapper stores the state of the wrapped optimizer under `inner.`.
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{Momentum, Optimizer, Sgd, SgdConfig, State};
///
/// let w = Var::new(&[3f32], &Device::Cpu)?;
/// let config = SgdConfig { momentum: Momentum::classical(0.9), ..SgdConfig::default() };
/// let mut sgd = Sgd::new(vec![("w".into(), w.clone())], config.clone())?;
/// sgd.step(&w.sqr()?.sum_all()?.backward()?)?;
///
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("optimizer.safetensors");
/// sgd.state()?.save(&path)?;
///
/// let mut resumed = Sgd::new(vec![("w".into(), w)], config)?;
/// resumed.load_state(&State::load(&path, &Device::Cpu)?)?;
/// assert_eq!(resumed.state()?.tensor("momentum.w")?.to_vec1::<f32>()?, [6.0]);
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct State {
    pub(crate) settings: Settings,
    pub(crate) counters: BTreeMap<String, String>,
    pub(crate) tensors: BTreeMap<String, Tensor>,
}

/// Prefix of the wrapped optimizer's entries.
const INNER: &str = "inner.";

/// Settings that must agree between a saved state and the optimizer that loads it: keys and values as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(pub(crate) BTreeMap<String, String>);

impl Settings {
    /// Records one setting.
    pub fn set(&mut self, key: impl Into<String>, value: impl Display) {
        self.0.insert(key.into(), value.to_string());
    }
}

impl State {
    /// The empty state of an optimizer with this name.
    pub fn new(optimizer: &str) -> Self {
        let mut state = Self::default();
        state.settings.set("optimizer", optimizer);
        state
    }

    /// The settings, to add to.
    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// The text of a setting.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.settings.0.get(key).map(String::as_str)
    }

    /// Adds a copy of a variable.
    ///
    /// # Errors
    /// Candle errors.
    pub fn insert(&mut self, key: impl Into<String>, var: &Var) -> Result<()> {
        self.tensors.insert(key.into(), var.as_detached_tensor().copy()?);
        Ok(())
    }

    /// A tensor.
    ///
    /// # Errors
    /// [`Error::StateMissing`].
    pub fn tensor(&self, key: &str) -> Result<&Tensor> {
        self.tensors.get(key).ok_or_else(|| Error::StateMissing { key: key.to_string() })
    }

    /// The tensors in name order.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(key, tensor)| (key.as_str(), tensor))
    }

    /// Records a counter. Rust's text of an `f64` parses to the same bits.
    pub fn count(&mut self, key: impl Into<String>, value: impl Display) {
        self.counters.insert(key.into(), value.to_string());
    }

    /// Reads a counter.
    ///
    /// # Errors
    /// [`Error::StateMissing`]; [`Error::StateValue`] if it is not a number of this type.
    pub fn counter<T: std::str::FromStr>(&self, key: &str) -> Result<T> {
        let text = self.counters.get(key).ok_or_else(|| Error::StateMissing { key: key.to_string() })?;
        text.parse().map_err(|_| Error::StateValue { key: key.to_string(), value: text.clone() })
    }

    /// Reads a step count: one that `f64` holds exactly, so that counting on from it never overflows.
    pub(crate) fn steps(&self, key: &str) -> Result<u64> {
        let steps: u64 = self.counter(key)?;
        if steps <= 1 << 53 {
            Ok(steps)
        } else {
            Err(Error::StateValue { key: key.to_string(), value: steps.to_string() })
        }
    }

    /// Adds the state of the wrapped optimizer, under `inner.`.
    #[must_use]
    pub fn with_inner(mut self, inner: Self) -> Self {
        let nested = |key: String| format!("{INNER}{key}");
        self.settings.0.extend(inner.settings.0.into_iter().map(|(k, v)| (nested(k), v)));
        self.counters.extend(inner.counters.into_iter().map(|(k, v)| (nested(k), v)));
        self.tensors.extend(inner.tensors.into_iter().map(|(k, v)| (nested(k), v)));
        self
    }

    /// The state of the wrapped optimizer.
    #[must_use]
    pub fn inner(&self) -> Self {
        Self {
            settings: Settings(under(INNER, &self.settings.0)),
            counters: under(INNER, &self.counters),
            tensors: under(INNER, &self.tensors),
        }
    }

    pub(crate) fn is_inner(key: &str) -> bool {
        key.starts_with(INNER)
    }

    /// Checks that `self`, a saved state, fits an optimizer whose state is `here`: the optimizer's kind first, then settings, tensors
    /// (names, shapes, dtypes) and counters (names) in name order. An optimizer calls it before it changes anything.
    ///
    /// # Errors
    /// The first difference: [`Error::StateSetting`], [`Error::StateMissing`], [`Error::StateUnexpected`] or [`Error::StateTensor`].
    pub fn check_fits(&self, here: &Self) -> Result<()> {
        let keys = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| {
            a.keys().chain(b.keys()).cloned().collect::<BTreeSet<_>>()
        };
        let kind = std::iter::once("optimizer".to_string());
        for key in kind.chain(keys(&self.settings.0, &here.settings.0)) {
            let (saved, now) = (self.settings.0.get(&key), here.settings.0.get(&key));
            if let (Some(saved), Some(now)) = (saved, now)
                && saved != now
            {
                return Err(Error::StateSetting { key, saved: saved.clone(), here: now.clone() });
            }
            present_in_both(saved, now, &key)?;
        }
        for key in self.tensors.keys().chain(here.tensors.keys()).collect::<BTreeSet<_>>() {
            check_tensor(key, self.tensors.get(key), here.tensors.get(key))?;
        }
        for key in keys(&self.counters, &here.counters) {
            present_in_both(self.counters.get(&key), here.counters.get(&key), &key)?;
        }
        Ok(())
    }

    /// Writes one safetensors file, under a temporary name next to `path`, then renamed, so a crash leaves the old file intact.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`]; [`Error::Unnamed`] if the variables have no names.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.archive()?.save(path.as_ref())
    }

    /// Reads a file of [`save`](Self::save) or [`save_checkpoint`](crate::save_checkpoint).
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`].
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        Ok(Self::of_archive(&Archive::load(path.as_ref(), device)?))
    }

    pub(super) fn archive(&self) -> Result<Archive> {
        if self.settings.0.keys().any(|key| key.trim_start_matches(INNER).starts_with("unnamed.")) {
            return Err(Error::Unnamed);
        }
        let mut archive = Archive::new();
        archive.lines.extend(self.settings.0.iter().map(|(k, v)| (format!("setting.{k}"), v.clone())));
        archive.lines.extend(self.counters.iter().map(|(k, v)| (format!("counter.{k}"), v.clone())));
        archive.tensors = self.tensors.iter().map(|(k, v)| (format!("state.{k}"), v.clone())).collect();
        Ok(archive)
    }

    pub(super) fn of_archive(archive: &Archive) -> Self {
        Self {
            settings: Settings(under("setting.", &archive.lines)),
            counters: under("counter.", &archive.lines),
            tensors: under("state.", &archive.tensors),
        }
    }
}

/// Checks that a tensor is both in the file and here, in one shape and dtype.
pub(super) fn check_tensor(key: &str, saved: Option<&Tensor>, here: Option<&Tensor>) -> Result<()> {
    match (saved, here) {
        (Some(saved), Some(here)) if (saved.dims(), saved.dtype()) != (here.dims(), here.dtype()) => {
            Err(unlike(key, saved, here))
        }
        _ => present_in_both(saved, here, key),
    }
}

/// The error of a saved tensor that does not fit the one here.
pub(super) fn unlike(key: &str, saved: &Tensor, here: &Tensor) -> Error {
    let text = |t: &Tensor| format!("{:?} {:?}", t.dims(), t.dtype());
    Error::StateTensor { key: key.to_string(), saved: text(saved), here: text(here) }
}

fn present_in_both<V>(saved: Option<V>, here: Option<V>, key: &str) -> Result<()> {
    match (saved, here) {
        (None, Some(_)) => Err(Error::StateMissing { key: key.to_string() }),
        (Some(_), None) => Err(Error::StateUnexpected { key: key.to_string() }),
        _ => Ok(()),
    }
}
