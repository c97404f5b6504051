//! Layer norm and RMS norm as graph nodes. They keep two numbers per row; the backward pass computes all gradients in one
//! pass.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType};

use crate::cpu::choose::Kernels;
use crate::cpu::graph::kept::Kept;
use crate::cpu::row_norm::{Layer, RowMoments};
use crate::cpu::run;
use crate::cpu::tensors::{elements, tensor, with_elements, with_weight};
use crate::plan::RowNormPlan;

pub(crate) fn row_norm<T: Kernels>(x: &Tensor, plan: RowNormPlan) -> Result<Tensor> {
    let (weight, bias) = (plan.weight.clone(), plan.bias.clone());
    let node = RowNorm::<T> { plan, moments: Kept::default() };
    match (weight, bias) {
        (Some(weight), Some(bias)) => x.apply_op3(&weight, &bias, node),
        (Some(parameter), None) | (None, Some(parameter)) => x.apply_op2(&parameter, node),
        (None, None) => x.apply_op1(node),
    }
}

struct RowNorm<T: Kernels> {
    plan: RowNormPlan,
    moments: Kept<Vec<RowMoments<T::Accumulator>>>,
}

/// The gradients of input, weight and bias.
struct Gradients {
    x: Tensor,
    weight: Option<Tensor>,
    bias: Option<Tensor>,
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
        let (y, moments) = self.with_layer(|layer| Ok(run::row_norm(layer, x)))?;
        self.moments.set(moments);
        Ok((T::to_cpu_storage_owned(y), layout.shape().clone()))
    }

    fn backward(&self, x: &Tensor, dy: &Tensor) -> Result<Gradients> {
        let Some(moments) = self.moments.get() else {
            candle_core::bail!("{}: backward without forward", self.plan.op);
        };
        let dy = dy.contiguous()?;
        let (dx, sums) = with_elements::<T, _>(&dy, |dy| {
            with_elements::<T, _>(x, |x| self.with_layer(|layer| Ok(run::row_norm_backward(layer, x, &moments, dy))))
        })?;
        let parameter = |of: &Option<Tensor>, sums: Vec<f64>| -> Result<Option<Tensor>> {
            let Some(of) = of.as_ref().filter(|of| of.track_op()) else { return Ok(None) };
            let sums: Vec<T::Accumulator> = sums.into_iter().map(T::Accumulator::from_f64).collect();
            tensor(sums, of.shape()).to_dtype(of.dtype()).map(Some)
        };
        Ok(Gradients {
            x: tensor(dx, x.shape()),
            weight: parameter(&self.plan.weight, sums.weight)?,
            bias: parameter(&self.plan.bias, sums.bias)?,
        })
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
        Ok(Some(self.backward(x, dy)?.x))
    }
}

impl<T: Kernels> CustomOp2 for RowNorm<T> {
    fn name(&self) -> &'static str {
        self.plan.op
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward(x, layout)
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradients = self.backward(x, dy)?;
        Ok((Some(gradients.x), gradients.weight.or(gradients.bias)))
    }
}

impl<T: Kernels> CustomOp3 for RowNorm<T> {
    fn name(&self) -> &'static str {
        self.plan.op
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward(x, layout)
    }

    fn bwd(
        &self,
        x: &Tensor,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradients = self.backward(x, dy)?;
        Ok((Some(gradients.x), gradients.weight, gradients.bias))
    }
}
