//! Converts checked plans to layers with device addresses, and filters between candle's and cuDNN's order.

use candle_core::cuda_backend::CudaDevice;
use candle_core::{CudaStorage, Result, Tensor};

use crate::BatchNorm;
use crate::cuda::batch_norm::Parameters;
use crate::cuda::call::{Call, Pointer};
use crate::cuda::columns::Matrix;
use crate::cuda::device::launch::launch;
use crate::cuda::device::memory::{Scratch, address_of, allocate, start, stored, tensor, zeros};
use crate::cuda::filters::{self, Filters};
use crate::cuda::layer::Norm;
use crate::cuda::source::ElementType;
use crate::plan::ConvShape;

/// Batch norm of `rows` pixels; its tensors must live until the launch that uses the addresses.
pub(super) fn norm(of: &BatchNorm, element: ElementType, rows: usize) -> Result<Norm> {
    let matrix = Matrix { rows, channels: of.weight.elem_count(), element, parameter: stored(&of.weight)? };
    let parameters = Parameters {
        weight: address_of(&of.weight)?,
        bias: address_of(&of.bias)?,
        running_mean: address_of(&of.running_mean)?,
        running_var: address_of(&of.running_var)?,
    };
    Ok(Norm { matrix, parameters, eps: of.eps, momentum: of.momentum })
}

/// Creates the launches for all filters with the same parameter type.
type Turn = fn(ElementType, ElementType, &[Filters]) -> Vec<Call>;

fn turn(device: &CudaDevice, element: ElementType, by: Turn, all: &[(ElementType, Filters)]) -> Result<()> {
    for parameter in [ElementType::F32, ElementType::F64, ElementType::Bf16] {
        let of_type: Vec<Filters> = all.iter().filter(|(kind, _)| *kind == parameter).map(|(_, f)| *f).collect();
        launch(device, &by(element, parameter, &of_type))?;
    }
    Ok(())
}

/// One allocation for many buffers, each aligned like a separate allocation.
struct Pool {
    memory: Scratch,
    used: usize,
}

impl Pool {
    const ALIGNMENT: usize = 256;

    fn new(device: &CudaDevice, sizes: impl Iterator<Item = usize>) -> Result<Self> {
        let bytes = sizes.map(|bytes| bytes.next_multiple_of(Self::ALIGNMENT)).sum();
        Ok(Self { memory: Scratch::new(device, bytes)?, used: 0 })
    }

    fn take(&mut self, bytes: usize) -> Pointer {
        let at = self.memory.at().offset(self.used);
        self.used += bytes.next_multiple_of(Self::ALIGNMENT);
        at
    }
}

/// The filters of some layers in cuDNN's order and the activations' type: transposed in one launch and kept for the backward
/// pass.
pub(super) struct Turned {
    at: Vec<Pointer>,
    _pool: Pool,
}

impl Turned {
    pub(super) fn new(device: &CudaDevice, element: ElementType, layers: &[(&ConvShape, &Tensor)]) -> Result<Self> {
        let mut pool = Pool::new(device, layers.iter().map(|(shape, _)| shape.weight_len() * element.bytes()))?;
        let (mut at, mut turned) = (Vec::with_capacity(layers.len()), Vec::new());
        for (shape, weight) in layers {
            let (ours, parameter) = (address_of(weight)?, stored(weight)?);
            at.push(if filters::are_one(shape, element, parameter) {
                ours
            } else {
                let theirs = pool.take(shape.weight_len() * element.bytes());
                turned.push((parameter, Filters::of(shape, ours, theirs)));
                theirs
            });
        }
        turn(device, element, filters::to_cudnn, &turned)?;
        Ok(Self { at, _pool: pool })
    }

    pub(super) fn at(&self, layer: usize) -> Pointer {
        self.at[layer]
    }
}

/// The gradients of the filters of some layers: first in cuDNN's order, then transposed to the parameters' in one launch.
pub(super) struct FilterGradients {
    element: ElementType,
    /// The gradients of the parameters; `None` for those that are not needed.
    results: Vec<Option<CudaStorage>>,
    at: Vec<Pointer>,
    turned: Vec<(ElementType, Filters)>,
    _pool: Pool,
}

impl FilterGradients {
    pub(super) fn new(device: &CudaDevice, element: ElementType, layers: &[(&ConvShape, &Tensor)]) -> Result<Self> {
        let mut pool = Pool::new(device, layers.iter().map(|(shape, _)| shape.weight_len() * element.bytes()))?;
        let (mut results, mut at, mut turned) = (Vec::new(), Vec::new(), Vec::new());
        for (shape, weight) in layers {
            let (parameter, len) = (stored(weight)?, shape.weight_len());
            // A batch without images is not convolved.
            let empty = shape.y_len() == 0;
            let result = match weight.track_op() {
                true if empty => Some(zeros(device, parameter, len)?),
                true => Some(allocate(device, parameter, len)?),
                false => None,
            };
            let ours = result.as_ref().map_or(Ok(Pointer::NULL), start)?;
            at.push(if ours == Pointer::NULL || empty {
                Pointer::NULL
            } else if filters::are_one(shape, element, parameter) {
                ours
            } else {
                let theirs = pool.take(len * element.bytes());
                turned.push((parameter, Filters::of(shape, ours, theirs)));
                theirs
            });
            results.push(result);
        }
        Ok(Self { element, results, at, turned, _pool: pool })
    }

    /// The address for cuDNN's gradient of a layer; null if it is not needed.
    pub(super) fn at(&self, layer: usize) -> Pointer {
        self.at[layer]
    }

    /// The gradients as tensors with the weights' shapes, after cuDNN's are launched.
    pub(super) fn finish(self, device: &CudaDevice, layers: &[(&ConvShape, &Tensor)]) -> Result<Vec<Option<Tensor>>> {
        turn(device, self.element, filters::from_cudnn, &self.turned)?;
        let shaped = |(result, (_, weight)): (Option<CudaStorage>, &(&ConvShape, &Tensor))| {
            result.map(|result| tensor(result, weight.shape()))
        };
        Ok(self.results.into_iter().zip(layers).map(shaped).collect())
    }
}

/// The gradients of a norm's scale and shift.
pub(super) struct NormGradients {
    scale: CudaStorage,
    shift: CudaStorage,
    channels: usize,
}

impl NormGradients {
    pub(super) fn new(device: &CudaDevice, of: &Matrix) -> Result<Self> {
        let new = || allocate(device, of.parameter, of.channels);
        Ok(Self { scale: new()?, shift: new()?, channels: of.channels })
    }

    pub(super) fn at(&self) -> Result<(Pointer, Pointer)> {
        Ok((start(&self.scale)?, start(&self.shift)?))
    }

    pub(super) fn tensors(self) -> [Option<Tensor>; 2] {
        [self.scale, self.shift].map(|storage| Some(tensor(storage, self.channels)))
    }
}
