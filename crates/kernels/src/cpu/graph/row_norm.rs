//! Layer norm and RMS norm as graph nodes. They keep two numbers per row; the backward pass computes all gradients in one
//! pass.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, WithDType};

use crate::bundle::{self, Slot};
use crate::cpu::choose::Kernels;
use crate::cpu::graph::kept::Kept;
use crate::cpu::graph::pass::{self, OfParameters, on_the_pool};
use crate::cpu::memory::{Place, Values};
use crate::cpu::row_norm::{Layer, RowMoments};
use crate::cpu::run;
use crate::cpu::tensors::{elements, tensor, with_elements, with_weight};
use crate::plan::RowNormPlan;

pub(crate) fn row_norm<T: Kernels>(x: &Tensor, plan: RowNormPlan) -> Result<Tensor> {
    let node = |plan, slot| RowNorm::<T> { plan, slot, moments: Kept::default() };
    match (&plan.weight, &plan.bias) {
        (None, None) => x.apply_op1(node(plan, Slot::default())),
        (Some(first), second) | (second, Some(first)) => {
            let (parameters, slot) = bundle::pair(first, second.as_ref().unwrap_or(first))?;
            x.apply_op2(&parameters, node(plan, slot))
        }
    }
}

struct RowNorm<T: Kernels> {
    plan: RowNormPlan,
    /// Gradients of weight and bias, or of the one that there is.
    slot: Slot,
    moments: Kept<Vec<RowMoments<T::Accumulator>>>,
}

impl<T: Kernels> RowNorm<T> {
    /// Runs `f` on the layer; a missing weight is 1, a missing bias 0.
    fn with_layer<R>(&self, f: impl FnOnce(&Layer<'_, T::Accumulator>) -> Result<R>) -> Result<R> {
        let RowNormPlan { width, centred, eps, weight, bias, .. } = &self.plan;
        let absent = |value: f64| vec![T::Accumulator::from_f64(value); *width];
        let with = |weight: &[T::Accumulator]| {
            let layer = |bias: &[T::Accumulator]| f(&Layer { centred: *centred, eps: *eps, weight, bias });
            match bias {
                Some(bias) => with_weight::<T, _>(bias, layer),
                None => layer(&absent(0.0)),
            }
        };
        match weight {
            Some(weight) => with_weight::<T, _>(weight, with),
            None => with(&absent(1.0)),
        }
    }

    fn forward(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = elements::<T>(x, layout)?;
        let (y, moments) = self.with_layer(|layer| Ok(on_the_pool(|| run::row_norm(layer, x))))?;
        self.moments.set(moments);
        Ok((T::to_cpu_storage_owned(y), layout.shape().clone()))
    }

    /// The gradient of the input, if it is wanted, and those of the parameters.
    fn backward(&self, x: &[T], dy: &[T], wanted: bool) -> Result<(Option<Values<T>>, OfParameters)> {
        let Some(moments) = self.moments.get() else {
            candle_core::bail!("{}: backward without forward", self.plan.op);
        };
        let RowNormPlan { weight, bias, .. } = &self.plan;
        let trained = [weight, bias].into_iter().flatten().any(Tensor::track_op);
        let place = if wanted { Place::Tensor } else { Place::Workspace };
        let (dx, sums) = self.with_layer(|layer| Ok(run::row_norm_backward(layer, x, &moments, dy, trained, place)))?;
        let gradient = |of: &Tensor, sums: Vec<f64>| -> Result<Option<Tensor>> {
            if !of.track_op() {
                return Ok(None);
            }
            let sums: Vec<T::Accumulator> = sums.into_iter().map(T::Accumulator::from_f64).collect();
            tensor(sums, of.shape()).to_dtype(of.dtype()).map(Some)
        };
        let mut parameters = Vec::with_capacity(2);
        for (parameter, sums) in [(weight, sums.weight), (bias, sums.bias)] {
            if let Some(parameter) = parameter {
                parameters.push(gradient(parameter, sums)?);
            }
        }
        parameters.resize(2, None);
        Ok((wanted.then_some(dx), parameters))
    }
}

impl<T: Kernels> CustomOp1 for RowNorm<T> {
    fn name(&self) -> &'static str {
        self.plan.op
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward(x, layout)
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (dx, _) = with_elements::<T, _>(&dy.contiguous()?, |dy| {
            with_elements::<T, _>(x, |x| on_the_pool(|| self.backward(x, dy, true)))
        })?;
        Ok(dx.map(|dx| tensor(dx.into_vec(), x.shape())))
    }
}

impl<T: Kernels> CustomOp2 for RowNorm<T> {
    fn name(&self) -> &'static str {
        self.plan.op
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward(x, layout)
    }

    fn bwd(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        pass::backward::<T>(x, parameters, dy, |x, dy, wanted, found| {
            let (dx, of_parameters) = self.backward(x, dy, wanted)?;
            found.push((&self.slot, of_parameters));
            Ok(dx)
        })
    }
}
