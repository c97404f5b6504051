//! The rectifier, with PyTorch's gradient at zero.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor};
use half::bf16;
use rayon::prelude::*;

use crate::element::{Element, elements, tensor, with_elements};
use crate::error::{require_device, require_float};
use crate::{Result, memory};

/// Elements one task works on.
const TASK_ELEMENTS: usize = 1 << 16;

/// `max(x, 0)`, element by element, for any shape, bf16, f32 or f64.
///
/// The gradient is 0 where `x` is 0, as in PyTorch; candle's own gives 1 there. NaN stays NaN.
///
/// # Errors
///
/// [`Error::DType`](crate::Error::DType) or [`Error::Device`](crate::Error::Device).
///
/// ```
/// use candle_core::{Device, Var};
///
/// let x = Var::new(&[-1f32, 0., 2.], &Device::Cpu)?;
/// let y = lookahead_kernels::relu(&x)?;
/// assert_eq!(y.to_vec1::<f32>()?, [0., 0., 2.]);
/// let gradients = y.sum_all()?.backward()?;
/// assert_eq!(gradients.get(&x).unwrap().to_vec1::<f32>()?, [0., 0., 1.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn relu(x: &Tensor) -> Result<Tensor> {
    require_device("relu", "x", x)?;
    require_float("relu", "x", x)?;
    let x = x.contiguous()?;
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return crate::cuda::relu(&x);
    }
    #[cfg(feature = "metal")]
    if x.device().is_metal() {
        return Ok(crate::composed::relu(&x)?);
    }
    Ok(match x.dtype() {
        DType::BF16 => x.apply_op1(Relu::<bf16>(PhantomData))?,
        DType::F64 => x.apply_op1(Relu::<f64>(PhantomData))?,
        _ => x.apply_op1(Relu::<f32>(PhantomData))?,
    })
}

struct Relu<T>(PhantomData<fn() -> T>);

impl<T: Element> CustomOp1 for Relu<T> {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let y = map2(elements::<T>(x, layout)?, &[], |x, _| if x < T::zero() { T::zero() } else { x });
        Ok((T::to_cpu_storage_owned(y), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, y: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?;
        let dx = with_elements::<T, _>(&gradient, |dy| {
            with_elements::<T, _>(y, |y| Ok(map2(dy, y, |g, y| if y <= T::zero() { T::zero() } else { g })))
        })?;
        Ok(Some(tensor(dx, y.shape())))
    }
}

/// `f` over one or two slices; where `b` is empty, `a` stands in for it.
fn map2<T: Element>(a: &[T], b: &[T], f: impl Fn(T, T) -> T + Sync) -> Vec<T> {
    let b = if b.is_empty() { a } else { b };
    let mut y: Vec<MaybeUninit<T>> = memory::uninit(a.len());
    let tasks = a.par_chunks(TASK_ELEMENTS).zip(b.par_chunks(TASK_ELEMENTS));
    y.par_chunks_mut(TASK_ELEMENTS).zip(tasks).for_each(|(y, (a, b))| {
        for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
            y.write(f(a, b));
        }
    });
    // SAFETY: the three slices have one length, so every element of `y` was written.
    unsafe { memory::assume_init(y) }
}
