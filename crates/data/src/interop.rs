//! Interoperability with candle-datasets.

use candle_core::{DType, Device, Tensor};
use candle_datasets::vision::Dataset as VisionDataset;

use crate::{Batch, CHANNELS, Dataset, Result, Splits};

/// Converts a data set to candle-datasets' `vision::Dataset`: images (N, C, H, W) f32 in \[0, 1\] on the CPU, labels (N) u8.
///
/// Images are upright; candle-datasets' own parquet loader returns them transposed. The whole set is held as f32 at once: 740 MB for
/// CIFAR-10.
///
/// # Errors
/// Those of [`Dataset::get`], and [`crate::Error::Size`] if images differ in size.
pub fn to_candle_datasets(splits: &Splits) -> Result<VisionDataset> {
    let (train_images, train_labels) = tensors(splits.train.as_ref())?;
    let (test_images, test_labels) = tensors(splits.valid.as_ref())?;
    Ok(VisionDataset { train_images, train_labels, test_images, test_labels, labels: splits.train.classes().len() })
}

fn tensors(dataset: &dyn Dataset) -> Result<(Tensor, Tensor)> {
    let indices: Vec<u32> = (0..dataset.len() as u32).collect();
    let batch = Batch::from_samples(dataset, &indices)?;
    let size = batch.image_size();
    let bytes = Tensor::from_slice(batch.images(), (batch.len(), size.height, size.width, CHANNELS), &Device::Cpu)?;
    let images = (bytes.permute((0, 3, 1, 2))?.contiguous()?.to_dtype(DType::F32)? / 255.0)?;
    let labels = Tensor::from_slice(batch.labels(), batch.len(), &Device::Cpu)?.to_dtype(DType::U8)?;
    Ok((images, labels))
}
