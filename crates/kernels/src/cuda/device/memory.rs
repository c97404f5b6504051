//! Device memory: allocation, addresses, tensors around it.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DevicePtr};
use candle_core::cuda_backend::{CudaDevice, CudaStorage, CudaStorageSlice};
use candle_core::op::BackpropOp;
use candle_core::{Layout, Result, Shape, Storage, Tensor};

use crate::cuda::call::Pointer;
use crate::cuda::source::ElementType;

/// Memory of the device that is no tensor. Freed in the order of the stream, so it may be dropped once its last use is launched.
pub(crate) struct Scratch(CudaSlice<u8>);

impl Scratch {
    /// Uninitialised; aligned as every allocation of CUDA is, to 256 bytes.
    pub(super) fn new(device: &CudaDevice, bytes: usize) -> Result<Self> {
        // SAFETY: the kernels that are given this memory write it before they read it.
        Ok(Self(unsafe { device.alloc::<u8>(bytes.max(1))? }))
    }

    pub(super) fn at(&self) -> Pointer {
        pointer(&self.0)
    }
}

/// Uninitialised storage of `len` elements; whoever asks for it launches a kernel that writes all of it.
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

/// Where a storage begins.
pub(super) fn start(storage: &CudaStorage) -> Result<Pointer> {
    Ok(match &storage.slice {
        CudaStorageSlice::F32(slice) => pointer(slice),
        CudaStorageSlice::F64(slice) => pointer(slice),
        CudaStorageSlice::BF16(slice) => pointer(slice),
        CudaStorageSlice::U32(slice) => pointer(slice),
        _ => candle_core::bail!("lookahead-kernels: no kernel for {:?}", storage.dtype()),
    })
}

/// Where a contiguous tensor seen by a custom op begins.
pub(super) fn address(storage: &CudaStorage, layout: &Layout) -> Result<Pointer> {
    let Some((first, _)) = layout.contiguous_offsets() else {
        return Err(candle_core::Error::RequiresContiguous { op: "lookahead-kernels" }.bt());
    };
    Ok(start(storage)?.offset(first * storage.dtype().size_in_bytes()))
}

/// Where a contiguous tensor begins. It must live until what uses the address is launched.
pub(super) fn address_of(tensor: &Tensor) -> Result<Pointer> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cuda(storage) => address(storage, layout),
        _ => candle_core::bail!("lookahead-kernels: a saved tensor has left the CUDA device"),
    }
}

/// What a tensor's elements are stored as.
pub(super) fn stored(tensor: &Tensor) -> Result<ElementType> {
    ElementType::of(tensor.dtype())
        .ok_or_else(|| candle_core::Error::msg(format!("lookahead-kernels: no kernel for {:?}", tensor.dtype())))
}

/// A tensor without a graph.
pub(super) fn tensor(storage: CudaStorage, shape: impl Into<Shape>) -> Tensor {
    Tensor::from_storage(Storage::Cuda(storage), shape, BackpropOp::none(), false)
}

/// The address alone. Order is the stream's: see [`cuda_device`](crate::cuda_device).
pub(super) fn pointer<T>(slice: &CudaSlice<T>) -> Pointer {
    Pointer(slice.device_ptr(slice.stream()).0)
}
