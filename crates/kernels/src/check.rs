//! Checks of arguments that all operations share.

use candle_core::{DType, Device, DeviceLocation, Tensor};

use crate::{Error, Result};

/// Rejects a tensor on a device for which this build has no kernels.
pub(crate) fn require_device(op: &'static str, argument: &'static str, tensor: &Tensor) -> Result<()> {
    match tensor.device() {
        Device::Cpu => Ok(()),
        #[cfg(feature = "metal")]
        Device::Metal(_) => Ok(()),
        #[cfg(feature = "cuda")]
        Device::Cuda(_) => require_size(op, argument, tensor.device().location(), tensor.dims()),
        other => Err(Error::Device { op, argument, device: format!("{:?}", other.location()) }),
    }
}

/// Rejects a tensor on a different device than `partner`, the argument `name`; this build has kernels for both devices.
pub(crate) fn require_same_device(
    op: &'static str,
    argument: &'static str,
    tensor: &Tensor,
    partner: &Device,
    name: &'static str,
) -> Result<()> {
    require_device(op, argument, tensor)?;
    let (expected, got) = (partner.location(), tensor.device().location());
    if expected == got {
        return Ok(());
    }
    let (expected, got) = (format!("{expected:?}"), format!("{got:?}"));
    Err(Error::Devices { op, argument, partner: name, expected, got })
}

/// Rejects extents with more elements than the device's kernels can count. An empty batch counts as one image.
pub(crate) fn require_size(
    op: &'static str,
    argument: &'static str,
    device: DeviceLocation,
    extents: &[usize],
) -> Result<()> {
    let (most, rule) = most_elements(device);
    let elements = extents.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent.max(1)));
    if elements.is_some_and(|elements| elements <= most) {
        return Ok(());
    }
    Err(Error::Argument { op, argument, rule, value: format!("{extents:?}") })
}

/// The most elements of a tensor: CUDA's kernels count in 32 bits; elsewhere, as many doubles as an address space holds.
fn most_elements(device: DeviceLocation) -> (usize, &'static str) {
    match device {
        DeviceLocation::Cuda { .. } => ((1 << 31) - 1, "of fewer than 2^31 elements on a CUDA device"),
        _ => (isize::MAX as usize / 8, "of a size that memory can hold"),
    }
}

/// Rejects another element type than `dtype`, that of the argument `partner`.
pub(crate) fn require_dtype(
    op: &'static str,
    argument: &'static str,
    tensor: &Tensor,
    dtype: DType,
    partner: &'static str,
) -> Result<()> {
    if tensor.dtype() == dtype {
        return Ok(());
    }
    Err(Error::DType { op, argument, expected: format!("{dtype:?}, as {partner} is"), got: tensor.dtype() })
}

/// The same, but beside bf16, f32 is also allowed.
pub(crate) fn require_same_or_wide_dtype(
    op: &'static str,
    argument: &'static str,
    tensor: &Tensor,
    dtype: DType,
    partner: &'static str,
) -> Result<()> {
    match (dtype, tensor.dtype()) {
        (DType::BF16, DType::BF16 | DType::F32) => Ok(()),
        (DType::BF16, got) => {
            Err(Error::DType { op, argument, expected: format!("BF16, as {partner} is, or F32"), got })
        }
        _ => require_dtype(op, argument, tensor, dtype, partner),
    }
}

/// Rejects other element types than u32; `of` says what is counted.
pub(crate) fn require_indices(
    op: &'static str,
    argument: &'static str,
    tensor: &Tensor,
    of: &'static str,
) -> Result<()> {
    match tensor.dtype() {
        DType::U32 => Ok(()),
        got => Err(Error::DType { op, argument, expected: format!("U32 {of} indices"), got }),
    }
}

/// Rejects a share of a target that is none.
pub(crate) fn require_smoothing(op: &'static str, label_smoothing: f64) -> Result<()> {
    if (0.0..=1.0).contains(&label_smoothing) {
        return Ok(());
    }
    let value = label_smoothing.to_string();
    Err(Error::Argument { op, argument: "label_smoothing", rule: "in [0, 1]", value })
}

/// The error for a wrong shape, with the expected one.
pub(crate) fn wrong_shape(op: &'static str, argument: &'static str, expected: String, tensor: &Tensor) -> Error {
    Error::Shape { op, argument, expected, got: tensor.dims().to_vec() }
}

/// The extents (N, H, W, C) of an activation, after checks of its device and element type.
pub(crate) fn activation(op: &'static str, argument: &'static str, x: &Tensor) -> Result<(usize, usize, usize, usize)> {
    require_device(op, argument, x)?;
    require_float(op, argument, x)?;
    let extents = x.dims4().map_err(|_| wrong_shape(op, argument, "(N, H, W, C)".into(), x))?;
    require_size(op, argument, x.device().location(), x.dims())?;
    Ok(extents)
}

/// Rejects element types without kernels.
pub(crate) fn require_float(op: &'static str, argument: &'static str, x: &Tensor) -> Result<()> {
    let (floats, words) = floats(x.device().location());
    if floats.contains(&x.dtype()) {
        return Ok(());
    }
    Err(Error::DType { op, argument, expected: words.into(), got: x.dtype() })
}

/// The element types with kernels on a device, and in words.
fn floats(device: DeviceLocation) -> (&'static [DType], &'static str) {
    match device {
        DeviceLocation::Metal { .. } => (&[DType::F32, DType::F64], "F32 or F64 on a Metal device"),
        _ => (&[DType::BF16, DType::F32, DType::F64], "BF16, F32 or F64"),
    }
}

/// Rejects element types other than f32 and f64, whose sums have the same type.
pub(crate) fn require_two_floats(op: &'static str, argument: &'static str, x: &Tensor) -> Result<()> {
    match x.dtype() {
        DType::F32 | DType::F64 => Ok(()),
        got => Err(Error::DType { op, argument, expected: "F32 or F64".into(), got }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuda_counts_elements_in_32_bits() {
        let (most, rule) = most_elements(DeviceLocation::Cuda { gpu_id: 0 });
        assert_eq!((most, rule), (2_147_483_647, "of fewer than 2^31 elements on a CUDA device"));
        assert!(most_elements(DeviceLocation::Cpu).0 > most);
        // 64 channels made 256 at 112 x 112, batch 1024: 0.8 billion become 3.3.
        let device = DeviceLocation::Cuda { gpu_id: 0 };
        assert!(require_size("conv2d", "x", device, &[1024, 112, 112, 64]).is_ok());
        let error = require_size("conv2d", "result", device, &[1024, 112, 112, 256]).unwrap_err();
        let words = "conv2d: result must be of fewer than 2^31 elements on a CUDA device, got [1024, 112, 112, 256]";
        assert_eq!(error.to_string(), words);
    }

    #[test]
    fn types_in_words_are_those_that_are_accepted() {
        for device in [DeviceLocation::Cpu, DeviceLocation::Cuda { gpu_id: 0 }, DeviceLocation::Metal { gpu_id: 0 }] {
            let (floats, words) = floats(device);
            for dtype in [DType::BF16, DType::F16, DType::F32, DType::F64] {
                let named = words.split([' ', ',']).any(|word| word == format!("{dtype:?}"));
                assert_eq!(named, floats.contains(&dtype), "{device:?} {dtype:?}");
            }
        }
    }

    #[test]
    fn sizes_that_wrap_are_refused_whatever_the_batch() {
        let extents = [0, 1 << 33, 1 << 33, 1];
        let error = require_size("max_pool2d", "x", DeviceLocation::Cpu, &extents).unwrap_err();
        let words = "max_pool2d: x must be of a size that memory can hold, got [0, 8589934592, 8589934592, 1]";
        assert_eq!(error.to_string(), words);
        assert!(require_size("max_pool2d", "x", DeviceLocation::Cpu, &[0, 7, 0, 3]).is_ok());
    }
}
