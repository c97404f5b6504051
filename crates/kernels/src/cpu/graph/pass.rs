//! The two passes of a node with many layers.

use candle_core::{Result, Tensor};

use crate::bundle::{self, Slot};
use crate::cpu::choose::Kernels;
use crate::cpu::memory::Values;
use crate::cpu::tensors::{tensor, with_elements};

/// The gradients of a layer's parameters, in the order of the bundle.
pub(super) type OfParameters = Vec<Option<Tensor>>;

/// Slots and the gradients to store in them.
pub(super) type Found<'a> = Vec<(&'a Slot, OfParameters)>;

/// Runs `f` on a thread of rayon's pool. A thread outside the pool would sleep during each parallel loop and be woken after
/// it, several hundred times in a step of ResNet-20.
pub(super) fn on_the_pool<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| f())
}

/// The gradients of a node's input `x` and of its bundled `parameters`, for candle. `layers` runs on the pool: it computes the
/// gradient of the input from `x` and `dy`, if it is needed, and collects those of the parameters. The thread of the pass
/// then stores them in their slots.
pub(super) fn backward<'a, T: Kernels>(
    x: &Tensor,
    parameters: &Tensor,
    dy: &Tensor,
    layers: impl FnOnce(&[T], &[T], bool, &mut Found<'a>) -> Result<Option<Values<T>>> + Send,
) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let (dy, wanted) = (dy.contiguous()?, x.track_op());
    let mut found = Found::new();
    let dx = with_elements::<T, _>(&dy, |dy| {
        with_elements::<T, _>(x, |x| on_the_pool(|| layers(x, dy, wanted, &mut found)))
    })?;
    for (slot, gradients) in found {
        slot.put(gradients)?;
    }
    Ok((dx.map(|dx| tensor(dx.into_vec(), x.shape())), bundle::gradient(parameters)))
}
