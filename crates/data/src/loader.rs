//! Loads a data set as batches: order, augmentation and batching.

use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::augment::{OUTPUT_SIZE, checked};
use crate::course::{Course, Make};
use crate::dataset::{checked_label, origin};
use crate::order::Visit;
use crate::prefetch::Batches;
use crate::rng::Purpose;
use crate::{Batch, Dataset, Error, ImageSize, Mixing, Order, Pipeline, Result, SampleRng};

/// Settings of a [`Loader`].
///
/// | field | default | meaning | range |
/// |---|---|---|---|
/// | `batch_size` | 128 | images per batch | >= 1 |
/// | `seed` | 0 | seed of order, augmentation and mixing | any |
/// | `shuffle` | true | a new random order in each epoch; otherwise the order of the data set | |
/// | `drop_last` | true | drop a last batch that is not full; if that leaves no batch, the epoch is an error | |
/// | `prefetch` | 2 | batches prepared ahead; 0 prepares each batch on request | any |
/// | `limit` | none | use at most this many samples, [evenly spaced](crate::limit) | >= 1 |
/// | `threads` | none | threads of a separate pool; none uses rayon's global pool | >= 1 |
/// | `mixing` | none | mixup or CutMix | |
///
/// An epoch started on a thread of a rayon pool prepares nothing ahead unless `threads` is set: by waiting, that thread could block the pool
/// that prepares the batches.
///
/// These defaults are for training. PyTorch's `DataLoader` has a batch size of 1, keeps the order and drops nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[doc(alias = "num_workers")]
#[doc(alias = "seed")]
pub struct LoaderConfig {
    /// Images per batch.
    pub batch_size: usize,
    /// Seed of order, augmentation and mixing.
    pub seed: u64,
    /// Use a new random order in each epoch.
    pub shuffle: bool,
    /// Drop a last batch that is not full.
    pub drop_last: bool,
    /// Batches prepared ahead.
    pub prefetch: usize,
    /// Use at most this many samples, evenly spaced.
    pub limit: Option<usize>,
    /// Threads of a separate pool.
    pub threads: Option<usize>,
    /// Mixup or CutMix.
    pub mixing: Mixing,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self {
            batch_size: 128,
            seed: 0,
            shuffle: true,
            drop_last: true,
            prefetch: 2,
            limit: None,
            threads: None,
            mixing: Mixing::None,
        }
    }
}

impl LoaderConfig {
    /// Settings for validation: every sample once, in order, unmixed.
    pub fn evaluation(batch_size: usize) -> Self {
        Self { batch_size, shuffle: false, drop_last: false, ..Self::default() }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        for (setting, value) in
            [("batch_size", Some(self.batch_size)), ("limit", self.limit), ("threads", self.threads)]
        {
            if value == Some(0) {
                return Err(Error::setting(setting, 0, "at least 1"));
            }
        }
        self.mixing.validate()
    }
}

/// Turns a data set into augmented batches. The same seed gives the same bytes on any number of threads.
///
/// ```
/// use lookahead_data::{Loader, LoaderConfig, Pipeline, Shapes, ShapesConfig};
///
/// let shapes = Shapes::draw(&ShapesConfig { train: 100, valid: 10, ..ShapesConfig::default() })?;
/// let config = LoaderConfig { batch_size: 32, ..LoaderConfig::default() };
/// let loader = Loader::new(shapes.train, Pipeline::cifar(), config)?;
/// assert_eq!(loader.batches_per_epoch(), 3); // the last 4 images make no full batch
/// for batch in loader.epoch(0, 0) {
///     let batch = batch?.to_device(&candle_core::Device::Cpu, &shapes.normalize)?;
///     assert_eq!(batch.images.dims(), [32, 3, 32, 32]);
/// }
/// # Ok::<(), lookahead_data::Error>(())
/// ```
#[derive(Debug)]
#[doc(alias = "DataLoader")]
pub struct Loader {
    course: Course,
    shared: Arc<Shared>,
}

/// Data shared by the loader and its thread.
#[derive(Debug)]
struct Shared {
    dataset: Arc<dyn Dataset>,
    pipeline: Pipeline,
    config: LoaderConfig,
}

impl Loader {
    /// A loader over `dataset` that augments its images with `pipeline`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a value out of range, for mixing without classes, or if the thread pool cannot be started.
    pub fn new(dataset: Arc<dyn Dataset>, pipeline: Pipeline, config: LoaderConfig) -> Result<Self> {
        let dataset = match config.limit {
            Some(count) if count > 0 => crate::limit(dataset, count),
            _ => dataset,
        };
        if config.mixing != Mixing::None && dataset.classes().is_empty() {
            let rule = "none for a data set without classes: targets are mixed by class";
            return Err(Error::setting("mixing", format!("{:?}", config.mixing), rule));
        }
        let course = Course::new(dataset.len(), &config)?;
        Ok(Self { course, shared: Arc::new(Shared { dataset, pipeline, config }) })
    }

    /// Uses your own order instead of the one that `shuffle` selects.
    #[must_use]
    pub fn with_order(self, order: impl Order + 'static) -> Self {
        Self { course: self.course.with_order(order), ..self }
    }

    /// The samples in use: the whole data set, or the subset that `limit` selects.
    pub fn dataset(&self) -> &Arc<dyn Dataset> {
        &self.shared.dataset
    }

    /// The augmentation.
    pub fn pipeline(&self) -> &Pipeline {
        &self.shared.pipeline
    }

    /// The settings.
    pub fn config(&self) -> &LoaderConfig {
        &self.shared.config
    }

    /// Number of batches per epoch.
    pub fn batches_per_epoch(&self) -> usize {
        self.course.batches_per_epoch()
    }

    /// Number of images per epoch.
    pub fn samples_per_epoch(&self) -> usize {
        self.course.samples_per_epoch()
    }

    /// The batches of `epoch`, in order, from batch number `first_batch` on.
    ///
    /// To resume a run that stopped after n batches, set `first_batch` to n: the bytes are those of an uninterrupted run.
    ///
    /// The first item is [`Error::Setting`] if `drop_last` drops every sample, because the data set is smaller than a batch. A data set
    /// without samples has no batches.
    pub fn epoch(&self, epoch: usize, first_batch: usize) -> Batches {
        self.course.epoch(Arc::clone(&self.shared), epoch, first_batch)
    }
}

impl Make for Shared {
    type Batch = Batch;

    fn make(&self, visits: &[Visit], epoch: usize, number: usize) -> Result<Batch> {
        let size = self.output_size(visits)?;
        let too_large = || Error::setting("batch_size", visits.len(), "small enough for the batch to fit into memory");
        let mut images = vec![0; size.bytes().checked_mul(visits.len()).ok_or_else(too_large)?];
        // Every result, because rayon collects into the error that came first in time, not in order.
        let labels: Vec<Result<u32>> = images
            .par_chunks_mut(size.bytes().max(1))
            .with_min_len((BYTES_PER_TASK / size.bytes().max(1)).max(1))
            .zip(visits)
            .map(|(out, &visit)| self.write(visit, epoch, size, out))
            .collect();
        let labels = labels.into_iter().collect::<Result<_>>()?;
        let mut rng = SampleRng::keyed(self.config.seed, Purpose::Mixing, epoch as u64, number as u64);
        let mix = self.config.mixing.draw(visits.len(), size, &mut rng)?;
        if let Some((mix, pasted)) = mix.as_ref().and_then(|mix| Some((mix, mix.pasted?))) {
            pasted.paste(&mut images, size, &mix.partner);
        }
        let classes = self.dataset.classes().len();
        let (seed, epoch) = (self.config.seed, epoch as u64);
        let indices = visits.iter().map(|visit| visit.index).collect();
        let earlier = visits.iter().map(|visit| visit.earlier).collect();
        Ok(Batch { size, images, labels, indices, earlier, mix, classes, seed, epoch })
    }
}

impl Shared {
    /// Writes the augmented sample of `visit` to `out` and returns its label.
    fn write(&self, visit: Visit, epoch: usize, size: ImageSize, out: &mut [u8]) -> Result<u32> {
        let Visit { index, earlier } = visit;
        let rng = &mut SampleRng::of_visit(self.config.seed, Purpose::Augment, epoch as u64, index.into(), earlier);
        let index = index as usize;
        let named = |error| Error::Sample { origin: origin(self.dataset.as_ref(), index), source: Box::new(error) };
        let label = match self.dataset.view(index) {
            Some(view) => {
                self.check(index, self.pipeline.output_size(view.size()), size)?;
                self.pipeline.write(view, rng, out).map_err(named)?;
                self.dataset.label(index)?
            }
            None => {
                let sample = self.dataset.get(index)?;
                self.check(index, self.pipeline.output_size(sample.image.size()), size)?;
                self.pipeline.write(sample.image.view(), rng, out).map_err(named)?;
                sample.label
            }
        };
        checked_label(self.dataset.as_ref(), index, label)
    }

    fn check(&self, index: usize, found: ImageSize, expected: ImageSize) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        let (path, row) = match self.dataset.file(index) {
            Some(path) => (path.to_path_buf(), None),
            None => (self.dataset.name().into(), Some(index)),
        };
        Err(Error::UnequalSize { path, row, expected, found })
    }

    /// The size of a batch's images: the pipeline's if it fixes one, else the data set's, else that of the first image. It is checked
    /// here, before memory for the batch is allocated.
    fn output_size(&self, visits: &[Visit]) -> Result<ImageSize> {
        let Some(first) = visits.first() else { return Ok(ImageSize::new(0, 0)) };
        let first = first.index as usize;
        let size = match (self.pipeline.fixed_size(), self.dataset.image_size()) {
            (Some(size), _) => size,
            (None, Some(size)) => self.pipeline.output_size(size),
            (None, None) => self.pipeline.output_size(self.dataset.get(first)?.image.size()),
        };
        let named = |error| Error::Sample { origin: origin(self.dataset.as_ref(), first), source: Box::new(error) };
        checked(OUTPUT_SIZE, size).map_err(named)
    }
}

/// Minimum output bytes per task: 32 images of CIFAR, or a single photograph.
const BYTES_PER_TASK: usize = 96 * 1024;
