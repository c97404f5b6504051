use lookahead_kernels::ResidualBlock;

use super::BlockKind;
use crate::{Pass, Result, layers::ConvNorm, store::StoreBuilder};

/// The weights of a residual block, `relu(path(x) + shortcut(x))`.
#[derive(Debug)]
pub(super) struct Block {
    path: Vec<ConvNorm>,
    /// The 1x1 projection, if the block changes the shape.
    downsample: Option<ConvNorm>,
}

impl Block {
    /// `width` is the stage's; the block maps `channels` to `width * kind.expansion()`.
    pub(super) fn new(
        store: &mut StoreBuilder<'_>,
        name: &str,
        kind: BlockKind,
        channels: usize,
        width: usize,
        stride: usize,
    ) -> Result<Self> {
        let out = width * kind.expansion();
        let mut layer = |index: usize, shape, stride| {
            ConvNorm::new(store, &format!("{name}.conv{index}"), &format!("{name}.bn{index}"), shape, stride)
        };
        let path = match kind {
            BlockKind::Basic => vec![layer(1, [width, channels, 3, 3], stride)?, layer(2, [out, width, 3, 3], 1)?],
            BlockKind::Bottleneck => vec![
                layer(1, [width, channels, 1, 1], 1)?,
                layer(2, [width, width, 3, 3], stride)?,
                layer(3, [out, width, 1, 1], 1)?,
            ],
        };
        let downsample = if stride != 1 || channels != out {
            let (conv, norm) = (format!("{name}.downsample.0"), format!("{name}.downsample.1"));
            Some(ConvNorm::new(store, &conv, &norm, [out, channels, 1, 1], stride)?)
        } else {
            None
        };
        Ok(Self { path, downsample })
    }

    /// The block in the kernels' form.
    pub(super) fn kernel(&self, pass: Pass) -> Result<ResidualBlock> {
        Ok(ResidualBlock {
            path: self.path.iter().map(|layer| layer.kernel(pass)).collect::<Result<_>>()?,
            shortcut: self.downsample.as_ref().map(|layer| layer.kernel(pass)).transpose()?,
        })
    }
}
