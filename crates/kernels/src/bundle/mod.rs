//! One graph edge for several parameters.
//!
//! A custom op of candle takes at most three inputs, and candle fills and adds a whole tensor for every gradient it
//! stores. A fused layer has up to five inputs: activation, residual, weight, scale and shift. The parameters are
//! therefore bundled: a bundle is a one-element tensor whose graph leads to all of them. The fused op takes the bundle as
//! an input and stores the parameters' gradients in the bundle's [`Slot`]. candle's traversal reaches the bundle after the
//! fused op and passes the gradients on. Inside [`gradients_of`], they go to the store directly.

mod direct;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use direct::Direct;
pub use direct::gradients_of;

/// Where a fused op stores the gradients of bundled parameters, in the order they were bundled.
///
/// A backward pass runs on one thread, so a thread takes what it stored last. Passes over one graph on several threads do
/// not mix, nor do nested passes, as when a thread that waits for a parallel loop starts a second pass.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slot {
    waiting: Arc<Mutex<Vec<(ThreadId, Gradients)>>>,
    /// Whether candle's traversal will reach the bundle; if not, gradients stored here would never be taken.
    reached: bool,
    /// Whether gradients go to the store directly.
    direct: Option<Direct>,
}

pub(crate) type Gradients = Vec<Option<Tensor>>;

/// Maximum number of gradients stored at a time. Those of a pass that failed are never taken; the oldest are dropped.
const MOST_WAITING: usize = 256;

impl Slot {
    /// Stores the gradients of this thread's pass.
    pub(crate) fn put(&self, gradients: Gradients) -> Result<()> {
        if let Some(direct) = &self.direct {
            return direct.put(gradients);
        }
        if !self.reached {
            return Ok(());
        }
        let mut waiting = self.lock();
        if waiting.len() >= MOST_WAITING {
            waiting.remove(0);
        }
        waiting.push((std::thread::current().id(), gradients));
        Ok(())
    }

    fn take(&self, count: usize) -> Result<Gradients> {
        let mut waiting = self.lock();
        let own = std::thread::current().id();
        let gradients = match waiting.iter().rposition(|(thread, _)| *thread == own) {
            Some(index) => waiting.remove(index).1,
            None => Vec::new(),
        };
        if gradients.len() != count {
            candle_core::bail!("lookahead-kernels: {count} bundled parameters, but {} gradients", gradients.len());
        }
        Ok(gradients)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(ThreadId, Gradients)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Bundle(Slot);

/// Bundles two parameters.
pub(crate) fn pair(a: &Tensor, b: &Tensor) -> Result<(Tensor, Slot)> {
    if let Some(direct) = Direct::new(&[a, b]) {
        return Ok((direct.token()?, Slot { direct: Some(direct), ..Slot::default() }));
    }
    let slot = Slot { reached: a.track_op() || b.track_op(), ..Slot::default() };
    Ok((a.apply_op2(b, Bundle(slot.clone()))?, slot))
}

/// Bundles three parameters.
pub(crate) fn triple(a: &Tensor, b: &Tensor, c: &Tensor) -> Result<(Tensor, Slot)> {
    if let Some(direct) = Direct::new(&[a, b, c]) {
        return Ok((direct.token()?, Slot { direct: Some(direct), ..Slot::default() }));
    }
    let slot = Slot { reached: a.track_op() || b.track_op() || c.track_op(), ..Slot::default() };
    Ok((a.apply_op3(b, c, Bundle(slot.clone()))?, slot))
}

/// One token for several.
#[cfg(feature = "cuda")]
pub(crate) fn join(tokens: &[Tensor]) -> Result<Tensor> {
    match tokens.split_first() {
        Some((first, rest)) if rest.iter().all(|token| token.id() == first.id()) => Ok(first.clone()),
        _ => Tensor::cat(tokens, 0),
    }
}

/// The gradient of the bundle itself, zero: candle requires one, and nothing reads it.
pub(crate) fn gradient(bundle: &Tensor) -> Option<Tensor> {
    bundle.track_op().then(|| bundle.detach())
}

fn token() -> (CpuStorage, Shape) {
    (CpuStorage::F32(vec![0.0]), Shape::from(1))
}

#[cfg(feature = "cuda")]
fn cuda_token(beside: &candle_core::CudaStorage) -> Result<(candle_core::CudaStorage, Shape)> {
    let device = beside.device.clone();
    let slice = candle_core::cuda_backend::CudaStorageSlice::F32(device.alloc_zeros(1)?);
    Ok((candle_core::CudaStorage { slice, device }, Shape::from(1)))
}

impl CustomOp2 for Bundle {
    fn name(&self) -> &'static str {
        "bundle"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok(token())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        a: &candle_core::CudaStorage,
        _: &Layout,
        _: &candle_core::CudaStorage,
        _: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        cuda_token(a)
    }

    fn bwd(&self, a: &Tensor, b: &Tensor, _: &Tensor, _: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let mut gradients = self.0.take(2)?.into_iter();
        let mut of = |parameter: &Tensor| gradients.next().flatten().filter(|_| parameter.track_op());
        Ok((of(a), of(b)))
    }
}

impl CustomOp3 for Bundle {
    fn name(&self) -> &'static str {
        "bundle"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Ok(token())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        a: &candle_core::CudaStorage,
        _: &Layout,
        _: &candle_core::CudaStorage,
        _: &Layout,
        _: &candle_core::CudaStorage,
        _: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        cuda_token(a)
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        c: &Tensor,
        _: &Tensor,
        _: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let mut gradients = self.0.take(3)?.into_iter();
        let mut of = |parameter: &Tensor| gradients.next().flatten().filter(|_| parameter.track_op());
        Ok((of(a), of(b), of(c)))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::*;

    fn gradients(value: f64) -> Result<Gradients> {
        Ok(vec![Some(Tensor::full(value, (), &Device::Cpu)?), None])
    }

    fn taken(slot: &Slot) -> Result<f64> {
        slot.take(2)?[0].as_ref().ok_or_else(|| candle_core::Error::msg("no gradient"))?.to_scalar::<f64>()
    }

    #[test]
    fn a_thread_takes_what_it_put_last_and_nothing_of_another() -> Result<()> {
        let (a, b) = (Var::zeros(1, DType::F32, &Device::Cpu)?, Var::zeros(1, DType::F32, &Device::Cpu)?);
        let (_, slot) = pair(&a, &b)?;
        slot.put(gradients(1.0)?)?;
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                assert!(slot.take(2).is_err());
                slot.put(gradients(2.0)?)?;
                // A pass inside this one.
                slot.put(gradients(3.0)?)?;
                assert_eq!(taken(&slot)?, 3.0);
                assert_eq!(taken(&slot)?, 2.0);
                Ok::<_, candle_core::Error>(())
            });
            other.join().map_err(|_| candle_core::Error::msg("panicked"))?
        })?;
        assert_eq!(taken(&slot)?, 1.0);
        assert!(slot.lock().is_empty());
        Ok(())
    }

    #[test]
    fn nothing_piles_up() -> Result<()> {
        let (a, b) = (Var::zeros(1, DType::F32, &Device::Cpu)?, Var::zeros(1, DType::F32, &Device::Cpu)?);
        let (_, frozen) = pair(&a.detach(), &b.detach())?;
        frozen.put(gradients(1.0)?)?;
        assert!(frozen.lock().is_empty(), "frozen parameters, whose bundle no pass reaches");
        let (_, slot) = pair(&a, &b)?;
        for pass in 0..2 * MOST_WAITING {
            slot.put(gradients(pass as f64)?)?;
        }
        assert_eq!(slot.lock().len(), MOST_WAITING);
        assert_eq!(taken(&slot)?, (2 * MOST_WAITING - 1) as f64);
        Ok(())
    }
}
