//! Data of any shape: samples that are not colour images, or have no class.

use std::fmt::Debug;
use std::sync::Arc;

use candle_core::{Device, Shape, Tensor, WithDType};
use rayon::prelude::*;

use crate::course::{Course, Make};
use crate::order::Visit;
use crate::prefetch::Batches;
use crate::rng::Purpose;
use crate::{Error, LoaderConfig, Mixing, Order, OwnError, Result, SampleRng};

/// Your own data, of any shape, type and number of channels, with targets of any kind: grey images, spectra, rows of a table.
///
/// An [`ExampleLoader`] reads it as [`Loader`](crate::Loader) reads images: in parallel, ahead, in a seeded order, with the same result on
/// any number of threads.
///
/// ```
/// use std::sync::Arc;
/// use candle_core::Device;
/// use lookahead_data::{ExampleLoader, Examples, LoaderConfig, OwnError, SampleRng};
///
/// /// Rows of four numbers, and their sum.
/// #[derive(Debug)]
/// struct Rows(Vec<[f32; 4]>);
///
/// impl Examples for Rows {
///     type Item = ([f32; 4], f32);
///
///     fn len(&self) -> usize {
///         self.0.len()
///     }
///
///     fn get(&self, index: usize, rng: &mut SampleRng) -> Result<Self::Item, OwnError> {
///         let row = self.0[index];
///         let noise = rng.range(-0.1, 0.1) as f32;
///         Ok((row.map(|v| v + noise), row.iter().sum()))
///     }
/// }
///
/// let rows = Arc::new(Rows((0..100).map(|i| [i as f32; 4]).collect()));
/// let config = LoaderConfig { batch_size: 20, ..LoaderConfig::default() };
/// for batch in ExampleLoader::new(rows, config)?.epoch(0, 0) {
///     let batch = batch?;
///     let inputs = batch.tensor(4, &Device::Cpu, |(row, _)| row)?; // (N, 4)
///     let targets = batch.tensor((), &Device::Cpu, |(_, sum)| std::slice::from_ref(sum))?; // (N)
///     assert_eq!((inputs.dims(), targets.dims()), (&[20, 4][..], &[20][..]));
/// }
/// # Ok::<(), lookahead_data::Error>(())
/// ```
pub trait Examples: Send + Sync + Debug {
    /// One example: inputs, targets or anything else.
    type Item: Send + 'static;

    /// Number of examples.
    fn len(&self) -> usize;

    /// True if there are no examples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Example `index`, below [`len`](Self::len). `rng` is its own stream, keyed by (seed, epoch, index), for augmentation.
    ///
    /// # Errors
    /// Any error of your code. The loader returns it as [`Error::Own`], with the index.
    fn get(&self, index: usize, rng: &mut SampleRng) -> std::result::Result<Self::Item, OwnError>;
}

/// Turns [`Examples`] into batches. The same seed gives the same batches on any number of threads.
#[derive(Debug)]
#[doc(alias = "DataLoader")]
pub struct ExampleLoader<E: Examples> {
    course: Course,
    shared: Arc<Shared<E>>,
}

#[derive(Debug)]
struct Shared<E> {
    examples: Arc<E>,
    /// Number of examples in use: all, or `limit`, evenly spaced.
    len: usize,
    seed: u64,
}

/// The examples of a batch, in the order of the epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct ExampleBatch<T> {
    /// The index of each example in the data.
    pub indices: Vec<u32>,
    /// The examples.
    pub items: Vec<T>,
}

impl<E: Examples + 'static> ExampleLoader<E> {
    /// A loader over `examples`. It does not support `mixing`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a value out of range, for mixing, or if the thread pool cannot be started.
    pub fn new(examples: Arc<E>, config: LoaderConfig) -> Result<Self> {
        if config.mixing != Mixing::None {
            let rule = "none for examples of any kind: mix them in the training step";
            return Err(Error::setting("mixing", format!("{:?}", config.mixing), rule));
        }
        if u32::try_from(examples.len()).is_err() {
            return Err(Error::setting("samples", examples.len(), "at most 2^32 - 1"));
        }
        let len = config.limit.map_or(examples.len(), |limit| limit.min(examples.len()));
        let course = Course::new(len, &config)?;
        Ok(Self { course, shared: Arc::new(Shared { examples, len, seed: config.seed }) })
    }

    /// Uses your own order instead of the one that `shuffle` selects.
    #[must_use]
    pub fn with_order(self, order: impl Order + 'static) -> Self {
        Self { course: self.course.with_order(order), ..self }
    }

    /// Number of batches per epoch.
    pub fn batches_per_epoch(&self) -> usize {
        self.course.batches_per_epoch()
    }

    /// The batches of `epoch` from number `first_batch` on, as in [`Loader::epoch`](crate::Loader::epoch), whose error for a batch larger
    /// than the data is the same.
    pub fn epoch(&self, epoch: usize, first_batch: usize) -> Batches<ExampleBatch<E::Item>> {
        self.course.epoch(Arc::clone(&self.shared), epoch, first_batch)
    }
}

impl<E: Examples + 'static> Make for Shared<E> {
    type Batch = ExampleBatch<E::Item>;

    fn make(&self, visits: &[Visit], epoch: usize, _number: usize) -> Result<Self::Batch> {
        let whole = self.examples.len() as u64;
        let place = |visit: &Visit| (u64::from(visit.index) * whole / self.len as u64) as u32;
        let indices: Vec<u32> = visits.iter().map(place).collect();
        let get = |(&index, visit): (&u32, &Visit)| {
            let rng = &mut SampleRng::of_visit(self.seed, Purpose::Examples, epoch as u64, index.into(), visit.earlier);
            let own = |source| Error::Own { name: format!("example {index}"), source };
            self.examples.get(index as usize, rng).map_err(own)
        };
        // Every result, because rayon collects into the error that came first in time, not in order.
        let items: Vec<Result<E::Item>> = indices.par_iter().zip(visits).map(get).collect();
        let items = items.into_iter().collect::<Result<_>>()?;
        Ok(ExampleBatch { indices, items })
    }
}

impl<T> ExampleBatch<T> {
    /// Number of examples, N.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// True if there are no examples.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Stacks a part of each example, of shape `shape`, into a tensor (N, shape..) on `device`.
    ///
    /// # Errors
    /// [`Error::Own`] if a part's number of elements does not match `shape`; candle's error if memory runs out.
    pub fn tensor<V: WithDType>(
        &self,
        shape: impl Into<Shape>,
        device: &Device,
        part: impl Fn(&T) -> &[V],
    ) -> Result<Tensor> {
        let shape = shape.into();
        let count = shape.elem_count();
        let mut values = Vec::with_capacity(self.len() * count);
        for (index, item) in self.indices.iter().zip(&self.items) {
            let part = part(item);
            if part.len() != count {
                let problem = format!("{} elements do not fill {:?}, which has {count}", part.len(), shape.dims());
                return Err(Error::Own { name: format!("example {index}"), source: problem.into() });
            }
            values.extend_from_slice(part);
        }
        Ok(Tensor::from_vec(values, [&[self.len()], shape.dims()].concat(), device)?)
    }
}
