//! Loading and saving weights: maps, and the files of other libraries.

use std::{collections::BTreeMap, path::Path};

use candle_core::Tensor;

use super::ResNet;
use crate::{Loaded, Result, Weights};

impl ResNet {
    /// Parameters and buffers, sorted by name: what a checkpoint of the network holds. The tensors share storage with the network.
    #[doc(alias = "state_dict")]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        self.store.state()
    }

    /// Loads the weights of a network of the same shape, from a file or from a map of named tensors.
    ///
    /// Names may be torchvision's, timm's or transformers' ([`Naming`](crate::Naming)). f16, bf16, f32 and f64 are converted to the
    /// network's dtype, and tensors move to its device. `num_batches_tracked` is skipped and listed in the result.
    ///
    /// ```no_run
    /// use candle_core::{DType, Device};
    /// use lookahead_models::{ResNet, ResNetConfig, Stem, Weights};
    ///
    /// let net = ResNet::new(&ResNetConfig::resnet18(Stem::ImageNet, 1000), 0, DType::F32, &Device::Cpu)?;
    /// let loaded = net.load(Weights::read("resnet18-f37072fd.pth")?)?;
    /// println!("{loaded}"); // 102 tensors loaded under the names of torchvision; skipped: 20 num_batches_tracked
    /// # Ok::<(), lookahead_models::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Weights`](crate::Error::Weights) with every name that is missing, unexpected, of another shape or not floating-point. After
    /// this and any other error the network is unchanged.
    #[doc(alias = "load_state_dict")]
    #[doc(alias = "from_pretrained")]
    pub fn load(&self, weights: impl Into<Weights>) -> Result<Loaded> {
        self.store.load(weights.into(), false)
    }

    /// [`load`](Self::load) for another task: loads all but the last layer, `fc` or fastai's `head`, which keeps this network's weights.
    /// The number of classes and the kind of head may differ.
    ///
    /// The result names what was kept and what was skipped.
    ///
    /// ```
    /// use candle_core::{DType, Device};
    /// use lookahead_models::{ResNet, ResNetConfig};
    ///
    /// let trained = ResNet::new(&ResNetConfig::resnet20(100), 0, DType::F32, &Device::Cpu)?;
    /// let net = ResNet::new(&ResNetConfig::resnet20(10), 1, DType::F32, &Device::Cpu)?;
    /// let loaded = net.load_backbone(trained.state())?;
    /// assert_eq!(loaded.kept, ["fc.bias", "fc.weight"]);
    /// # Ok::<(), lookahead_models::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Errors of [`load`](Self::load), for all but the head.
    #[doc(alias = "fine_tune")]
    #[doc(alias = "num_classes")]
    pub fn load_backbone(&self, weights: impl Into<Weights>) -> Result<Loaded> {
        self.store.load(weights.into(), true)
    }

    /// [`load`](Self::load) from a map collected from [`state`](Self::state).
    ///
    /// # Errors
    ///
    /// Errors of [`load`](Self::load).
    pub fn load_state(&self, state: &BTreeMap<String, Tensor>) -> Result<Loaded> {
        self.load(state.clone())
    }

    /// Writes parameters and buffers to a safetensors file, under torchvision's names. PyTorch loads it with
    /// `net.load_state_dict(safetensors.torch.load_file(path))`, candle with [`VarMap::load`](candle_nn::VarMap::load).
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::Error::File) if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.store.save(path.as_ref())
    }
}
