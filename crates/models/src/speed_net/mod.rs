//! The network of the CIFAR-10 speed records.

mod config;
mod whitening;

use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};
use lookahead_kernels::{Activation, BatchNorm, PlainLayer, max_pool2d, plain_network, to_channels_last};

pub use self::config::SpeedNetConfig;
use crate::{
    BatchNormConfig, Loaded, Pass, Result, Weights,
    init::Init,
    layers::{mode, weight},
    store::{Store, StoreBuilder, precise},
};

/// The network of airbench94, which reaches 94 % on CIFAR-10 in ten epochs: a frozen whitening of 2x2 patches, then groups of two 3x3
/// convolutions with GELU, without residuals.
///
/// | layer | channels, as published | map |
/// | --- | --- | --- |
/// | `whiten`: 2x2 convolution with bias, GELU | 3 to 24 | 31x31 |
/// | `group1`: `conv1`, max pool 2, `norm1`, GELU, `conv2`, `norm2`, GELU | 24 to 64 | 15x15 |
/// | `group2`: the same | 64 to 256 | 7x7 |
/// | `group3`: the same | 256 to 256 | 3x3 |
/// | max pool 3, `head`: linear without bias, times 1/9 | 256 to 10 | 1x1 |
///
/// Images are (N, 3, H, W), normalised, usually 32x32; with three groups a side may have 25 to 48 pixels. Batch norm has a trained shift
/// but no scale. Convolutions are initialised as in PyTorch, except that as many filters as there are input channels pass their channel on
/// unchanged.
///
/// The whitening filters are not parameters. [`whiten`](Self::whiten) computes them from training images; until then they are random. Their
/// bias is trained; airbench94 freezes it after three epochs.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use lookahead_models::{Pass, SpeedNet, SpeedNetConfig};
///
/// let net = SpeedNet::new(&SpeedNetConfig::default(), 1, DType::F32, &Device::Cpu)?;
/// assert_eq!(net.parameter_count(), 1_971_352);
///
/// let images = Tensor::randn(0f32, 1.0, (8, 3, 32, 32), &Device::Cpu)?;
/// net.whiten(&images)?; // airbench94: the first 5,000 of the training set
/// assert_eq!(net.forward(&images, Pass::Eval)?.dims(), [8, 10]);
/// # Ok::<(), lookahead_models::Error>(())
/// ```
///
/// # References
///
/// Jordan: *94% on CIFAR-10 in 3.29 Seconds on a Single GPU*, 2024, [arXiv:2404.00498](https://arxiv.org/abs/2404.00498), and
/// [its program](https://github.com/KellerJordan/cifar10-airbench). Names and layout of the state differ from that program's.
#[derive(Debug)]
#[doc(alias = "airbench94")]
pub struct SpeedNet {
    config: SpeedNetConfig,
    /// Dtype of the activations.
    dtype: DType,
    whiten: Whitening,
    groups: Vec<Group>,
    head: Var,
    store: Store,
}

#[derive(Debug)]
struct Whitening {
    weight: Var,
    bias: Var,
}

#[derive(Debug)]
struct Group {
    conv1: Var,
    norm1: Shift,
    conv2: Var,
    norm2: Shift,
}

/// Batch norm without a scale.
#[derive(Debug)]
struct Shift {
    /// Ones, created once.
    scale: Tensor,
    bias: Var,
    running_mean: Var,
    running_var: Var,
}

impl SpeedNet {
    /// A network with fresh weights, which depend only on `seed` and the parameters' names.
    ///
    /// `dtype` is as in [`ResNet::new`](crate::ResNet::new): f32, f64, or bf16 for activations with weights, head and logits in f32.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) if the configuration is invalid, or for another dtype.
    pub fn new(config: &SpeedNetConfig, seed: u64, dtype: DType, device: &Device) -> Result<Self> {
        config.validate()?;
        let mut store = StoreBuilder::new(seed, dtype, device, config.batch_norm, None)?;
        let filters = 2 * whitening::PATCH;
        let whiten = Whitening {
            weight: store.buffer("whiten.weight".into(), &[filters, 3, 2, 2], Init::linear(whitening::PATCH))?,
            bias: store.parameter("whiten.bias".into(), &[filters], Init::Constant(0.0))?,
        };
        let (mut channels, mut groups) = (filters, Vec::with_capacity(config.widths.len()));
        for (index, &width) in config.widths.iter().enumerate() {
            groups.push(Group::new(&mut store, &format!("group{}", index + 1), channels, width)?);
            channels = width;
        }
        let head = store.parameter("head.weight".into(), &[config.classes, channels], Init::linear(channels))?;
        Ok(Self { config: config.clone(), dtype, whiten, groups, head, store: store.store })
    }

    /// Computes the frozen filters from normalised `images` (N, 3, H, W) without augmentation; airbench94 uses the first 5,000 of the
    /// training set.
    ///
    /// The filters map 2x2 patches to values that are uncorrelated over these images, with mean square one: eigenvectors of the patches'
    /// second moments over the root of the eigenvalue plus [`whitening_eps`](SpeedNetConfig::whitening_eps), and their negatives. Sums are
    /// f64.
    ///
    /// # Errors
    ///
    /// Images of another shape, no images, or a value that is not finite.
    pub fn whiten(&self, images: &Tensor) -> Result<()> {
        let op = "SpeedNet::whiten";
        let refuse = |expected: &str| {
            let (expected, got) = (expected.to_string(), images.dims().to_vec());
            Err(lookahead_kernels::Error::Shape { op, argument: "images", expected, got }.into())
        };
        match images.dims() {
            &[count, 3, height, width] if count > 0 && height > 1 && width > 1 => {}
            _ => return refuse("(N, 3, H, W) with at least one image of 2 x 2 pixels"),
        }
        // The sums run on the host: copy all images at once, not one by one.
        let filters = whitening::filters(&images.to_device(&Device::Cpu)?, self.config.whitening_eps)?;
        if !filters.sum_all()?.to_scalar::<f64>()?.is_finite() {
            let (rule, value) = ("finite numbers", "NaN or infinity".to_string());
            return Err(lookahead_kernels::Error::Argument { op, argument: "images", rule, value }.into());
        }
        let var = &self.whiten.weight;
        Ok(var.set(&filters.to_device(var.device())?.to_dtype(var.dtype())?)?)
    }

    /// Returns logits (N, classes) for images (N, 3, H, W).
    ///
    /// As in [`ResNet::forward`](crate::ResNet::forward), only training keeps the graph and uses the batch's statistics, with which it
    /// updates the running ones. A bf16 network accepts f32 images and returns f32 logits.
    ///
    /// # Errors
    ///
    /// Images of another shape, dtype or device.
    pub fn forward(&self, images: &Tensor, pass: Pass) -> Result<Tensor> {
        let sides = self.config.sides();
        if !matches!(images.dims(), &[_, 3, height, width] if sides.contains(&height) && sides.contains(&width)) {
            let expected = format!("(N, 3, H, W) with {} to {} pixels a side", sides.start(), sides.end());
            let (op, argument, got) = ("SpeedNet::forward", "images", images.dims().to_vec());
            return Err(lookahead_kernels::Error::Shape { op, argument, expected, got }.into());
        }
        let mut x = to_channels_last(images)?;
        if self.dtype == DType::BF16 && x.dtype() == DType::F32 {
            x = x.to_dtype(DType::BF16)?;
        }
        // One node of the graph: between nodes, candle clears and adds whole gradients.
        let mut layers = vec![PlainLayer {
            bias: Some(weight(&self.whiten.bias, pass)),
            activation: Some(Activation::Gelu),
            ..PlainLayer::new(self.whiten.weight.as_detached_tensor())
        }];
        for group in &self.groups {
            layers.extend(group.layers(self.config.batch_norm, pass)?);
        }
        let x = plain_network(&x, &layers, mode(pass))?;
        let x = max_pool2d(&x, 3, 3, 0)?.flatten_from(1)?.to_dtype(precise(self.dtype))?;
        Ok((x.matmul(&weight(&self.head, pass).t()?)? * self.config.logit_scale)?)
    }

    /// Trainable parameters, sorted by name, without the whitening filters.
    pub fn parameters(&self) -> Vec<(String, Var)> {
        self.store.parameters()
    }

    /// Batch norm's running statistics and the whitening filters, sorted by name.
    pub fn buffers(&self) -> Vec<(String, Var)> {
        self.store.buffers()
    }

    /// Number of trainable values.
    pub fn parameter_count(&self) -> usize {
        self.store.parameter_count()
    }

    /// The dtype of the activations, as passed to [`new`](Self::new).
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The configuration of this network.
    pub fn config(&self) -> &SpeedNetConfig {
        &self.config
    }

    /// Parameters and buffers, sorted by name: what a checkpoint of the network holds. The tensors share storage with the network.
    #[doc(alias = "state_dict")]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        self.store.state()
    }

    /// Loads the weights of a network of the same shape, as [`ResNet::load`](crate::ResNet::load) does.
    ///
    /// # Errors
    ///
    /// [`Error::Weights`](crate::Error::Weights) with every name that is missing, unexpected, of another shape or not floating-point; the
    /// network is then unchanged.
    #[doc(alias = "load_state_dict")]
    pub fn load(&self, weights: impl Into<Weights>) -> Result<Loaded> {
        self.store.load(weights.into(), false)
    }

    /// [`load`](Self::load) for another task: loads all but the last layer, `head`, which keeps this network's weights. The number of
    /// classes may differ.
    ///
    /// # Errors
    ///
    /// Errors of [`load`](Self::load), for all but the head.
    #[doc(alias = "fine_tune")]
    #[doc(alias = "num_classes")]
    pub fn load_backbone(&self, weights: impl Into<Weights>) -> Result<Loaded> {
        self.store.load(weights.into(), true)
    }

    /// Writes parameters and buffers to a safetensors file.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::Error::File) if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.store.save(path.as_ref())
    }
}

impl Group {
    fn new(store: &mut StoreBuilder<'_>, name: &str, channels: usize, width: usize) -> Result<Self> {
        let conv = |store: &mut StoreBuilder<'_>, layer, channels| {
            let shape = [width, channels, 3, 3];
            store.parameter(format!("{name}.{layer}.weight"), &shape, Init::part_identity(&shape))
        };
        Ok(Self {
            conv1: conv(store, "conv1", channels)?,
            norm1: Shift::new(store, &format!("{name}.norm1"), width)?,
            conv2: conv(store, "conv2", width)?,
            norm2: Shift::new(store, &format!("{name}.norm2"), width)?,
        })
    }

    /// The two layers in the kernels' form: the first halves the map, rounded down.
    fn layers(&self, config: BatchNormConfig, pass: Pass) -> Result<[PlainLayer; 2]> {
        let layer = |filters, norm: &Shift, pool| -> Result<PlainLayer> {
            let (norm, activation) = (Some(norm.kernel(config, pass)?), Some(Activation::Gelu));
            Ok(PlainLayer { padding: 1, pool, norm, activation, ..PlainLayer::new(weight(filters, pass)) })
        };
        Ok([layer(&self.conv1, &self.norm1, 2)?, layer(&self.conv2, &self.norm2, 1)?])
    }
}

impl Shift {
    fn new(store: &mut StoreBuilder<'_>, name: &str, channels: usize) -> Result<Self> {
        Ok(Self {
            scale: Tensor::ones(channels, store.dtype, &store.device)?,
            bias: store.parameter(format!("{name}.bias"), &[channels], Init::Constant(0.0))?,
            running_mean: store.buffer(format!("{name}.running_mean"), &[channels], Init::Constant(0.0))?,
            running_var: store.buffer(format!("{name}.running_var"), &[channels], Init::Constant(1.0))?,
        })
    }

    fn kernel(&self, config: BatchNormConfig, pass: Pass) -> Result<BatchNorm> {
        let (mean, var) = (self.running_mean.clone(), self.running_var.clone());
        let norm = BatchNorm::new(self.scale.clone(), weight(&self.bias, pass), mean, var)?;
        Ok(BatchNorm { momentum: config.momentum, eps: config.eps, ..norm })
    }
}
