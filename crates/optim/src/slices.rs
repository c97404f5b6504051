//! Mutable access to the elements of many tensors at once.

use crate::Result;
use candle_core::{CpuStorage, InplaceOp1, Layout, Tensor};
use std::cell::Cell;

/// An element type for updates.
pub(crate) trait Element: crate::rule::Number + Copy + Default + PartialOrd + Send + Sync + 'static {
    fn from_f64(value: f64) -> Self;
    fn to_f64(self) -> f64;
    fn slice(storage: &CpuStorage) -> Option<&[Self]>;
    fn slice_mut(storage: &mut CpuStorage) -> Option<&mut [Self]>;
}

macro_rules! element {
    ($t:ty, $variant:ident) => {
        impl Element for $t {
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn slice(storage: &CpuStorage) -> Option<&[Self]> {
                if let CpuStorage::$variant(data) = storage { Some(data) } else { None }
            }
            fn slice_mut(storage: &mut CpuStorage) -> Option<&mut [Self]> {
                if let CpuStorage::$variant(data) = storage { Some(data) } else { None }
            }
        }
    };
}
element!(f32, F32);
element!(f64, F64);

/// Calls `f` with the elements of all `tensors`, in their order.
///
/// candle lends one tensor's storage at a time, inside an in-place operation, so the calls are nested and the innermost holds all slices.
/// The depth is the number of tensors, at some 700 bytes a frame, so callers pass at most a few hundred ([`crate::fused`] splits its work
/// accordingly).
///
/// The tensors must be contiguous, on the CPU, of element type `T`, and must not share storage (the second lock would wait for the first);
/// the crate's own state and distinct variables never do.
pub(crate) fn with_slices_mut<T: Element, R>(tensors: &[&Tensor], f: impl FnOnce(Vec<&mut [T]>) -> R) -> Result<R> {
    let output = Cell::new(None);
    let held = Vec::with_capacity(tensors.len());
    descend(tensors, held, f, &output)?;
    output.into_inner().ok_or_else(|| candle_core::Error::Msg("an in-place operation did not run".into()).into())
}

fn descend<T: Element, R, F: FnOnce(Vec<&mut [T]>) -> R>(
    tensors: &[&Tensor],
    held: Vec<&mut [T]>,
    f: F,
    output: &Cell<Option<R>>,
) -> candle_core::Result<()> {
    match tensors.split_first() {
        None => {
            output.set(Some(f(held)));
            Ok(())
        }
        Some((first, rest)) => first.inplace_op1(&Level { rest, inner: Cell::new(Some((held, f))), output }),
    }
}

/// The slices gathered so far and the function to call with all of them.
type Held<'a, T, F> = (Vec<&'a mut [T]>, F);

struct Level<'a, 't, T, R, F> {
    rest: &'t [&'t Tensor],
    inner: Cell<Option<Held<'a, T, F>>>,
    output: &'t Cell<Option<R>>,
}

impl<T: Element, R, F: FnOnce(Vec<&mut [T]>) -> R> InplaceOp1 for Level<'_, '_, T, R, F> {
    fn name(&self) -> &'static str {
        "optimizer-update"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let (Some((held, f)), Some((start, end))) = (self.inner.take(), layout.contiguous_offsets()) else {
            candle_core::bail!("an optimizer's tensors must be contiguous")
        };
        let dtype = storage_dtype(storage);
        let Some(slice) = T::slice_mut(storage) else {
            candle_core::bail!("an optimizer's tensors must have one dtype, found {dtype:?}")
        };
        let mut held: Vec<&mut [T]> = held;
        held.push(&mut slice[start..end]);
        descend(self.rest, held, f, self.output)
    }
}

fn storage_dtype(storage: &CpuStorage) -> candle_core::DType {
    use candle_core::backend::BackendStorage;
    storage.dtype()
}
