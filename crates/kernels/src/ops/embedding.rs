//! Rows of a table by id.

use candle_core::Tensor;

use crate::check::{
    require_device, require_indices, require_same_device, require_size, require_two_floats, wrong_shape,
};
use crate::ops::masked;
use crate::{Result, device};

/// The rows of `weight` (V, E), f32 or f64, that `ids` selects, u32 of any shape: (.., E), as one graph node.
///
/// The table's gradient is as large as the table. Gradients of rows that occur more than once are added in the order of
/// the ids, with the same bits on any number of threads. On CUDA and Metal this is candle's `index_select`.
///
/// # Errors
///
/// An error names the argument whose shape, type or device does not match. [`Error::Argument`](crate::Error::Argument) if the
/// result is larger than memory can hold and, on the CPU, for an id that the table lacks.
///
/// ```
/// use candle_core::{Device, Tensor, Var};
/// use lookahead_kernels::embedding;
///
/// let weight = Var::new(&[[1f32, 2.], [3., 4.]], &Device::Cpu)?;
/// let ids = Tensor::new(&[1u32, 1], &Device::Cpu)?;
/// let rows = embedding(&weight, &ids)?;
/// assert_eq!(rows.to_vec2::<f32>()?, [[3., 4.], [3., 4.]]);
/// let gradients = rows.sum_all()?.backward()?;
/// assert_eq!(gradients.get(&weight).unwrap().to_vec2::<f32>()?, [[0., 0.], [2., 2.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn embedding(weight: &Tensor, ids: &Tensor) -> Result<Tensor> {
    let op = "embedding";
    let (weight, ids) = check(op, weight, ids)?;
    device::embedding(op, &weight, &ids, None)
}

/// [`embedding`] times a constant mask, as one graph node: dropout of a model's input, with a mask drawn by the caller.
///
/// Equals [`masked`](crate::masked) of the rows, with the same bits, but the rows before the mask, and their gradient, never
/// become tensors. `mask` has the shape of the result, (.., E), and the type of `weight`; a first axis of 1 shares it along that
/// axis.
///
/// # Errors
///
/// Those of both functions.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use lookahead_kernels::masked_embedding;
///
/// let weight = Tensor::new(&[[1f32, 2.], [3., 4.]], &Device::Cpu)?;
/// let ids = Tensor::new(&[1u32, 0], &Device::Cpu)?;
/// let mask = Tensor::new(&[[2f32, 0.]], &Device::Cpu)?; // for both rows
/// assert_eq!(masked_embedding(&weight, &ids, &mask)?.to_vec2::<f32>()?, [[6., 0.], [2., 0.]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn masked_embedding(weight: &Tensor, ids: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let op = "masked_embedding";
    let (weight, ids) = check(op, weight, ids)?;
    let dims = [ids.dims(), &weight.dims()[1..]].concat();
    let mut mask = masked::check(op, mask, &dims, ("weight", &weight))?;
    // The row of a single id has one axis. A mask that is shared along it is one number; kernels take masks of whole rows.
    if dims.len() == 1 {
        mask = mask.broadcast_as(dims)?.contiguous()?;
    }
    device::embedding(op, &weight, &ids, Some(&mask))
}

/// The same tensors, contiguous.
fn check(op: &'static str, weight: &Tensor, ids: &Tensor) -> Result<(Tensor, Tensor)> {
    require_device(op, "weight", weight)?;
    require_two_floats(op, "weight", weight)?;
    let (_, width) = weight.dims2().map_err(|_| wrong_shape(op, "weight", "(V, E)".into(), weight))?;
    require_same_device(op, "ids", ids, weight.device(), "weight")?;
    require_indices(op, "ids", ids, "row")?;
    require_size(op, "result", weight.device().location(), &[ids.dims(), &[width]].concat())?;
    Ok((weight.contiguous()?, ids.detach().contiguous()?))
}
