//! One file for a whole checkpoint.

use crate::state::Settings;
use crate::{Error, Optimizer, Result, State};
use candle_core::{Device, Tensor, Var};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// Saves weights, buffers, optimizer state and `extra` lines of your own (epoch, step) in one safetensors file.
///
/// Tensors are named `weights.NAME`, `buffers.NAME` and `state.SLOT.NAME`; counters, settings and `extra` travel in the file's
/// metadata. The file is written to a temporary name beside `path`, then renamed. Equal contents give equal bytes.
///
/// # Errors
/// [`Error::Io`], [`Error::Format`], [`Error::EvaluationWeightsInPlace`].
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
    let mut archive = Archive::of_state(&optimizer.state()?);
    for parameter in optimizer.parameters() {
        archive.tensors.insert(format!("weights.{}", parameter.name()), parameter.var().as_detached_tensor());
    }
    for (name, var) in buffers {
        archive.tensors.insert(format!("buffers.{name}"), var.as_detached_tensor());
    }
    archive.lines.extend(extra.iter().map(|(key, value)| (format!("extra.{key}"), value.clone())));
    archive.save(path.as_ref())
}

/// Loads what [`save_checkpoint`] wrote into `optimizer`, its parameters' variables and `buffers`, and returns the `extra` lines.
///
/// Training goes on with the same bits as if it had never stopped. All or nothing: everything is checked before anything is
/// written.
///
/// # Errors
/// The first thing that does not fit, by name; [`Error::Io`], [`Error::Format`].
pub fn load_checkpoint(
    path: impl AsRef<Path>,
    optimizer: &mut dyn Optimizer,
    buffers: &[(String, Var)],
) -> Result<BTreeMap<String, String>> {
    let archive = Archive::load(path.as_ref(), &Device::Cpu)?;
    let mut targets: BTreeMap<String, Var> = BTreeMap::new();
    for parameter in optimizer.parameters() {
        targets.insert(format!("weights.{}", parameter.name()), parameter.var().clone());
    }
    for (name, var) in buffers {
        targets.insert(format!("buffers.{name}"), var.clone());
    }
    let saved = archive.tensors.iter().filter(|(key, _)| !key.starts_with("state.")).collect::<BTreeMap<_, _>>();
    let state = archive.state();
    // The settings name a different optimizer or network better than a missing tensor does.
    state.check_fits(&optimizer.state()?)?;
    for key in saved.keys().copied().chain(targets.keys()).collect::<BTreeSet<_>>() {
        match (saved.get(key), targets.get(key)) {
            (Some(tensor), Some(var)) if (tensor.dims(), tensor.dtype()) != (var.dims(), var.dtype()) => {
                let text = |t: &Tensor| format!("{:?} {:?}", t.dims(), t.dtype());
                return Err(Error::StateTensor { key: key.clone(), saved: text(tensor), here: text(var) });
            }
            (Some(_), Some(_)) => {}
            (None, _) => return Err(Error::StateMissing { key: key.clone() }),
            (_, None) => return Err(Error::StateUnexpected { key: key.clone() }),
        }
    }
    optimizer.load_state(&state)?;
    for (key, var) in &targets {
        var.set(&saved[key].to_device(var.device())?)?;
    }
    Ok(under("extra.", &archive.lines))
}

/// The file's contents: tensors, and lines of text in the metadata.
#[derive(Default)]
pub(crate) struct Archive {
    tensors: BTreeMap<String, Tensor>,
    lines: BTreeMap<String, String>,
}

/// The one metadata entry. safetensors keeps metadata in a hash map, in no fixed order; with one entry, equal contents give equal bytes.
const ENTRY: &str = "lookahead-optim";
const FORMAT: &str = "1";

impl Archive {
    pub(crate) fn of_state(state: &State) -> Self {
        let mut lines = BTreeMap::from([("format".to_string(), FORMAT.to_string())]);
        lines.extend(state.settings.0.iter().map(|(k, v)| (format!("setting.{k}"), v.clone())));
        lines.extend(state.counters.iter().map(|(k, v)| (format!("counter.{k}"), v.clone())));
        Self { tensors: state.tensors.iter().map(|(k, v)| (format!("state.{k}"), v.clone())).collect(), lines }
    }

    pub(crate) fn state(&self) -> State {
        State {
            settings: Settings(under("setting.", &self.lines)),
            counters: under("counter.", &self.lines),
            tensors: under("state.", &self.tensors),
        }
    }

    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let io = |source| Error::Io { path: path.to_path_buf(), source };
        let text: String = self.lines.iter().map(|(k, v)| format!("{}\t{}\n", escape(k), escape(v))).collect();
        let bytes = safetensors::serialize(&self.tensors, Some(HashMap::from([(ENTRY.to_string(), text)])))
            .map_err(|error| Error::Format { path: path.to_path_buf(), reason: error.to_string() })?;
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".partial");
        let mut file = std::fs::File::create(&temporary).map_err(io)?;
        std::io::Write::write_all(&mut file, &bytes).map_err(io)?;
        file.sync_all().map_err(io)?;
        std::fs::rename(&temporary, path).map_err(io)
    }

    pub(crate) fn load(path: &Path, device: &Device) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.to_path_buf(), source })?;
        let format = |reason: String| Error::Format { path: path.to_path_buf(), reason };
        let (_, metadata) =
            safetensors::SafeTensors::read_metadata(&bytes).map_err(|error| format(error.to_string()))?;
        let text = metadata
            .metadata()
            .as_ref()
            .and_then(|entries| entries.get(ENTRY))
            .ok_or_else(|| format("was not written by lookahead-optim: its metadata has no such entry".into()))?;
        let lines: BTreeMap<String, String> = text
            .lines()
            .map(|line| line.split_once('\t').map(|(k, v)| (unescape(k), unescape(v))))
            .collect::<Option<_>>()
            .ok_or_else(|| format("a line of its metadata has no value".into()))?;
        match lines.get("format").map(String::as_str) {
            Some(FORMAT) => {}
            other => return Err(format(format!("has format {other:?}; this version reads {FORMAT}"))),
        }
        let tensors = candle_core::safetensors::load_buffer(&bytes, device)?.into_iter().collect();
        Ok(Self { tensors, lines })
    }
}

fn under<V: Clone>(prefix: &str, map: &BTreeMap<String, V>) -> BTreeMap<String, V> {
    map.iter().filter_map(|(k, v)| Some((k.strip_prefix(prefix)?.to_string(), v.clone()))).collect()
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t")
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some(other) => other,
                None => '\\',
            },
            c => c,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{escape, unescape};

    #[test]
    fn any_text_survives_a_line() {
        for text in ["", "plain", "a\tb\nc\\d\re", "\\n", "trailing\\", "\u{e9}\u{2028}"] {
            let line = escape(text);
            assert!(!line.contains(['\n', '\t', '\r']));
            assert_eq!(unescape(&line), text);
        }
    }
}
