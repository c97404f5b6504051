//! Device memory: allocation, addresses, tensors around it.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DevicePtr};
use candle_core::cuda_backend::{CudaDevice, CudaStorage, CudaStorageSlice};
use candle_core::op::BackpropOp;
use candle_core::{Layout, Result, Shape, Storage, Tensor};

use crate::cuda::call::Pointer;
use crate::cuda::source::ElementType;

/// Device memory that is not a tensor. It is freed in stream order, so it may be dropped after its last use is launched.
pub(crate) struct Scratch(CudaSlice<u8>);

impl Scratch {
    /// Uninitialised memory, aligned to 256 bytes like every CUDA allocation.
    pub(super) fn new(device: &CudaDevice, bytes: usize) -> Result<Self> {
        // SAFETY: the kernels that are given this memory write it before they read it.
        Ok(Self(unsafe { device.alloc::<u8>(bytes.max(1))? }))
    }

    pub(super) fn at(&self) -> Pointer {
        pointer(&self.0)
    }
}

/// Uninitialised storage of `len` elements; the caller launches a kernel that writes all of it.
pub(super) fn allocate(device: &CudaDevice, stored: ElementType, len: usize) -> Result<CudaStorage> {
    let len = len.max(1);
    // SAFETY: as the sentence above says.
    let slice = unsafe {
        match stored {
            ElementType::F32 => CudaStorageSlice::F32(device.alloc(len)?),
            ElementType::F64 => CudaStorageSlice::F64(device.alloc(len)?),
            ElementType::Bf16 => CudaStorageSlice::BF16(device.alloc(len)?),
        }
    };
    Ok(CudaStorage { slice, device: device.clone() })
}

/// Storage of zeros.
pub(super) fn zeros(device: &CudaDevice, stored: ElementType, len: usize) -> Result<CudaStorage> {
    let len = len.max(1);
    let slice = match stored {
        ElementType::F32 => CudaStorageSlice::F32(device.alloc_zeros(len)?),
        ElementType::F64 => CudaStorageSlice::F64(device.alloc_zeros(len)?),
        ElementType::Bf16 => CudaStorageSlice::BF16(device.alloc_zeros(len)?),
    };
    Ok(CudaStorage { slice, device: device.clone() })
}

/// The address of a storage.
pub(super) fn start(storage: &CudaStorage) -> Result<Pointer> {
    Ok(match &storage.slice {
        CudaStorageSlice::F32(slice) => pointer(slice),
        CudaStorageSlice::F64(slice) => pointer(slice),
        CudaStorageSlice::BF16(slice) => pointer(slice),
        CudaStorageSlice::U32(slice) => pointer(slice),
        _ => candle_core::bail!("lookahead-kernels: no kernel for {:?}", storage.dtype()),
    })
}

/// The address of a contiguous tensor in a custom op.
pub(super) fn address(storage: &CudaStorage, layout: &Layout) -> Result<Pointer> {
    let Some((first, _)) = layout.contiguous_offsets() else {
        return Err(candle_core::Error::RequiresContiguous { op: "lookahead-kernels" }.bt());
    };
    Ok(start(storage)?.offset(first * storage.dtype().size_in_bytes()))
}

/// The address of a contiguous tensor, which must live until the launch that uses the address.
pub(super) fn address_of(tensor: &Tensor) -> Result<Pointer> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cuda(storage) => address(storage, layout),
        _ => candle_core::bail!("lookahead-kernels: a saved tensor has left the CUDA device"),
    }
}

/// The storage type of a tensor's elements.
pub(super) fn stored(tensor: &Tensor) -> Result<ElementType> {
    ElementType::of(tensor.dtype())
        .ok_or_else(|| candle_core::Error::msg(format!("lookahead-kernels: no kernel for {:?}", tensor.dtype())))
}

/// A tensor without a graph.
pub(super) fn tensor(storage: CudaStorage, shape: impl Into<Shape>) -> Tensor {
    Tensor::from_storage(Storage::Cuda(storage), shape, BackpropOp::none(), false)
}

/// The address, without synchronisation: the stream keeps the order; see [`cuda_device`](crate::cuda_device).
pub(super) fn pointer<T>(slice: &CudaSlice<T>) -> Pointer {
    Pointer(slice.device_ptr(slice.stream()).0)
}
