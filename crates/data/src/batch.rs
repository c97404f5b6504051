//! Batches on the host, and their transfer to the device.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use crate::dataset::checked_label;
use crate::rng::Purpose;
use crate::{Dataset, ImageSize, Mix, Normalize, Result, SampleRng};

/// Augmented images of one size with their labels, on the host, as u8.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    pub(crate) size: ImageSize,
    pub(crate) images: Vec<u8>,
    pub(crate) labels: Vec<u32>,
    pub(crate) indices: Vec<u32>,
    /// (N): number of earlier visits to each image in the same epoch.
    pub(crate) earlier: Vec<u32>,
    pub(crate) mix: Option<Mix>,
    pub(crate) classes: usize,
    pub(crate) seed: u64,
    pub(crate) epoch: u64,
}

/// A batch on the device, ready for a network.
#[derive(Debug, Clone)]
pub struct DeviceBatch {
    /// (N, C, H, W) f32, normalised; a permuted view of contiguous (N, H, W, C) storage, so channels-last code needs no copy.
    pub images: Tensor,
    /// (N) u32: each image's own class.
    pub labels: Tensor,
    /// (N, K) f32, rows summing to 1; `None` unless the batch was mixed.
    pub soft_targets: Option<Tensor>,
}

impl Batch {
    /// Decodes samples without augmentation or mixing, to inspect single images. All images must have the same size.
    ///
    /// # Errors
    /// Errors of [`Dataset::get`]; [`crate::Error::Size`] if sizes differ; [`crate::Error::Label`] for a label that is not a class.
    pub fn from_samples(dataset: &dyn Dataset, indices: &[u32]) -> Result<Self> {
        let mut batch = Self {
            size: ImageSize::new(0, 0),
            images: Vec::new(),
            labels: Vec::new(),
            indices: indices.to_vec(),
            earlier: vec![0; indices.len()],
            mix: None,
            classes: dataset.classes().len(),
            seed: 0,
            epoch: 0,
        };
        for &index in indices {
            let sample = dataset.get(index as usize)?;
            let found = sample.image.size();
            if batch.labels.is_empty() {
                batch.size = found;
            } else if batch.size != found {
                let (path, row) = (dataset.name().into(), Some(index as usize));
                return Err(crate::Error::Size { path, row, expected: batch.size, found });
            }
            batch.images.extend_from_slice(sample.image.pixels());
            batch.labels.push(checked_label(dataset, index as usize, sample.label)?);
        }
        Ok(batch)
    }

    /// Number of images, N.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True if there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Height and width of the images.
    pub fn image_size(&self) -> ImageSize {
        self.size
    }

    /// (N, H, W, C) u8. CutMix boxes are already pasted; mixup blends in [`to_device`](Self::to_device).
    pub fn images(&self) -> &[u8] {
        &self.images
    }

    /// (N): each image's own class.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// (N): the index of each image in [`Loader::dataset`](crate::Loader::dataset), which is a subset if `limit` is set.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// The random stream of the image at `position`, for augmentation outside the pipeline. It is keyed by (seed, epoch, index) like the
    /// pipeline's stream, but independent of it.
    ///
    /// # Panics
    /// If `position` is not below [`len`](Self::len).
    pub fn rng(&self, position: usize) -> SampleRng {
        let (index, earlier) = (self.indices[position].into(), self.earlier[position]);
        SampleRng::of_visit(self.seed, Purpose::Outside, self.epoch, index, earlier)
    }

    /// How the images were mixed; `None` without mixing.
    pub fn mix(&self) -> Option<&Mix> {
        self.mix.as_ref()
    }

    /// (N, K): the weight of each class, rows summing to 1; `None` without mixing.
    pub fn soft_targets(&self) -> Option<Vec<f32>> {
        let mix = self.mix.as_ref()?;
        let mut targets = vec![0.0; self.len() * self.classes];
        let rows = targets.chunks_exact_mut(self.classes.max(1));
        for ((row, &label), (&partner, &weight)) in rows.zip(&self.labels).zip(mix.partner.iter().zip(&mix.weight)) {
            row[label as usize] += weight;
            row[self.labels[partner as usize] as usize] += 1.0 - weight;
        }
        Some(targets)
    }

    /// Moves the batch to `device` and normalises it there.
    ///
    /// For a GPU, the bytes are transferred as u8, a quarter of the size of f32. On the CPU, one pass over all cores converts bytes to f32
    /// and includes mixup's blend.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for constants that [`Normalize::validate`] rejects; candle's error if memory runs out.
    pub fn to_device(&self, device: &Device, normalize: &Normalize) -> Result<DeviceBatch> {
        normalize.validate()?;
        let shape = (self.len(), self.size.height, self.size.width, crate::CHANNELS);
        let images = match device {
            Device::Cpu => Tensor::from_vec(self.normalized(normalize), shape, device)?,
            _ => self.normalized_on(device, normalize)?,
        };
        let soft_targets = match self.soft_targets() {
            Some(targets) => Some(Tensor::from_vec(targets, (self.len(), self.classes), device)?),
            None => None,
        };
        let labels = Tensor::from_slice(&self.labels, self.len(), device)?;
        Ok(DeviceBatch { images: images.permute((0, 3, 1, 2))?, labels, soft_targets })
    }

    /// The pending blend: partner and weight of each image.
    fn blend(&self) -> Option<(&[u32], &[f32])> {
        self.mix.as_ref().filter(|mix| mix.pasted.is_none()).map(|mix| (&mix.partner[..], &mix.weight[..]))
    }

    /// (N, H, W, C) f32.
    fn normalized(&self, normalize: &Normalize) -> Vec<f32> {
        let table = normalize.table();
        let stride = self.size.bytes();
        let image = |i: usize| &self.images[i * stride..(i + 1) * stride];
        let mut out = vec![0.0; self.images.len()];
        // Group small images: a task has the overhead of some thousand pixels.
        let group = (PIXELS_PER_TASK / stride.max(1)).max(1);
        out.par_chunks_mut((stride * group).max(1)).enumerate().for_each(|(task, out)| {
            for (i, out) in out.chunks_exact_mut(stride).enumerate() {
                let i = task * group + i;
                match self.blend() {
                    Some((partner, weight)) => table.write_mixed(image(i), image(partner[i] as usize), weight[i], out),
                    None => table.write(image(i), out),
                }
            }
        });
        out
    }

    /// Normalised images by tensor operations, on any device.
    fn normalized_on(&self, device: &Device, normalize: &Normalize) -> Result<Tensor> {
        let shape = (self.len(), self.size.height, self.size.width, crate::CHANNELS);
        let bytes = Tensor::from_slice(&self.images, shape, device)?;
        let per_channel = |values: [f32; 3]| Tensor::new(&values, device);
        let unit = (bytes.to_dtype(candle_core::DType::F32)? * (1.0 / 255.0))?;
        let images = unit.broadcast_sub(&per_channel(normalize.mean)?)?.broadcast_div(&per_channel(normalize.std)?)?;
        let Some((partner, weight)) = self.blend() else { return Ok(images) };
        let partner = images.index_select(&Tensor::from_slice(partner, self.len(), device)?, 0)?;
        let weight = Tensor::from_slice(weight, (self.len(), 1, 1, 1), device)?;
        let rest = weight.affine(-1.0, 1.0)?;
        Ok((images.broadcast_mul(&weight)? + partner.broadcast_mul(&rest)?)?)
    }
}

/// Values per task of [`Batch::to_device`]: some 50 microseconds of work, a hundred times the overhead of a task.
const PIXELS_PER_TASK: usize = 64 * 1024;
