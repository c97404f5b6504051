//! Cross-entropy as a node of candle's graph.

use candle_core::{CpuStorage, CudaStorage, CustomOp2, DType, Layout, Result, Shape, Tensor};

use crate::cuda::call::Pointer;
use crate::cuda::cross_entropy::{Batch, Rows};
use crate::cuda::device::gates::meeting;
use crate::cuda::device::launch::launch;
use crate::cuda::device::memory::{Scratch, address, address_of, allocate, start, stored, tensor};
use crate::cuda::source::ElementType;
use crate::kept::Kept;

/// [`cross_entropy`](crate::cross_entropy()) of checked, contiguous arguments.
pub(crate) fn cross_entropy(logits: &Tensor, targets: &Tensor, smoothing: f64) -> crate::Result<Tensor> {
    let summed = if logits.dtype() == DType::BF16 { DType::F32 } else { logits.dtype() };
    run(logits, &targets.to_dtype(summed)?, smoothing, false)
}

/// [`cross_entropy_indices`](crate::cross_entropy_indices()), likewise. Indices are not checked on the host: one out of range
/// makes the loss NaN, and the gradient of its row.
pub(crate) fn cross_entropy_indices(logits: &Tensor, classes: &Tensor, smoothing: f64) -> crate::Result<Tensor> {
    run(logits, classes, smoothing, true)
}

fn run(logits: &Tensor, targets: &Tensor, smoothing: f64, are_indices: bool) -> crate::Result<Tensor> {
    let (rows, classes) = logits.dims2()?;
    let stored = stored(logits)?;
    let node = CrossEntropy { stored, rows, classes, smoothing, are_indices, left: Kept::default() };
    Ok(logits.apply_op2(targets, node)?)
}

struct CrossEntropy {
    stored: ElementType,
    rows: usize,
    classes: usize,
    smoothing: f64,
    are_indices: bool,
    /// Largest logit, sum of exponentials and sum of targets of every row.
    left: Kept<Scratch>,
}

impl CrossEntropy {
    fn batch(&self, logits: Pointer, targets: Pointer) -> Batch {
        let (targets, indices) = if self.are_indices { (Pointer::NULL, targets) } else { (targets, Pointer::NULL) };
        let (element, rows, classes, smoothing) = (self.stored, self.rows, self.classes, self.smoothing);
        Batch { element, rows, classes, smoothing, logits, targets, indices }
    }

    fn rows_at(&self, left: &Scratch) -> Rows {
        let column = |index: usize| left.at().offset(index * self.rows * self.stored.wide_bytes());
        Rows { maxima: column(0), sums: column(1), weights: column(2) }
    }
}

impl CustomOp2 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("cross_entropy: a node of the CUDA device ran on the CPU")
    }

    fn cuda_fwd(
        &self,
        logits: &CudaStorage,
        logits_layout: &Layout,
        targets: &CudaStorage,
        targets_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let device = &logits.device;
        let batch = self.batch(address(logits, logits_layout)?, address(targets, targets_layout)?);
        let left = Scratch::new(device, 3 * self.rows * self.stored.wide_bytes())?;
        let losses = Scratch::new(device, 8 * self.rows)?;
        let loss = allocate(device, self.stored.wide(), 1)?;
        let gates = meeting(device)?.gates;
        launch(device, [&batch.forward(losses.at(), &self.rows_at(&left), gates, start(&loss)?)])?;
        self.left.set(left);
        Ok((loss, Shape::from(())))
    }

    fn bwd(
        &self,
        logits: &Tensor,
        targets: &Tensor,
        _: &Tensor,
        upstream: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Some(left) = self.left.get() else { candle_core::bail!("cross_entropy: backward without forward") };
        let (device, upstream) = (logits.device().as_cuda_device()?, upstream.contiguous()?);
        let batch = self.batch(address_of(logits)?, address_of(targets)?);
        let d_logits = allocate(device, self.stored, logits.elem_count())?;
        launch(device, [&batch.backward(&self.rows_at(&left), address_of(&upstream)?, start(&d_logits)?)])?;
        Ok((Some(tensor(d_logits, logits.shape())), None))
    }
}
