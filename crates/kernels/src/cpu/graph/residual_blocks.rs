//! The graph node behind [`residual_blocks`](crate::residual_blocks).

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use crate::bundle::{self, Slot};
use crate::cpu::choose::Kernels;
use crate::cpu::graph::kept::Kept;
use crate::cpu::graph::pass::{self, Found, OfParameters, on_the_pool};
use crate::cpu::layer::{self, NormGradients, Statistics};
use crate::cpu::memory::{Place, Values};
use crate::cpu::tensors::elements;
use crate::plan::{BlockPlan, LayerPlan, Shortcut};
use crate::{Activation, Mode};

pub(crate) fn residual_blocks<T: Kernels>(
    x: &Tensor,
    plans: Vec<BlockPlan>,
    output: (usize, usize, usize, usize),
    mode: Mode,
) -> Result<Tensor> {
    let mut tokens = Vec::new();
    let mut bundled = |plan: &LayerPlan| -> Result<Slot> {
        let (token, slot) = bundle::triple(&plan.weight, &plan.norm.weight, &plan.norm.bias)?;
        tokens.push(token);
        Ok(slot)
    };
    let mut slots = Vec::with_capacity(plans.len());
    for plan in &plans {
        let path = plan.path.iter().map(&mut bundled).collect::<Result<_>>()?;
        let shortcut = match &plan.shortcut {
            Shortcut::Projection(plan) => Some(bundled(plan)?),
            Shortcut::Nothing | Shortcut::Identity => None,
        };
        slots.push(BlockSlots { path, shortcut });
    }
    let parameters = Tensor::cat(&tokens, 0)?;
    let tracked = x.track_op() || parameters.track_op();
    x.apply_op2(&parameters, BlocksNode::<T> { plans, slots, output, mode, tracked, saved: Kept::default() })
}

/// Data that one layer keeps for the backward pass.
struct SavedLayer<T: Kernels> {
    convolved: Values<T>,
    statistics: Statistics<T>,
}

/// Data that one block keeps for the backward pass.
struct SavedBlock<T: Kernels> {
    path: Vec<SavedLayer<T>>,
    /// Outputs of the path's layers except the last, after the rectifier: the inputs of the next layers.
    inner: Vec<Values<T>>,
    shortcut: Option<SavedLayer<T>>,
    /// The block's output; `None` for the last block, whose output candle keeps.
    output: Option<Values<T>>,
}

/// Slots for the gradients of a block's layers: weight, scale and shift.
struct BlockSlots {
    path: Vec<Slot>,
    shortcut: Option<Slot>,
}

struct BlocksNode<T: Kernels> {
    plans: Vec<BlockPlan>,
    slots: Vec<BlockSlots>,
    output: (usize, usize, usize, usize),
    mode: Mode,
    /// Whether a backward pass may follow.
    tracked: bool,
    saved: Kept<Vec<SavedBlock<T>>>,
}

impl<T: Kernels> BlocksNode<T> {
    /// Runs one layer. Returns its data for a backward pass that may follow, and its output.
    fn run_layer(
        &self,
        plan: &LayerPlan,
        x: &[T],
        residual: Option<&[T]>,
        after: Option<Activation>,
        place: Place,
    ) -> Result<(Option<SavedLayer<T>>, Values<T>)> {
        if layer::folds(self.mode, self.tracked, after) {
            let of = (&plan.weight, &plan.norm);
            return Ok((None, layer::convolve_normalised(&plan.shape, x, of, residual, after, place)?));
        }
        let convolved = layer::convolve(&plan.shape, x, &plan.weight, Place::Workspace)?;
        let (y, statistics) =
            layer::normalise(&plan.norm, self.mode, &convolved, residual, after, place, self.tracked)?;
        statistics.update_running(&plan.norm)?;
        Ok((Some(SavedLayer { convolved, statistics }), y))
    }

    /// Runs one block. Returns its data for the backward pass, except its output, and its output.
    fn run_block(&self, plan: &BlockPlan, x: &[T], place: Place) -> Result<(SavedBlock<T>, Values<T>)> {
        let (shortcut, projected) = match &plan.shortcut {
            Shortcut::Projection(plan) => Some(self.run_layer(plan, x, None, None, Place::Workspace)?).unzip(),
            Shortcut::Nothing | Shortcut::Identity => (None, None),
        };
        let mut path = Vec::with_capacity(plan.path.len());
        let mut inner: Vec<Values<T>> = Vec::with_capacity(plan.path.len() - 1);
        let (last, before) = plan.path.split_last().ok_or_else(|| candle_core::Error::msg("a path without layers"))?;
        for plan in before {
            let input = inner.last().map_or(x, |inner| &inner[..]);
            let (saved, y) = self.run_layer(plan, input, None, Some(Activation::Relu), Place::Workspace)?;
            path.extend(saved);
            inner.push(y);
        }
        let residual = match &plan.shortcut {
            Shortcut::Nothing => None,
            Shortcut::Identity => Some(x),
            Shortcut::Projection(_) => projected.as_deref(),
        };
        let input = inner.last().map_or(x, |inner| &inner[..]);
        let (saved, y) = self.run_layer(last, input, residual, Some(Activation::Relu), place)?;
        path.extend(saved);
        Ok((SavedBlock { path, inner, shortcut: shortcut.flatten(), output: None }, y))
    }

    fn forward(&self, x: &[T]) -> Result<(CpuStorage, Shape)> {
        let Some((last, before)) = self.plans.split_last() else {
            candle_core::bail!("residual_blocks: no blocks");
        };
        let mut saved: Vec<SavedBlock<T>> = Vec::with_capacity(self.plans.len());
        let mut carried: Option<Values<T>> = None;
        for plan in before {
            let input = output_of(saved.last()).or(carried.as_deref()).unwrap_or(x);
            let (mut block, y) = self.run_block(plan, input, Place::Workspace)?;
            if self.tracked {
                block.output = Some(y);
                saved.push(block);
            } else {
                carried = Some(y);
            }
        }
        let input = output_of(saved.last()).or(carried.as_deref()).unwrap_or(x);
        let (block, y) = self.run_block(last, input, Place::Tensor)?;
        if self.tracked {
            saved.push(block);
            self.saved.set(saved);
        }
        Ok((T::to_cpu_storage_owned(y.into_vec()), self.output.into()))
    }

    /// Returns the gradient of the input, if `wanted`, and adds those of the parameters to `found`.
    fn backward<'a>(&'a self, x: &[T], dy: &[T], wanted: bool, found: &mut Found<'a>) -> Result<Option<Values<T>>> {
        let Some(saved) = self.saved.get() else {
            candle_core::bail!("residual_blocks: backward without forward");
        };
        // What lies below the lowest trained block needs no gradient.
        let lowest = if wanted { Some(0) } else { self.plans.iter().position(BlockPlan::is_trained) };
        let lowest = lowest.unwrap_or(self.plans.len());
        let mut carried: Option<Values<T>> = None;
        for (index, block) in saved.iter().enumerate().skip(lowest).rev() {
            let input = output_of(index.checked_sub(1).map(|before| &saved[before])).unwrap_or(x);
            let dy = carried.as_deref().unwrap_or(dy);
            // The first block's input gradient becomes a tensor.
            let place = if index == 0 { Place::Tensor } else { Place::Workspace };
            let wanted = (wanted || index > lowest).then_some(place);
            carried = self.block_backward(index, block, input, dy, wanted, found)?;
        }
        Ok(carried)
    }

    fn block_backward<'a>(
        &'a self,
        index: usize,
        saved: &SavedBlock<T>,
        x: &[T],
        dy: &[T],
        wanted: Option<Place>,
        found: &mut Found<'a>,
    ) -> Result<Option<Values<T>>> {
        let (plan, slots) = (&self.plans[index], &self.slots[index]);
        // `dy` where the block's last rectifier was open: the gradient of the shortcut's output.
        let mut masked = None;
        let mut dc = None;
        let mut gradient: Option<Values<T>> = None;
        // The path's layers from the last to the first; the first one's input gradient waits for the shortcut's.
        for at in (0..plan.path.len()).rev() {
            let (layer, left) = (&plan.path[at], &saved.path[at]);
            let input = at.checked_sub(1).map_or(x, |before| &saved.inner[before][..]);
            let residual = match &plan.shortcut {
                _ if at + 1 < plan.path.len() => None,
                Shortcut::Nothing => None,
                Shortcut::Identity => wanted,
                Shortcut::Projection(_) => Some(Place::Workspace),
            };
            let dy = gradient.as_deref().unwrap_or(dy);
            let (gradients, parameters) = layer_backward(layer, left, input, dy, residual)?;
            found.push((&slots.path[at], parameters));
            masked = gradients.residual.or(masked);
            if at > 0 {
                let dx = layer::input_gradient(&layer.shape, &gradients.input, &layer.weight, Place::Workspace)?;
                gradient = Some(dx);
            }
            dc = Some(gradients.input);
        }
        let (Some(dc), Some(first)) = (dc, plan.path.first()) else {
            candle_core::bail!("residual_blocks: a path without layers");
        };
        let mut dx = masked;
        if let (Shortcut::Projection(layer), Some(left), Some(slot)) =
            (&plan.shortcut, &saved.shortcut, &slots.shortcut)
        {
            let masked = dx.as_deref().unwrap_or_default();
            let (gradients, parameters) = layer_backward(layer, left, x, masked, None)?;
            found.push((slot, parameters));
            dx = match wanted {
                Some(place) => Some(layer::input_gradient(&layer.shape, &gradients.input, &layer.weight, place)?),
                None => None,
            };
        }
        let Some(place) = wanted else { return Ok(None) };
        match &mut dx {
            Some(dx) => layer::add_input_gradient(&first.shape, &dc, &first.weight, dx)?,
            None => dx = Some(layer::input_gradient(&first.shape, &dc, &first.weight, place)?),
        }
        Ok(dx)
    }
}

/// The gradients of one layer, and those of its parameters.
fn layer_backward<T: Kernels>(
    plan: &LayerPlan,
    saved: &SavedLayer<T>,
    x: &[T],
    dy: &[T],
    residual: Option<Place>,
) -> Result<(NormGradients<T>, OfParameters)> {
    let (norm, place) = (&plan.norm, Place::Workspace);
    let gradients = layer::normalise_backward(norm, &saved.statistics, &saved.convolved, dy, place, residual)?;
    let dw = layer::weight_gradient(&plan.shape, x, &gradients.input, &plan.weight)?;
    let parameters = vec![dw, Some(gradients.scale.clone()), Some(gradients.bias.clone())];
    Ok((gradients, parameters))
}

fn output_of<T: Kernels>(block: Option<&SavedBlock<T>>) -> Option<&[T]> {
    block.and_then(|block| block.output.as_deref())
}

impl<T: Kernels> CustomOp2 for BlocksNode<T> {
    fn name(&self) -> &'static str {
        "residual_blocks"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = elements(x, layout)?;
        on_the_pool(|| self.forward(x))
    }

    fn bwd(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        pass::backward(x, parameters, dy, |x, dy, wanted, found| self.backward(x, dy, wanted, found))
    }
}
