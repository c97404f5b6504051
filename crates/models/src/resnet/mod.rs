mod block;
mod config;
mod exchange;
mod head;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use lookahead_kernels::{max_pool2d, residual_blocks, residual_network, to_channels_last};

use self::{block::Block, head::HeadLayers};
use crate::{
    Pass, Result,
    layers::{ConvNorm, mode},
    store::{Store, StoreBuilder, precise},
};

pub use self::config::{BlockKind, Head, ResNetConfig, Stem};

/// Channels of an image: red, green and blue.
const IMAGE_CHANNELS: usize = 3;

/// A residual network for image classification.
///
/// Images are (N, 3, H, W), normalised; logits are (N, classes). Internal activations are channels-last, so images stored that way (a
/// permuted view of (N, H, W, 3)) need no copy. Parameters have torchvision's names and shapes.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use lookahead_models::{Pass, ResNet, ResNetConfig};
///
/// let device = Device::Cpu;
/// let net = ResNet::new(&ResNetConfig::resnet20(10), 1, DType::F32, &device)?;
/// assert_eq!(net.parameter_count(), 272_474);
///
/// let images = Tensor::zeros((2, 3, 32, 32), DType::F32, &device)?;
/// let logits = net.forward(&images, Pass::Eval)?;
/// assert_eq!(logits.dims(), [2, 10]);
/// # Ok::<(), lookahead_models::Error>(())
/// ```
///
/// # References
///
/// He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, 2016. arXiv:1512.03385
#[derive(Debug)]
pub struct ResNet {
    config: ResNetConfig,
    /// Dtype of the activations.
    dtype: DType,
    stem: ConvNorm,
    blocks: Vec<Block>,
    head: HeadLayers,
    store: Store,
}

impl ResNet {
    /// A network with fresh weights, which depend only on `seed` and the parameters' names: convolutions as in He et al. 2015 (normal,
    /// outgoing connections), batch norm 1 and 0, the last layer as PyTorch's default.
    ///
    /// `dtype` applies to weights, buffers, images and activations: f32 or f64. With bf16, only images and activations are bf16, which
    /// halves the memory of a training step; weights, buffers, the head, the logits and all sums stay f32, so any optimizer can train them.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) if the configuration is invalid, or for another dtype.
    pub fn new(config: &ResNetConfig, seed: u64, dtype: DType, device: &Device) -> Result<Self> {
        Self::build(config, seed, dtype, device, None)
    }

    /// A network over the variables of candle's `VarBuilder`: those of a [`VarMap`](candle_nn::VarMap), which can then save and load them,
    /// or copies of a file's tensors.
    ///
    /// Names are those of [`parameters`](Self::parameters) and [`buffers`](Self::buffers) after the builder's prefix. Dtype and device are
    /// the builder's, with weights in f32 if it is bf16. Variables missing from a `VarMap` are drawn from `seed`, with the values that
    /// [`new`](Self::new) gives. `VarMap::all_vars` includes the running statistics: pass optimizers [`parameters`](Self::parameters)
    /// instead.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) as in [`new`](Self::new), [`Error::VarType`](crate::Error::VarType) if a variable exists with
    /// another dtype, and the builder's errors if it has no tensor of a name and shape.
    ///
    /// ```
    /// use candle_core::{DType, Device};
    /// use candle_nn::{VarBuilder, VarMap};
    /// use lookahead_models::{ResNet, ResNetConfig};
    ///
    /// let varmap = VarMap::new();
    /// let builder = VarBuilder::from_varmap(&varmap, DType::F32, &Device::Cpu);
    /// let net = ResNet::from_var_builder(&ResNetConfig::resnet20(10), 1, builder.pp("net"))?;
    /// assert_eq!(varmap.all_vars().len(), net.parameters().len() + net.buffers().len());
    /// # Ok::<(), lookahead_models::Error>(())
    /// ```
    pub fn from_var_builder(config: &ResNetConfig, seed: u64, builder: VarBuilder<'_>) -> Result<Self> {
        let (dtype, device) = (builder.dtype(), builder.device().clone());
        Self::build(config, seed, dtype, &device, Some(builder))
    }

    fn build(
        config: &ResNetConfig,
        seed: u64,
        dtype: DType,
        device: &Device,
        source: Option<VarBuilder<'_>>,
    ) -> Result<Self> {
        config.validate()?;
        let mut store = StoreBuilder::new(seed, dtype, device, config.batch_norm, source)?;
        let width = config.widths[0];
        let stem = match config.stem {
            Stem::Cifar => ConvNorm::new(&mut store, "conv1", "bn1", [width, IMAGE_CHANNELS, 3, 3], 1)?,
            Stem::ImageNet => ConvNorm::new(&mut store, "conv1", "bn1", [width, IMAGE_CHANNELS, 7, 7], 2)?,
        };

        let mut blocks = Vec::new();
        let mut channels = width;
        for (stage, (&width, &depth)) in config.widths.iter().zip(&config.depths).enumerate() {
            for index in 0..depth {
                let name = format!("layer{}.{index}", stage + 1);
                let stride = if index == 0 && stage > 0 { 2 } else { 1 };
                blocks.push(Block::new(&mut store, &name, config.block, channels, width, stride)?);
                channels = width * config.block.expansion();
            }
        }
        let head = HeadLayers::new(&mut store, config.head, channels, config.classes, seed)?;
        Ok(Self { config: config.clone(), dtype, stem, blocks, head, store: store.store })
    }

    /// Returns logits (N, classes) for images (N, 3, H, W).
    ///
    /// A bf16 network returns f32 logits, and also accepts f32 images, which are rounded.
    ///
    /// Training keeps the graph, and batch norm uses the batch's statistics and updates the running ones; evaluation does neither.
    ///
    /// # Errors
    ///
    /// Images of another shape, dtype or device. In training, [`Error::Kernel`](crate::Error::Kernel) if a batch norm gets one value per
    /// channel, which has no variance: a batch of one image whose last feature map has one pixel, and any batch of one image with
    /// [`Head::Fastai`]. Running statistics of earlier layers may have been updated by then.
    pub fn forward(&self, images: &Tensor, pass: Pass) -> Result<Tensor> {
        let mut x = to_channels_last(images)?;
        if self.dtype == DType::BF16 && x.dtype() == DType::F32 {
            x = x.to_dtype(DType::BF16)?;
        }
        if x.dtype() != self.dtype {
            let (expected, got) = (format!("{:?}, as the network is", self.dtype), x.dtype());
            return Err(
                lookahead_kernels::Error::DType { op: "ResNet::forward", argument: "images", expected, got }.into()
            );
        }
        // As much as possible in one node of the graph: between nodes, candle clears and adds whole gradients.
        let blocks = self.blocks.iter().map(|block| block.kernel(pass)).collect::<Result<Vec<_>>>()?;
        let x = match self.config.stem {
            Stem::Cifar => residual_network(&x, &self.stem.kernel(pass)?, &blocks, mode(pass))?,
            Stem::ImageNet => {
                let x = max_pool2d(&self.stem.forward_relu(&x, pass)?, 3, 2, 1)?;
                residual_blocks(&x, &blocks, mode(pass))?
            }
        };
        self.head.forward(&x.to_dtype(precise(self.dtype))?, pass)
    }

    /// Trainable parameters, sorted by name.
    pub fn parameters(&self) -> Vec<(String, Var)> {
        self.store.parameters()
    }

    /// Batch norm's running means and variances, sorted by name. They are not trained: no optimizer, decay or averaging touches them.
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
    pub fn config(&self) -> &ResNetConfig {
        &self.config
    }
}
