//! The graph node behind `residual_blocks` and `residual_network` on the device.

use candle_core::{CpuStorage, CudaStorage, CustomOp2, Layout, Result, Shape, Tensor};

use crate::Mode;
use crate::bundle::{self, Slot};
use crate::cuda::call::Pointer;
use crate::cuda::chain;
use crate::cuda::device::layer::{FilterGradients, NormGradients, Turned, norm};
use crate::cuda::device::memory::{Scratch, address, address_of, allocate, start, stored, tensor};
use crate::cuda::network::{self, Block, LayerGradients, Side};
use crate::cuda::source::ElementType;
use crate::kept::Kept;
use crate::plan::{BlockPlan, ConvShape, LayerPlan, Shortcut};

/// [`residual_blocks`](crate::residual_blocks) of checked blocks and a contiguous input.
pub(crate) fn residual_blocks(
    x: &Tensor,
    plans: Vec<BlockPlan>,
    output: (usize, usize, usize, usize),
    mode: Mode,
) -> crate::Result<Tensor> {
    let (mut tokens, mut slots) = (Vec::new(), Vec::new());
    for plan in plans.iter().flat_map(BlockPlan::layers) {
        let (token, slot) = bundle::triple(&plan.weight, &plan.norm.weight, &plan.norm.bias)?;
        tokens.push(token);
        slots.push(slot);
    }
    let parameters = bundle::join(&tokens)?;
    let tracked = x.track_op() || parameters.track_op();
    let node = BlocksNode { plans, slots, output, mode, tracked, element: stored(x)?, saved: Kept::default() };
    Ok(x.apply_op2(&parameters, node)?)
}

struct Saved {
    filters: Turned,
    blocks: Vec<chain::Saved<Block, Scratch>>,
}

struct BlocksNode {
    plans: Vec<BlockPlan>,
    /// Slots for the gradients of each layer's weight, scale and shift.
    slots: Vec<Slot>,
    output: (usize, usize, usize, usize),
    mode: Mode,
    /// Whether a backward pass may follow.
    tracked: bool,
    element: ElementType,
    saved: Kept<Saved>,
}

impl BlocksNode {
    fn layers(&self) -> impl Iterator<Item = &LayerPlan> {
        self.plans.iter().flat_map(BlockPlan::layers)
    }

    fn filters(&self) -> Vec<(&ConvShape, &Tensor)> {
        self.layers().map(|plan| (&plan.shape, &plan.weight)).collect()
    }

    /// The blocks with their addresses.
    fn blocks(&self, filters: &Turned) -> Result<Vec<Block>> {
        let mut number = 0;
        let mut layer = |plan: &LayerPlan| -> Result<network::Layer> {
            let rows = plan.shape.batch * plan.shape.output.0 * plan.shape.output.1;
            let (filters, norm) = (filters.at(number), norm(&plan.norm, self.element, rows)?);
            number += 1;
            Ok(network::Layer { shape: plan.shape, filters, norm })
        };
        let block = |plan: &BlockPlan| -> Result<Block> {
            let path = plan.path.iter().map(&mut layer).collect::<Result<_>>()?;
            let side = match &plan.shortcut {
                Shortcut::Nothing => Side::Nothing,
                Shortcut::Identity => Side::Identity,
                Shortcut::Projection(plan) => Side::Projection(layer(plan)?),
            };
            Ok(Block { path, side })
        };
        self.plans.iter().map(block).collect()
    }

    fn forward(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let device = &x.device;
        let filters = Turned::new(device, self.element, &self.filters())?;
        let blocks = self.blocks(&filters)?;
        let shape = Shape::from(self.output);
        let y = allocate(device, self.element, shape.elem_count())?;
        let ends = (address(x, layout)?, start(&y)?);
        let blocks = chain::forward(device, &blocks, self.mode, self.tracked, ends)?;
        if self.tracked {
            self.saved.set(Saved { filters, blocks });
        }
        Ok((y, shape))
    }

    /// Stores the gradients of the parameters in their slots; returns that of the input, if it is needed.
    fn backward(&self, x: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let Some(saved) = self.saved.get() else { candle_core::bail!("residual_blocks: backward without forward") };
        let (device, dy) = (x.device().as_cuda_device()?, dy.contiguous()?);
        let (blocks, filters) = (self.blocks(&saved.filters)?, self.filters());
        let of_filters = FilterGradients::new(device, self.element, &filters)?;
        // What lies below the lowest trained block needs no gradient.
        let lowest = if x.track_op() { Some(0) } else { self.plans.iter().position(BlockPlan::is_trained) };
        let lowest = lowest.unwrap_or(blocks.len());
        let skipped: usize = self.plans[..lowest].iter().map(|plan| plan.layers().count()).sum();
        let (mut of_norms, mut gradients) = (Vec::new(), Vec::new());
        for block in &blocks[lowest..] {
            let projection = match &block.side {
                Side::Projection(layer) => Some(layer),
                Side::Nothing | Side::Identity => None,
            };
            let mut of_block = Vec::new();
            for layer in block.path.iter().chain(projection) {
                let of_norm = NormGradients::new(device, &layer.norm.matrix)?;
                let (scale, shift) = of_norm.at()?;
                of_block.push(LayerGradients { filters: of_filters.at(skipped + of_norms.len()), scale, shift });
                of_norms.push(of_norm);
            }
            gradients.push(of_block);
        }
        let dx = if x.track_op() { Some(allocate(device, self.element, x.elem_count())?) } else { None };
        let dx_at = dx.as_ref().map_or(Ok(Pointer::NULL), start)?;
        let (ends, slopes) = ((address_of(x)?, address_of(y)?), (address_of(&dy)?, dx_at));
        chain::backward(device, &blocks, self.mode, &saved.blocks, ends, slopes, &gradients)?;
        let of_filters = of_filters.finish(device, &filters)?;
        for ((slot, weight), of_norm) in self.slots.iter().zip(of_filters).skip(skipped).zip(of_norms) {
            let [scale, shift] = of_norm.tensors();
            slot.put(vec![weight, scale, shift])?;
        }
        Ok(dx.map(|dx| tensor(dx, x.shape())))
    }
}

impl CustomOp2 for BlocksNode {
    fn name(&self) -> &'static str {
        "residual_blocks"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("residual_blocks: a node of the CUDA device ran on the CPU")
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.forward(x, layout)
    }

    fn bwd(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((self.backward(x, y, dy)?, bundle::gradient(parameters)))
    }
}
