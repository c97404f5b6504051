//! Interoperability with candle-datasets.

use candle_core::{DType, Device, Tensor};
use candle_datasets::vision::Dataset as VisionDataset;

use crate::{Batch, CHANNELS, Dataset, Error, Result, Splits};

/// Converts a data set to candle-datasets' `vision::Dataset`: images (N, C, H, W) f32 in \[0, 1\] on the CPU, labels (N) u8.
///
/// Images are upright; candle-datasets' own parquet loader returns them transposed. The whole set is held as f32 at once: 740 MB for
/// CIFAR-10.
///
/// # Errors
/// Those of [`Dataset::get`], [`Error::Size`] if images differ in size, and [`Error::Setting`] for a label above 255, which u8 cannot hold.
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
    // candle's own cast would wrap: label 256 would become 0.
    let byte = |&label: &u32| {
        u8::try_from(label)
            .map_err(|_| Error::setting("label", label, "at most 255: candle-datasets holds labels as u8"))
    };
    let labels = batch.labels().iter().map(byte).collect::<Result<Vec<u8>>>()?;
    Ok((images, Tensor::from_vec(labels, batch.len(), &Device::Cpu)?))
}
