//! The graph node behind `plain_network` and `conv2d` on the device.

use candle_core::{CpuStorage, CudaStorage, CustomOp2, Layout, Result, Shape, Tensor};

use crate::Mode;
use crate::bundle::{self, Slot};
use crate::cuda::call::Pointer;
use crate::cuda::chain;
use crate::cuda::device::layer::{FilterGradients, NormGradients, Turned, norm};
use crate::cuda::device::memory::{Scratch, address, address_of, allocate, start, stored, tensor};
use crate::cuda::plain_network::{Bias, Layer, LayerGradients};
use crate::cuda::source::ElementType;
use crate::kept::Kept;
use crate::plan::{ConvShape, PlainPlan};

/// [`plain_network`](crate::plain_network) of checked layers and a contiguous input.
pub(crate) fn plain_network(x: &Tensor, plans: Vec<PlainPlan>, mode: Mode) -> crate::Result<Tensor> {
    let (mut tokens, mut slots) = (Vec::with_capacity(plans.len()), Vec::with_capacity(plans.len()));
    for PlainPlan { weight, bias, norm, .. } in &plans {
        let (token, slot) = match norm {
            Some(norm) => bundle::triple(weight, &norm.weight, &norm.bias)?,
            None => bundle::pair(weight, bias.as_ref().unwrap_or(weight))?,
        };
        tokens.push(token);
        slots.push(slot);
    }
    let parameters = bundle::join(&tokens)?;
    let tracked = x.track_op() || parameters.track_op();
    let node = PlainNode { plans, slots, mode, tracked, element: stored(x)?, saved: Kept::default() };
    Ok(x.apply_op2(&parameters, node)?)
}

/// [`conv2d`](crate::conv2d()) of checked, contiguous arguments: a network of one layer that has nothing to normalise, so the
/// mode does not matter.
pub(crate) fn conv2d(shape: ConvShape, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> crate::Result<Tensor> {
    plain_network(x, vec![PlainPlan::convolution(shape, weight, bias)], Mode::Eval)
}

struct Saved {
    filters: Turned,
    layers: Vec<chain::Saved<Layer, Scratch>>,
}

struct PlainNode {
    plans: Vec<PlainPlan>,
    /// Slots for the gradients of each layer's weight, and of its bias or its norm's scale and shift.
    slots: Vec<Slot>,
    mode: Mode,
    /// Whether a backward pass may follow.
    tracked: bool,
    element: ElementType,
    saved: Kept<Saved>,
}

/// The gradients of a layer's parameters other than filters.
enum Others {
    Norm(NormGradients),
    /// `None` without a bias, and for a bias that is not trained.
    Bias(Option<CudaStorage>, usize),
}

impl PlainNode {
    fn filters(&self) -> Vec<(&ConvShape, &Tensor)> {
        self.plans.iter().map(|plan| (&plan.shape, &plan.weight)).collect()
    }

    /// The layers with their addresses.
    fn layers(&self, filters: &Turned) -> Result<Vec<Layer>> {
        let layer = |(number, plan): (usize, &PlainPlan)| -> Result<Layer> {
            let (batch, height, width, _) = plan.output_extents();
            let of_norm = |of| norm(of, self.element, batch * height * width);
            let of_bias =
                |bias: &Tensor| -> Result<Bias> { Ok(Bias { at: address_of(bias)?, parameter: stored(bias)? }) };
            Ok(Layer {
                shape: plan.shape,
                filters: filters.at(number),
                element: self.element,
                bias: plan.bias.as_ref().map(of_bias).transpose()?,
                pool: plan.pool,
                norm: plan.norm.as_ref().map(of_norm).transpose()?,
                after: plan.after,
            })
        };
        self.plans.iter().enumerate().map(layer).collect()
    }

    fn forward(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let Some(last) = self.plans.last() else { candle_core::bail!("plain_network: no layers") };
        let (device, shape) = (&x.device, Shape::from(last.output_extents()));
        let filters = Turned::new(device, self.element, &self.filters())?;
        let y = allocate(device, self.element, shape.elem_count())?;
        let ends = (address(x, layout)?, start(&y)?);
        let layers = chain::forward(device, &self.layers(&filters)?, self.mode, self.tracked, ends)?;
        if self.tracked {
            self.saved.set(Saved { filters, layers });
        }
        Ok((y, shape))
    }

    /// Stores the gradients of the parameters in their slots; returns that of the input, if it is needed.
    fn backward(&self, x: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let Some(saved) = self.saved.get() else { candle_core::bail!("plain_network: backward without forward") };
        let (device, dy) = (x.device().as_cuda_device()?, dy.contiguous()?);
        let (layers, filters) = (self.layers(&saved.filters)?, self.filters());
        let of_filters = FilterGradients::new(device, self.element, &filters)?;
        // What lies below the lowest trained layer needs no gradient.
        let lowest = if x.track_op() { Some(0) } else { self.plans.iter().position(PlainPlan::is_trained) };
        let lowest = lowest.unwrap_or(layers.len());
        let (mut others, mut gradients) = (Vec::with_capacity(layers.len()), Vec::with_capacity(layers.len()));
        for (number, (layer, plan)) in layers.iter().zip(&self.plans).enumerate().skip(lowest) {
            let mut to = LayerGradients {
                filters: of_filters.at(number),
                bias: Pointer::NULL,
                scale: Pointer::NULL,
                shift: Pointer::NULL,
            };
            others.push(if let Some(norm) = &layer.norm {
                let of_norm = NormGradients::new(device, &norm.matrix)?;
                (to.scale, to.shift) = of_norm.at()?;
                Others::Norm(of_norm)
            } else {
                let channels = plan.shape.channels_out;
                let wanted = plan.bias.as_ref().filter(|bias| bias.track_op());
                let of_bias = wanted.map(|bias| allocate(device, stored(bias)?, channels)).transpose()?;
                to.bias = of_bias.as_ref().map_or(Ok(Pointer::NULL), start)?;
                Others::Bias(of_bias, channels)
            });
            gradients.push(to);
        }
        let dx = if x.track_op() { Some(allocate(device, self.element, x.elem_count())?) } else { None };
        let dx_at = dx.as_ref().map_or(Ok(Pointer::NULL), start)?;
        let (ends, slopes) = ((address_of(x)?, address_of(y)?), (address_of(&dy)?, dx_at));
        chain::backward(device, &layers, self.mode, &saved.layers, ends, slopes, &gradients)?;
        let of_filters = of_filters.finish(device, &filters)?;
        for ((slot, weight), others) in self.slots.iter().zip(of_filters).skip(lowest).zip(others) {
            let mut all = vec![weight];
            match others {
                Others::Norm(of_norm) => all.extend(of_norm.tensors()),
                Others::Bias(of_bias, channels) => all.push(of_bias.map(|storage| tensor(storage, channels))),
            }
            slot.put(all)?;
        }
        Ok(dx.map(|dx| tensor(dx, x.shape())))
    }
}

impl CustomOp2 for PlainNode {
    fn name(&self) -> &'static str {
        "plain_network"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("plain_network: a node of the CUDA device ran on the CPU")
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
