use crate::{BatchNormConfig, Error, Result};

/// The layers before the first stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Stem {
    /// One 3x3 convolution with stride 1: for images of 32x32 pixels.
    Cifar,
    /// A 7x7 convolution with stride 2, then a 3x3 max pool with stride 2: for images of 64 pixels and more.
    ImageNet,
}

/// The repeated unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum BlockKind {
    /// Two 3x3 convolutions, the first one strided.
    Basic,
    /// 1x1, 3x3 and 1x1 convolutions, the middle one strided (as in torchvision; He et al. stride the first), the last four times as wide.
    Bottleneck,
}

impl BlockKind {
    /// Output channels of a block for each channel of its stage.
    pub(crate) const fn expansion(self) -> usize {
        match self {
            BlockKind::Basic => 1,
            BlockKind::Bottleneck => 4,
        }
    }
}

/// The layers after the last stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Head {
    /// Global average pool and one linear layer, `fc`.
    Linear,
    /// The head of fastai v1's `cnn_learner`: global maximum and mean, concatenated, batch norm, dropout 0.25, a linear layer to 512, relu,
    /// batch norm, dropout 0.5 and a linear layer; He-normal weights, biases initially zero. Feature maps must be square.
    Fastai,
}

/// The shape of a [`ResNet`](crate::ResNet). The default is torchvision's `resnet18`: the 7x7 stem and 1,000 classes.
///
/// | field        | meaning                                             | range                            |
/// |--------------|-----------------------------------------------------|----------------------------------|
/// | `stem`       | layers before the first stage                       | [`Stem`]                         |
/// | `block`      | the repeated unit                                   | [`BlockKind`]                    |
/// | `widths`     | channels of each stage; the stem has the first      | at least one stage, each >= 1    |
/// | `depths`     | blocks in each stage                                | as many as widths, each >= 1     |
/// | `head`       | layers after the last stage                         | [`Head`], linear by default      |
/// | `classes`    | width of the last layer                             | >= 1                             |
/// | `batch_norm` | momentum and eps of every batch norm                | [`BatchNormConfig`]              |
///
/// Every stage but the first halves height and width in its first block. If a block changes the shape, its shortcut is a 1x1 convolution
/// with batch norm (option B of He et al.).
///
/// ```
/// use lookahead_models::{ResNetConfig, Stem};
///
/// let config = ResNetConfig::by_name("resnet18", Stem::Cifar, 10)?;
/// assert_eq!(config, ResNetConfig::resnet18(Stem::Cifar, 10));
/// assert_eq!(config.widths, [64, 128, 256, 512]);
/// # Ok::<(), lookahead_models::Error>(())
/// ```
///
/// # References
///
/// He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, 2016. arXiv:1512.03385
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct ResNetConfig {
    /// Layers before the first stage.
    pub stem: Stem,
    /// The repeated unit.
    pub block: BlockKind,
    /// Channels of each stage.
    pub widths: Vec<usize>,
    /// Blocks in each stage.
    pub depths: Vec<usize>,
    /// Layers after the last stage.
    pub head: Head,
    /// Width of the last layer.
    pub classes: usize,
    /// Momentum and eps of every batch norm.
    pub batch_norm: BatchNormConfig,
}

impl Default for ResNetConfig {
    fn default() -> Self {
        Self::resnet18(Stem::ImageNet, 1000)
    }
}

impl ResNetConfig {
    /// The names that [`by_name`](Self::by_name) accepts.
    pub const NAMES: [&str; 4] = ["resnet20", "resnet18", "resnet34", "resnet50"];

    /// The 20-layer CIFAR network of He et al. section 4.2: stages of 16, 32 and 64 channels, three basic blocks each, and the 3x3 stem. It
    /// uses 1x1 projections where the paper pads with zeros: 272,474 parameters for 10 classes.
    pub fn resnet20(classes: usize) -> Self {
        Self {
            stem: Stem::Cifar,
            block: BlockKind::Basic,
            widths: vec![16, 32, 64],
            depths: vec![3; 3],
            head: Head::Linear,
            classes,
            batch_norm: BatchNormConfig::default(),
        }
    }

    /// ResNet-18: 11,173,962 parameters for 10 classes with the 3x3 stem, 11,689,512 for 1,000 with the 7x7 one.
    pub fn resnet18(stem: Stem, classes: usize) -> Self {
        Self::imagenet(stem, BlockKind::Basic, [2, 2, 2, 2], classes)
    }

    /// ResNet-34: 21,797,672 parameters for 1,000 classes with the 7x7 stem.
    pub fn resnet34(stem: Stem, classes: usize) -> Self {
        Self::imagenet(stem, BlockKind::Basic, [3, 4, 6, 3], classes)
    }

    /// ResNet-50: 25,557,032 parameters for 1,000 classes with the 7x7 stem.
    pub fn resnet50(stem: Stem, classes: usize) -> Self {
        Self::imagenet(stem, BlockKind::Bottleneck, [3, 4, 6, 3], classes)
    }

    fn imagenet(stem: Stem, block: BlockKind, depths: [usize; 4], classes: usize) -> Self {
        Self {
            stem,
            block,
            widths: vec![64, 128, 256, 512],
            depths: depths.to_vec(),
            head: Head::Linear,
            classes,
            batch_norm: BatchNormConfig::default(),
        }
    }

    /// The network with this name, one of [`NAMES`](Self::NAMES). `resnet20` always has [`Stem::Cifar`] and ignores `stem`.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownModel`] for any other name.
    pub fn by_name(name: &str, stem: Stem, classes: usize) -> Result<Self> {
        match name {
            "resnet20" => Ok(Self::resnet20(classes)),
            "resnet18" => Ok(Self::resnet18(stem, classes)),
            "resnet34" => Ok(Self::resnet34(stem, classes)),
            "resnet50" => Ok(Self::resnet50(stem, classes)),
            _ => Err(Error::UnknownModel(name.to_string())),
        }
    }

    /// Checks every field against the table above.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the first field out of range.
    pub fn validate(&self) -> Result<()> {
        let at_least_one = "a list of at least one number, each 1 or more";
        let check = |field, list: &[usize]| {
            if list.is_empty() || list.contains(&0) {
                return Err(Error::Config { field, value: format!("{list:?}"), rule: at_least_one });
            }
            Ok(())
        };
        check("widths", &self.widths)?;
        check("depths", &self.depths)?;
        if self.widths.len() != self.depths.len() {
            let value = format!("{:?} beside widths {:?}", self.depths, self.widths);
            return Err(Error::Config { field: "depths", value, rule: "as long as widths" });
        }
        if self.classes == 0 {
            return Err(Error::Config { field: "classes", value: "0".to_string(), rule: "1 or more" });
        }
        self.batch_norm.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_known_and_no_other() {
        for name in ResNetConfig::NAMES {
            assert!(ResNetConfig::by_name(name, Stem::ImageNet, 10).is_ok());
        }
        let message = ResNetConfig::by_name("resnet21", Stem::Cifar, 10).unwrap_err().to_string();
        assert_eq!(message, "unknown model \"resnet21\": the models are resnet20, resnet18, resnet34, resnet50");
    }

    #[test]
    fn fields_out_of_range_are_named() {
        let (good, norm) = (ResNetConfig::resnet20(10), BatchNormConfig::default());
        let broken = [
            ResNetConfig { widths: vec![], ..good.clone() },
            ResNetConfig { depths: vec![3, 0, 3], ..good.clone() },
            ResNetConfig { depths: vec![3, 3], ..good.clone() },
            ResNetConfig { classes: 0, ..good.clone() },
            ResNetConfig { batch_norm: BatchNormConfig { momentum: f64::NAN, ..norm }, ..good.clone() },
            ResNetConfig { batch_norm: BatchNormConfig { momentum: 1.1, ..norm }, ..good.clone() },
            ResNetConfig { batch_norm: BatchNormConfig { eps: 0.0, ..norm }, ..good.clone() },
            ResNetConfig { batch_norm: BatchNormConfig { eps: f64::NAN, ..norm }, ..good.clone() },
        ];
        let fields = ["widths", "depths", "depths", "classes"];
        let fields = fields.into_iter().chain(["batch_norm.momentum"; 2]).chain(["batch_norm.eps"; 2]);
        for (config, field) in broken.into_iter().zip(fields) {
            assert!(config.validate().unwrap_err().to_string().starts_with(field), "{config:?}");
        }
        good.validate().unwrap();
    }
}
