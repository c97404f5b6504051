//! A second copy of the weights: Lookahead's slow weights, and averages.

use crate::parameter::Parameter;
use crate::pull::{Pull, swap_pairs};
use crate::{Result, State};
use candle_core::Var;
use candle_core::backprop::GradStore;

/// One tensor per parameter, of the shape and dtype of [`Parameter::weights`], equal to them at first.
///
/// The tensors own their storage and carry no graph: `Var::from_tensor` copies a tensor that is not a variable, and a detached tensor is
/// not.
#[derive(Debug)]
pub(crate) struct Shadow {
    /// The name in saved state.
    name: &'static str,
    pub(crate) values: Vec<Var>,
    /// Which parameters had a gradient since the two were last equal. The others are still equal and are skipped.
    moved: Vec<bool>,
    /// Which parameters ever had a gradient, so that nobody but the optimizer changes them. The others may be running statistics listed by
    /// mistake, which change all the time.
    trained: Vec<bool>,
}

impl Shadow {
    pub(crate) fn new(name: &'static str, parameters: &[Parameter]) -> Result<Self> {
        let copy = |p: &Parameter| Ok(Var::from_tensor(&p.weights().as_detached_tensor())?);
        let values = parameters.iter().map(copy).collect::<Result<Vec<_>>>()?;
        let (moved, trained) = (vec![false; values.len()], vec![false; values.len()]);
        Ok(Self { name, values, moved, trained })
    }

    /// `moved` after a step with these gradients.
    ///
    /// # Errors
    /// [`Error::WeightsChanged`](crate::Error::WeightsChanged): a pull would mix one of them with the weights before the change, whether it
    /// has a gradient in this step or had one in an earlier step.
    pub(crate) fn moved_by(&self, grads: &GradStore, parameters: &[Parameter]) -> Result<Vec<bool>> {
        let has_moved = |(moved, p): (&bool, &Parameter)| *moved || grads.get(p.var()).is_some();
        let moved: Vec<bool> = self.moved.iter().zip(parameters).map(has_moved).collect();
        chosen(parameters, &moved).try_for_each(Parameter::check_unchanged)?;
        Ok(moved)
    }

    /// Records a step after which the parameters in `moved` differ from the copy, unless a pull made them `equal` to it again.
    pub(crate) fn stepped(&mut self, parameters: &[Parameter], moved: Vec<bool>, equal: bool) {
        // The others are not looked at: a change of theirs is still to be noticed.
        chosen(parameters, &moved).for_each(Parameter::look);
        self.trained.iter_mut().zip(&moved).for_each(|(trained, moved)| *trained |= moved);
        self.moved = if equal { vec![false; moved.len()] } else { moved };
    }

    /// Checks the parameters that were trained; before the first step, all.
    ///
    /// # Errors
    /// [`Error::WeightsChanged`](crate::Error::WeightsChanged): the copy belongs to other weights than those in the variables.
    pub(crate) fn check_unchanged(&self, parameters: &[Parameter]) -> Result<()> {
        if self.trained.contains(&true) {
            return chosen(parameters, &self.trained).try_for_each(Parameter::check_unchanged);
        }
        parameters.iter().try_for_each(Parameter::check_unchanged)
    }

    /// A pull towards the weights, for the parameters in `moved`.
    pub(crate) fn pull<'a>(&'a self, moved: &'a [bool], rate: f64, write_back: bool) -> Pull<'a> {
        Pull { anchors: &self.values, takes_part: moved, rate, write_back }
    }

    /// Swaps weights and copy.
    pub(crate) fn swap(&self, parameters: &[Parameter]) -> Result<()> {
        let moved: Vec<usize> = (0..parameters.len()).filter(|&i| self.moved[i]).collect();
        swap_pairs(&moved.iter().map(|&i| (parameters[i].weights(), &self.values[i])).collect::<Vec<_>>())?;
        moved.iter().try_for_each(|&i| parameters[i].publish())
    }

    /// Records that the weights were adjusted by hand and so may differ from the copy, also right after a sync. Running statistics listed
    /// by mistake stay out.
    pub(crate) fn adjusted(&mut self) {
        self.moved.iter_mut().zip(&self.trained).for_each(|(moved, trained)| *moved |= trained);
    }

    /// Makes the copy equal to the weights again.
    pub(crate) fn restart(&mut self, parameters: &[Parameter]) -> Result<()> {
        for (parameter, value) in parameters.iter().zip(&self.values) {
            value.set(&parameter.weights().as_detached_tensor())?;
        }
        self.moved.fill(false);
        Ok(())
    }

    pub(crate) fn save(&self, parameters: &[Parameter], state: &mut State) -> Result<()> {
        for ((parameter, value), moved) in parameters.iter().zip(&self.values).zip(&self.moved) {
            state.insert(format!("{}.{}", self.name, parameter.name()), value)?;
            state.count(format!("moved.{}", parameter.name()), moved);
        }
        Ok(())
    }

    /// Reads what [`save`](Self::save) wrote into a new copy: nothing changes if something is missing.
    pub(crate) fn saved(&self, parameters: &[Parameter], state: &State) -> Result<Self> {
        let mut saved = Self { name: self.name, values: Vec::new(), moved: Vec::new(), trained: self.trained.clone() };
        for (parameter, value) in parameters.iter().zip(&self.values) {
            let tensor = state.tensor(&format!("{}.{}", self.name, parameter.name()))?;
            saved.values.push(Var::from_tensor(&tensor.to_device(value.device())?.detach())?);
            saved.moved.push(state.counter(&format!("moved.{}", parameter.name()))?);
        }
        saved.trained.iter_mut().zip(&saved.moved).for_each(|(trained, moved)| *trained |= moved);
        Ok(saved)
    }
}

/// The parameters whose flag is set.
fn chosen<'a>(parameters: &'a [Parameter], flags: &'a [bool]) -> impl Iterator<Item = &'a Parameter> {
    parameters.iter().zip(flags).filter(|(_, flag)| **flag).map(|(parameter, _)| parameter)
}
