//! An epoch's order, batches and threads, common to all loaders.

use std::sync::Arc;

use crate::order::{InOrder, Order, Shuffled, Visit, checked, visits};
use crate::prefetch::Batches;
use crate::{Error, LoaderConfig, Result};

/// Makes batches from samples.
pub(crate) trait Make: Send + Sync + 'static {
    type Batch: Send + 'static;

    /// Batch `number` of `epoch`: the samples of `visits`.
    fn make(&self, visits: &[Visit], epoch: usize, number: usize) -> Result<Self::Batch>;
}

/// The part of a loader that does not depend on the epoch.
#[derive(Debug)]
pub(crate) struct Course {
    len: usize,
    config: LoaderConfig,
    order: Arc<dyn Order>,
    pool: Option<Arc<rayon::ThreadPool>>,
}

impl Course {
    /// For `len` samples.
    pub(crate) fn new(len: usize, config: &LoaderConfig) -> Result<Self> {
        config.validate()?;
        if u32::try_from(len).is_err() {
            return Err(Error::setting("samples", len, "at most 2^32 - 1"));
        }
        let pool = match config.threads {
            Some(threads) => {
                let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
                let refused =
                    |e| Error::setting("threads", format!("{threads} ({e})"), "a number that the system can start");
                Some(Arc::new(builder.build().map_err(refused)?))
            }
            None => None,
        };
        let order: Arc<dyn Order> = if config.shuffle { Arc::new(Shuffled) } else { Arc::new(InOrder) };
        Ok(Self { len, config: config.clone(), order, pool })
    }

    pub(crate) fn with_order(self, order: impl Order + 'static) -> Self {
        Self { order: Arc::new(order), ..self }
    }

    pub(crate) fn batches_per_epoch(&self) -> usize {
        let (samples, size) = (self.order.samples(self.len), self.config.batch_size);
        if self.config.drop_last { samples / size } else { samples.div_ceil(size) }
    }

    /// Fails if `drop_last` drops every sample: training would end at once and look complete. Only an epoch can tell, since
    /// [`with_order`](Self::with_order) may change the number of samples.
    fn check_batch(&self) -> Result<()> {
        let samples = self.order.samples(self.len);
        if samples == 0 || self.batches_per_epoch() > 0 {
            return Ok(());
        }
        let value = format!("{}, with {samples} samples per epoch", self.config.batch_size);
        Err(Error::setting("batch_size", value, "at most their number, unless `drop_last` is false"))
    }

    pub(crate) fn samples_per_epoch(&self) -> usize {
        (self.batches_per_epoch() * self.config.batch_size).min(self.order.samples(self.len))
    }

    pub(crate) fn epoch<M: Make>(&self, maker: Arc<M>, epoch: usize, first_batch: usize) -> Batches<M::Batch> {
        let end = self.batches_per_epoch();
        let order = self.check_batch().and_then(|()| checked(self.order.as_ref(), self.len, epoch, self.config.seed));
        let (order, failed) = match order {
            Ok(order) => (visits(&order, self.len), None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let plan = Plan {
            maker,
            pool: self.pool.clone(),
            order,
            failed,
            size: self.config.batch_size,
            epoch,
            next: first_batch.min(end),
            end,
        };
        let left = plan.end - plan.next;
        // A thread of a rayon pool that waited for a batch could be the one that the pool needs to prepare it.
        let may_block = self.pool.is_none() && rayon::current_thread_index().is_some();
        Batches::start(plan, left, if may_block { 0 } else { self.config.prefetch })
    }
}

/// The remaining batches of one epoch.
struct Plan<M> {
    maker: Arc<M>,
    pool: Option<Arc<rayon::ThreadPool>>,
    order: Vec<Visit>,
    /// The error of the setting or of the order, reported instead of the first batch.
    failed: Option<Error>,
    size: usize,
    epoch: usize,
    next: usize,
    end: usize,
}

impl<M: Make> Iterator for Plan<M> {
    type Item = Result<M::Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            self.next = self.end;
            return Some(Err(error));
        }
        if self.next >= self.end {
            return None;
        }
        let number = self.next;
        self.next += 1;
        let visits = &self.order[number * self.size..self.order.len().min((number + 1) * self.size)];
        let make = || self.maker.make(visits, self.epoch, number);
        let batch = match &self.pool {
            Some(pool) => pool.install(make),
            None => make(),
        };
        if batch.is_err() {
            self.next = self.end;
        }
        Some(batch)
    }
}
