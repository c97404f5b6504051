//! Named tensors from a file or a map, and the result of loading them.

mod legacy;
mod loaded;
mod mismatch;
mod naming;
mod pickle;
mod plan;
mod read;
mod unpickle;
mod zipped;

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::PoisonError,
};

use candle_core::Tensor;
use candle_nn::VarMap;

pub(crate) use self::plan::plan;
pub use self::{
    loaded::Loaded,
    mismatch::{Mismatch, Misshapen},
    naming::Naming,
};
use crate::Result;

/// Named tensors for [`ResNet::load`](crate::ResNet::load): a file from torchvision or the hub, or a map.
///
/// The content of a file determines its format; its name does not matter:
///
/// | content | written by |
/// | --- | --- |
/// | safetensors | timm and transformers on the hub, candle, this crate |
/// | PyTorch's zip format (`.pth`, `.pt`, `.bin`) | `torch.save` since 1.6: torchvision's weights |
/// | PyTorch's older format | `torch.save` before 1.6, or with `_use_new_zipfile_serialization=False` |
///
/// PyTorch's files are not executed; only tensors are read, from a state dict at the top level or under the key `state_dict`, `model` or
/// `model_state_dict`. A file that holds a whole pickled module has no state dict.
///
/// ```
/// use std::collections::HashMap;
/// use candle_core::{DType, Device, Tensor};
/// use lookahead_models::Weights;
///
/// let map = HashMap::from([("fc.bias".to_string(), Tensor::zeros(10, DType::F16, &Device::Cpu)?)]);
/// let weights = Weights::from(map);
/// assert_eq!(weights.tensors()["fc.bias"].dims(), [10]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
}

impl Weights {
    /// Every tensor of the file at `path`, on the CPU and in the file's dtypes.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::Error::File) if the file cannot be read or is damaged, [`Error::Format`](crate::Error::Format) if it has
    /// another format or holds no tensors.
    #[doc(alias = "from_pretrained")]
    #[doc(alias = "load_state_dict")]
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self { tensors: read::read(path.as_ref())? })
    }

    /// The tensors by their given names.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }
}

impl FromIterator<(String, Tensor)> for Weights {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(tensors: I) -> Self {
        Self { tensors: tensors.into_iter().collect() }
    }
}

impl From<HashMap<String, Tensor>> for Weights {
    fn from(tensors: HashMap<String, Tensor>) -> Self {
        tensors.into_iter().collect()
    }
}

impl From<BTreeMap<String, Tensor>> for Weights {
    fn from(tensors: BTreeMap<String, Tensor>) -> Self {
        Self { tensors }
    }
}

impl From<Vec<(String, Tensor)>> for Weights {
    fn from(tensors: Vec<(String, Tensor)>) -> Self {
        tensors.into_iter().collect()
    }
}

/// The variables of a map, by their names.
impl From<&VarMap> for Weights {
    fn from(varmap: &VarMap) -> Self {
        let held = varmap.data().lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().map(|(name, var)| (name.clone(), var.as_detached_tensor())).collect()
    }
}

/// The tensors are shared, not copied.
impl From<&Weights> for Weights {
    fn from(weights: &Weights) -> Self {
        weights.clone()
    }
}
