//! Distances between fast and slow weights.

use super::Lookahead;
use crate::gradients::squared_norm;
use crate::{Optimizer, Result};

/// Measurements of one sync. [Enable them](Lookahead::measuring_syncs) first, then read
/// [`Optimizer::last_sync`](crate::Optimizer::last_sync).
///
/// ```
/// use candle_core::{Device, Var};
/// use lookahead_optim::{Lookahead, LookaheadConfig, Optimizer, Sgd};
///
/// let w = Var::new(&[3f32, 0.0], &Device::Cpu)?;
/// let config = LookaheadConfig { sync_period: 2.into(), ..LookaheadConfig::default() };
/// let mut optimizer = Lookahead::new(Sgd::new([("w", w.clone())], 1.0)?, config)?.measuring_syncs();
/// for _ in 0..2 {
///     optimizer.backward_step(&w.sum_all()?)?;
/// }
/// // The fast weights were two steps of 1 away in both coordinates.
/// let sync = optimizer.last_sync().unwrap();
/// assert_eq!((sync.steps, sync.slow_step_size), (2, 0.5));
/// assert!((sync.distances[0] - 8f64.sqrt()).abs() < 1e-12 && (sync.distance() - 8f64.sqrt()).abs() < 1e-12);
/// # Ok::<(), lookahead_optim::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Synced {
    /// Inner steps taken, including the one before the sync.
    pub steps: usize,
    /// The slow step size of this sync.
    pub slow_step_size: f64,
    /// The Euclidean distance between fast and slow weights before the sync, in the order of
    /// [`Optimizer::parameters`](crate::Optimizer::parameters).
    pub distances: Vec<f64>,
}

impl Synced {
    /// The distance over all parameters together.
    pub fn distance(&self) -> f64 {
        self.distances.iter().map(|d| d * d).sum::<f64>().sqrt()
    }
}

impl<O: Optimizer> Lookahead<O> {
    /// The present distances; 0 where `moved` is false.
    pub(super) fn distances(&self, moved: &[bool]) -> Result<Vec<f64>> {
        let mut distances = vec![0.0; moved.len()];
        for (i, parameter) in self.inner.parameters().iter().enumerate().filter(|(i, _)| moved[*i]) {
            let gap = (parameter.weights().as_detached_tensor() - self.slow.values[i].as_detached_tensor())?;
            distances[i] = squared_norm(&gap)?.sqrt();
        }
        Ok(distances)
    }
}
