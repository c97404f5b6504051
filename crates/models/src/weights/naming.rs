//! The names of a residual network's tensors in other libraries, and ours, which are torchvision's.

use std::fmt;

/// The naming scheme of a set of tensors.
///
/// | library | first convolution | in a block | last layer |
/// | --- | --- | --- | --- |
/// | torchvision, timm | `conv1.weight`, `bn1.*` | `layer2.0.conv1.weight`, `layer2.0.bn1.*`, `layer2.0.downsample.0.weight`, `layer2.0.downsample.1.*` | `fc.*` |
/// | transformers | `embedder.embedder.convolution.weight`, `embedder.embedder.normalization.*` | `encoder.stages.1.layers.0.layer.0.convolution.weight`, `….layer.0.normalization.*`, `….shortcut.convolution.weight`, `….shortcut.normalization.*` | `classifier.1.*` |
///
/// In transformers, `ResNetForImageClassification` puts `resnet.` before all names but the last layer's; `ResNetModel` has no prefix.
/// A `module.` (PyTorch's `DataParallel`) or `_orig_mod.` (`torch.compile`) before every name is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Naming {
    /// torchvision's names, which timm and this crate use too.
    #[default]
    Torchvision,
    /// The names of transformers' `ResNetModel` and `ResNetForImageClassification`.
    Transformers,
}

impl fmt::Display for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Naming::Torchvision => "torchvision",
            Naming::Transformers => "transformers",
        })
    }
}

/// Prefixes that PyTorch's wrappers add to every name.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// Maps given names to the network's.
#[derive(Debug)]
pub(super) struct Translation {
    pub(super) naming: Naming,
    prefix: String,
}

impl Translation {
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Self {
        let mut prefix = String::new();
        while let Some(wrapper) = WRAPPERS.into_iter().find(|wrapper| {
            let inner = |name: &'a str| name.strip_prefix(prefix.as_str());
            names.clone().next().is_some()
                && names.clone().all(|name| inner(name).is_some_and(|n| n.starts_with(wrapper)))
        }) {
            prefix.push_str(wrapper);
        }
        let transformers = names.clone().any(|name| name.contains("embedder.embedder."));
        Self { naming: if transformers { Naming::Transformers } else { Naming::Torchvision }, prefix }
    }

    /// The network's name for `name`; unchanged if there is none.
    pub(super) fn own(&self, name: &str) -> String {
        let name = name.strip_prefix(self.prefix.as_str()).unwrap_or(name);
        match self.naming {
            Naming::Torchvision => name.to_string(),
            Naming::Transformers => from_transformers(name).unwrap_or_else(|| name.to_string()),
        }
    }
}

fn from_transformers(name: &str) -> Option<String> {
    if let Some(rest) = name.strip_prefix("classifier.1.") {
        return Some(format!("fc.{rest}"));
    }
    let name = name.strip_prefix("resnet.").unwrap_or(name);
    if let Some(rest) = name.strip_prefix("embedder.embedder.") {
        return layer(rest, "conv1", "bn1");
    }
    let (stage, rest) = name.strip_prefix("encoder.stages.")?.split_once(".layers.")?;
    let (block, rest) = rest.split_once('.')?;
    let stage = stage.parse::<usize>().ok()?.checked_add(1)?;
    let renamed = if let Some(rest) = rest.strip_prefix("shortcut.") {
        layer(rest, "downsample.0", "downsample.1")?
    } else {
        let (index, rest) = rest.strip_prefix("layer.")?.split_once('.')?;
        let index = index.parse::<usize>().ok()?.checked_add(1)?;
        layer(rest, &format!("conv{index}"), &format!("bn{index}"))?
    };
    Some(format!("layer{stage}.{block}.{renamed}"))
}

/// The new name of `convolution.x` or `normalization.x`.
fn layer(name: &str, convolution: &str, normalization: &str) -> Option<String> {
    let (kind, rest) = name.split_once('.')?;
    match kind {
        "convolution" => Some(format!("{convolution}.{rest}")),
        "normalization" => Some(format!("{normalization}.{rest}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transformers_names_become_torchvisions() {
        let pairs = [
            ("resnet.embedder.embedder.convolution.weight", "conv1.weight"),
            ("embedder.embedder.normalization.running_var", "bn1.running_var"),
            ("resnet.encoder.stages.0.layers.2.layer.1.convolution.weight", "layer1.2.conv2.weight"),
            ("resnet.encoder.stages.3.layers.0.layer.2.normalization.bias", "layer4.0.bn3.bias"),
            ("encoder.stages.1.layers.0.shortcut.convolution.weight", "layer2.0.downsample.0.weight"),
            ("encoder.stages.1.layers.0.shortcut.normalization.weight", "layer2.0.downsample.1.weight"),
            ("classifier.1.bias", "fc.bias"),
        ];
        for (theirs, ours) in pairs {
            assert_eq!(from_transformers(theirs).as_deref(), Some(ours));
        }
        for other in ["pooler.weight", "encoder.stages.x.layers.0.layer.0.convolution.weight", "encoder.stages.1"] {
            assert_eq!(from_transformers(other), None);
        }
    }

    #[test]
    fn wrappers_are_dropped_only_where_every_name_has_them() {
        let both = ["module._orig_mod.conv1.weight", "module._orig_mod.fc.bias"];
        assert_eq!(Translation::of(both.into_iter()).own(both[0]), "conv1.weight");
        let one = ["module.conv1.weight", "fc.bias"];
        assert_eq!(Translation::of(one.into_iter()).own(one[0]), one[0]);
        assert_eq!(Translation::of([].into_iter()).own("module.x"), "module.x");
    }
}
