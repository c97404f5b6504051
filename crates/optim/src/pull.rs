//! Moves a second copy of the weights towards the first, for Lookahead and averaging.

use crate::Result;
use crate::kernel::{self, Pair};
use crate::parameter::Parameter;
use crate::slices::{Element, with_slices_mut};
use candle_core::{DType, Tensor, Var};

/// For each selected parameter: `anchor <- anchor + rate * (weights - anchor)`, then, with `write_back`, `weights <- anchor`.
///
/// [`Optimizer::step_and_pull`](crate::Optimizer::step_and_pull) passes it to the inner optimizer, which can apply it in the pass that
/// updates the weights. `rate` 1 makes the anchor equal to the weights and 0 leaves it alone, both exactly.
#[derive(Debug, Clone, Copy)]
pub struct Pull<'a> {
    /// One per parameter, in the order of [`Optimizer::parameters`](crate::Optimizer::parameters), of the shape and dtype of
    /// [`Parameter::weights`].
    pub anchors: &'a [Var],
    /// Which parameters take part.
    pub takes_part: &'a [bool],
    /// How far the anchor moves, in `[0, 1]`.
    pub rate: f64,
    /// Whether the weights are then set to the anchor (Lookahead) or stay (averaging).
    pub write_back: bool,
}

impl Pull<'_> {
    /// Moves the anchors in a separate pass.
    ///
    /// # Errors
    /// Candle errors.
    pub fn apply(&self, parameters: &[Parameter]) -> Result<()> {
        self.apply_where(parameters, |_| true)
    }

    /// [`apply`](Self::apply) to the parameters whose index is `wanted`.
    pub(crate) fn apply_where(&self, parameters: &[Parameter], wanted: impl Fn(usize) -> bool) -> Result<()> {
        let chosen: Vec<usize> = (0..parameters.len()).filter(|&i| self.takes_part[i] && wanted(i)).collect();
        let pairs: Vec<_> = chosen.iter().map(|&i| (parameters[i].weights(), &self.anchors[i])).collect();
        pull_pairs(&pairs, self.rate, self.write_back)?;
        if self.write_back {
            chosen.iter().try_for_each(|&i| parameters[i].publish())?;
        }
        Ok(())
    }
}

/// Tensors borrowed at once; see [`with_slices_mut`] on the depth.
pub(crate) const TENSORS_AT_ONCE: usize = 192;

/// Moves the second of each pair towards the first.
pub(crate) fn pull_pairs(pairs: &[(&Var, &Var)], rate: f64, write_back: bool) -> Result<()> {
    on_pairs(pairs, PairOp::Pull { rate, write_back })
}

/// Swaps the contents of each pair.
pub(crate) fn swap_pairs(pairs: &[(&Var, &Var)]) -> Result<()> {
    on_pairs(pairs, PairOp::Swap)
}

#[derive(Clone, Copy)]
enum PairOp {
    Pull { rate: f64, write_back: bool },
    Swap,
}

fn on_pairs(pairs: &[(&Var, &Var)], op: PairOp) -> Result<()> {
    // Without elements there is nothing to move, and candle does not lend every such tensor for writing.
    let pairs: Vec<(&Var, &Var)> = pairs.iter().copied().filter(|(a, _)| a.elem_count() > 0).collect();
    let fused = |dtype: DType| move |(a, _): &&(&Var, &Var)| a.device().is_cpu() && a.dtype() == dtype;
    on_slices::<f32>(&pairs.iter().filter(fused(DType::F32)).collect::<Vec<_>>(), op)?;
    on_slices::<f64>(&pairs.iter().filter(fused(DType::F64)).collect::<Vec<_>>(), op)?;
    let other = |(a, _): &&(&Var, &Var)| !(a.device().is_cpu() && matches!(a.dtype(), DType::F32 | DType::F64));
    pairs.iter().filter(other).try_for_each(|(a, b)| on_tensors(a, b, op))
}

fn on_slices<T: Element>(pairs: &[&(&Var, &Var)], op: PairOp) -> Result<()> {
    for batch in pairs.chunks(TENSORS_AT_ONCE / 2) {
        let tensors: Vec<&Tensor> = batch.iter().flat_map(|(a, b)| [a.as_tensor(), b.as_tensor()]).collect();
        with_slices_mut::<T, _>(&tensors, |slices| {
            let mut slices = slices.into_iter();
            let mut pairs = Vec::with_capacity(batch.len());
            while let (Some(a), Some(b)) = (slices.next(), slices.next()) {
                pairs.push(Pair { a, b });
            }
            match op {
                PairOp::Pull { rate, write_back } => kernel::pull(pairs, T::from_f64(rate), write_back),
                PairOp::Swap => kernel::swap(pairs),
            }
        })?;
    }
    Ok(())
}

/// From `anchor` towards `live` by `rate`, in the form that is exact at the nearer end of [0, 1]: the loop's formula, on tensors.
pub(crate) fn towards(anchor: &Tensor, live: &Tensor, rate: f64) -> Result<Tensor> {
    let gap = (live - anchor)?;
    Ok(if rate < 0.5 { (anchor + (gap * rate)?)? } else { (live + (gap * (rate - 1.0))?)? })
}

fn on_tensors(a: &Var, b: &Var, op: PairOp) -> Result<()> {
    let (live, anchor) = (a.as_detached_tensor(), b.as_detached_tensor());
    match op {
        PairOp::Pull { rate, write_back } => {
            let moved = towards(&anchor, &live, rate)?;
            b.set(&moved)?;
            if write_back {
                a.set(&moved)?;
            }
        }
        PairOp::Swap => {
            let before = live.copy()?;
            a.set(&anchor)?;
            b.set(&before)?;
        }
    }
    Ok(())
}
