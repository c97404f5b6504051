//! The two passes of a node that holds many layers.

use candle_core::{Result, Tensor};

use crate::bundle::{self, Slot};
use crate::cpu::choose::Kernels;
use crate::cpu::memory::Values;
use crate::cpu::tensors::{tensor, with_elements};

/// The gradients of a layer's parameters, as they were bundled.
pub(super) type OfParameters = Vec<Option<Tensor>>;

/// Where those go.
pub(super) type Found<'a> = Vec<(&'a Slot, OfParameters)>;

/// Runs `f` on a thread of rayon's pool. A thread outside it goes to sleep at each parallel loop and is woken after it: a
/// step of ResNet-20 has several hundred.
pub(super) fn on_the_pool<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| f())
}

/// The gradients of a node's input `x` and of its bundled `parameters`, for candle. `layers` forms that of the input, if it is wanted, from `x`
/// and `dy`, and adds those of the parameters to what was found: on the pool, while they are put in their slots by the thread of the pass.
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
        slot.put(gradients);
    }
    Ok((dx.map(|dx| tensor(dx.into_vec(), x.shape())), bundle::gradient(parameters)?))
}
