//! One graph edge for several parameters.
//!
//! A custom op of candle takes at most three inputs, and candle fills and adds a whole tensor for every gradient it
//! stores. A fused layer has up to five inputs: activation, residual, weight, scale and shift. So the parameters are
//! bundled first: a bundle is a one-element tensor whose graph leads to all of them. The fused op takes the bundle as its
//! input, leaves the parameters' gradients in the bundle's [`Slot`], and candle's walk, which reaches the bundle only
//! after the fused op, hands them on.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

/// Where a fused op leaves the gradients of bundled parameters, in the order they were bundled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slot(Arc<Mutex<Vec<Option<Tensor>>>>);

impl Slot {
    pub(crate) fn put(&self, gradients: Vec<Option<Tensor>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = gradients;
    }

    fn take(&self, count: usize) -> Result<Vec<Option<Tensor>>> {
        let gradients = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if gradients.len() != count {
            candle_core::bail!("lookahead-kernels: {count} bundled parameters, but {} gradients", gradients.len());
        }
        Ok(gradients)
    }
}

struct Bundle(Slot);

/// Bundles two parameters.
pub(crate) fn pair(a: &Tensor, b: &Tensor) -> Result<(Tensor, Slot)> {
    let slot = Slot::default();
    Ok((a.apply_op2(b, Bundle(slot.clone()))?, slot))
}

/// Bundles three parameters.
pub(crate) fn triple(a: &Tensor, b: &Tensor, c: &Tensor) -> Result<(Tensor, Slot)> {
    let slot = Slot::default();
    Ok((a.apply_op3(b, c, Bundle(slot.clone()))?, slot))
}

/// The gradient that a fused op reports for the bundle itself: nothing reads it, but candle wants one.
pub(crate) fn gradient(bundle: &Tensor) -> Result<Option<Tensor>> {
    if bundle.track_op() { bundle.zeros_like().map(Some) } else { Ok(None) }
}

fn token() -> (CpuStorage, Shape) {
    (CpuStorage::F32(vec![0.0]), Shape::from(1))
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
        crate::cuda::token(a)
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let mut gradients = self.0.take(2)?.into_iter();
        Ok((gradients.next().flatten(), gradients.next().flatten()))
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
        crate::cuda::token(a)
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let mut gradients = self.0.take(3)?.into_iter();
        Ok((gradients.next().flatten(), gradients.next().flatten(), gradients.next().flatten()))
    }
}
