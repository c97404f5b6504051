//! The graph node behind [`residual_blocks`](crate::residual_blocks).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use crate::bundle::{self, Slot};
use crate::element::{Element, elements, tensor, with_elements, with_weight};
use crate::geometry::ConvShape;
use crate::unit::{self, Statistics};
use crate::workspace::Buffer;
use crate::{BatchNorm, Mode, memory};

/// A checked convolution and batch norm.
#[derive(Debug)]
pub(crate) struct UnitPlan {
    pub(crate) shape: ConvShape,
    pub(crate) weight: Tensor,
    pub(crate) norm: BatchNorm,
}

/// A checked residual block.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) path: Vec<UnitPlan>,
    pub(crate) shortcut: Option<UnitPlan>,
}

/// What one layer leaves for the backward pass.
struct SavedUnit<T: Element> {
    convolved: Buffer<T>,
    statistics: Statistics<T>,
}

/// What one block leaves.
struct SavedBlock<T: Element> {
    path: Vec<SavedUnit<T>>,
    /// Outputs of the path's layers but the last, after the rectifier: inputs of the next.
    inner: Vec<Buffer<T>>,
    shortcut: Option<SavedUnit<T>>,
    /// The block's output, unless it is the last block, whose output candle keeps.
    output: Option<Buffer<T>>,
}

/// Where a layer's gradients go: those of weight, scale and shift.
struct UnitSlot {
    path: Vec<Slot>,
    shortcut: Option<Slot>,
}

pub(crate) struct BlocksOp<T: Element> {
    plans: Vec<Plan>,
    slots: Vec<UnitSlot>,
    output: (usize, usize, usize, usize),
    mode: Mode,
    /// Whether anything will be asked for backward.
    tracked: bool,
    saved: Arc<Mutex<Vec<SavedBlock<T>>>>,
}

impl<T: Element> BlocksOp<T> {
    pub(crate) fn apply(
        x: &Tensor,
        plans: Vec<Plan>,
        output: (usize, usize, usize, usize),
        mode: Mode,
    ) -> Result<Tensor> {
        let mut tokens = Vec::new();
        let mut bundled = |plan: &UnitPlan| -> Result<Slot> {
            let (token, slot) = bundle::triple(&plan.weight, &plan.norm.weight, &plan.norm.bias)?;
            tokens.push(token);
            Ok(slot)
        };
        let mut slots = Vec::with_capacity(plans.len());
        for plan in &plans {
            let path = plan.path.iter().map(&mut bundled).collect::<Result<_>>()?;
            slots.push(UnitSlot { path, shortcut: plan.shortcut.as_ref().map(&mut bundled).transpose()? });
        }
        let parameters = Tensor::cat(&tokens, 0)?;
        let tracked = x.track_op() || parameters.track_op();
        let saved = Arc::new(Mutex::new(Vec::new()));
        x.apply_op2(&parameters, Self { plans, slots, output, mode, tracked, saved })
    }

    /// Convolution and statistics of one layer, its output to `y`.
    fn run_unit(
        &self,
        plan: &UnitPlan,
        x: &[T],
        residual: Option<&[T]>,
        relu: bool,
        y: &mut [std::mem::MaybeUninit<T>],
    ) -> Result<SavedUnit<T>> {
        let convolved = unit::convolve(&plan.shape, x, &plan.weight)?;
        let statistics = unit::normalise(&plan.norm, self.mode, &convolved, residual, relu, y)?;
        statistics.update_running(&plan.norm)?;
        Ok(SavedUnit { convolved, statistics })
    }

    /// One block from `x` to `y`.
    fn run_block(&self, plan: &Plan, x: &[T], y: &mut [std::mem::MaybeUninit<T>]) -> Result<SavedBlock<T>> {
        let mut shortcut = None;
        let mut projected = None;
        if let Some(plan) = &plan.shortcut {
            let mut output = Buffer::<T>::take(plan.shape.y_len());
            shortcut = Some(self.run_unit(plan, x, None, false, memory::as_output(&mut output))?);
            projected = Some(output);
        }
        let mut path = Vec::with_capacity(plan.path.len());
        let mut inner: Vec<Buffer<T>> = Vec::with_capacity(plan.path.len() - 1);
        let (last, before) = plan.path.split_last().ok_or_else(|| candle_core::Error::msg("a path without layers"))?;
        for plan in before {
            let mut output = Buffer::take(plan.shape.y_len());
            let x = inner.last().map_or(x, |inner| &inner[..]);
            path.push(self.run_unit(plan, x, None, true, memory::as_output(&mut output))?);
            inner.push(output);
        }
        let residual = projected.as_ref().map_or(x, |projected| &projected[..]);
        let x = inner.last().map_or(x, |inner| &inner[..]);
        path.push(self.run_unit(last, x, Some(residual), true, y)?);
        Ok(SavedBlock { path, inner, shortcut, output: None })
    }

    fn forward(&self, x: &[T]) -> Result<(CpuStorage, Shape)> {
        let (batch, height, width, channels) = self.output;
        let mut y = memory::uninit(batch * height * width * channels);
        let mut saved: Vec<SavedBlock<T>> = Vec::with_capacity(self.plans.len());
        let mut carried: Option<Buffer<T>> = None;
        for (index, plan) in self.plans.iter().enumerate() {
            let input = match (saved.last().and_then(|block| block.output.as_ref()), &carried) {
                (Some(output), _) | (None, Some(output)) => &output[..],
                (None, None) => x,
            };
            if index + 1 == self.plans.len() {
                let block = self.run_block(plan, input, &mut y)?;
                saved.push(block);
            } else {
                let len = plan.path.last().map_or(0, |unit| unit.shape.y_len());
                let mut output = Buffer::take(len);
                let mut block = self.run_block(plan, input, memory::as_output(&mut output))?;
                if self.tracked {
                    block.output = Some(output);
                    saved.push(block);
                } else {
                    carried = Some(output);
                }
            }
        }
        if self.tracked {
            *lock(&self.saved) = saved;
        }
        // SAFETY: the last block's last layer writes every element of its output.
        let y = unsafe { memory::assume_init(y) };
        Ok((T::to_cpu_storage_owned(y), (batch, height, width, channels).into()))
    }

    /// The gradients of all parameters go to their slots; that of the input is returned, if `wanted`.
    fn backward(&self, x: &[T], y: &[T], dy: &[T], wanted: bool) -> Result<Option<Buffer<T>>> {
        let saved = lock(&self.saved);
        if saved.len() != self.plans.len() {
            candle_core::bail!("residual_blocks: backward without forward");
        }
        let mut carried: Option<Buffer<T>> = None;
        for index in (0..self.plans.len()).rev() {
            let input = match index.checked_sub(1).and_then(|before| saved[before].output.as_ref()) {
                Some(output) => &output[..],
                None => x,
            };
            let output = saved[index].output.as_ref().map_or(y, |output| &output[..]);
            let dy = carried.as_ref().map_or(dy, |carried| &carried[..]);
            let wanted = wanted || index > 0;
            let dx = self.block_backward(index, &saved[index], input, output, dy, wanted)?;
            carried = dx;
        }
        Ok(carried)
    }

    fn block_backward(
        &self,
        index: usize,
        saved: &SavedBlock<T>,
        x: &[T],
        y: &[T],
        dy: &[T],
        wanted: bool,
    ) -> Result<Option<Buffer<T>>> {
        let (plan, slots) = (&self.plans[index], &self.slots[index]);
        // What passed the block's last rectifier: the gradient of the shortcut's output.
        let mut cut = Buffer::<T>::take(dy.len());
        let mut dc = Buffer::<T>::take(dy.len());
        let mut gradient: Option<Buffer<T>> = None;
        // The path's layers from the last to the first; the first one's input gradient waits for the shortcut's.
        for layer in (0..plan.path.len()).rev() {
            let (unit, left) = (&plan.path[layer], &saved.path[layer]);
            let input = layer.checked_sub(1).map_or(x, |before| &saved.inner[before][..]);
            let output = saved.inner.get(layer).map_or(y, |inner| &inner[..]);
            let last = layer + 1 == plan.path.len();
            if !last {
                dc = Buffer::take(unit.shape.y_len());
            }
            let dy = gradient.as_ref().map_or(dy, |gradient| &gradient[..]);
            let residual = last.then_some(memory::as_output(&mut cut));
            let out = memory::as_output(&mut dc);
            let norm = &unit.norm;
            let (d_scale, d_bias) =
                unit::normalise_backward(norm, &left.statistics, &left.convolved, Some(output), dy, out, residual)?;
            let dw = unit::filters_gradient(&unit.shape, input, &dc, &unit.weight)?;
            slots.path[layer].put(vec![dw, Some(d_scale), Some(d_bias)]);
            if layer > 0 {
                let mut dx = Buffer::<T>::take(unit.shape.x_len());
                data_gradient(unit, &dc, false, &mut dx)?;
                gradient = Some(dx);
            }
        }
        let dx = match (&plan.shortcut, &saved.shortcut, &slots.shortcut) {
            (Some(unit), Some(left), Some(slot)) => {
                let mut dc = Buffer::<T>::take(cut.len());
                let out = memory::as_output(&mut dc);
                let (d_scale, d_bias) =
                    unit::normalise_backward(&unit.norm, &left.statistics, &left.convolved, None, &cut, out, None)?;
                let dw = unit::filters_gradient(&unit.shape, x, &dc, &unit.weight)?;
                slot.put(vec![dw, Some(d_scale), Some(d_bias)]);
                if !wanted {
                    return Ok(None);
                }
                drop(cut);
                let mut dx = Buffer::take(unit.shape.x_len());
                data_gradient(unit, &dc, false, &mut dx)?;
                dx
            }
            _ => cut,
        };
        if !wanted {
            return Ok(None);
        }
        let mut dx = dx;
        data_gradient(&plan.path[0], &dc, true, &mut dx)?;
        Ok(Some(dx))
    }
}

/// The convolution's input gradient, added to what `dx` holds if `add`.
fn data_gradient<T: Element>(unit: &UnitPlan, dc: &[T], add: bool, dx: &mut Buffer<T>) -> Result<()> {
    with_weight::<T, _>(&unit.weight, |weight| {
        T::conv2d_backward_data(&unit.shape, dc, weight, add, memory::as_output(dx));
        Ok(())
    })
}

fn lock<S>(saved: &Mutex<S>) -> MutexGuard<'_, S> {
    saved.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Element> CustomOp2 for BlocksOp<T> {
    fn name(&self) -> &'static str {
        "residual_blocks"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward(elements(x, layout)?)
    }

    fn bwd(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        y: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let wanted = x.track_op();
        let dx = with_elements::<T, _>(&gradient, |dy| {
            with_elements::<T, _>(y, |y| with_elements::<T, _>(x, |x| self.backward(x, y, dy, wanted)))
        })?;
        let dx = dx.map(|dx| tensor(dx.to_vec(), x.shape()));
        Ok((dx, bundle::gradient(parameters)?))
    }
}
