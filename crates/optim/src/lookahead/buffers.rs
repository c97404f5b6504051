//! Running statistics of batch norm, and their slow copies.

use super::BufferPolicy;
use crate::parameter::Parameter;
use crate::pull::{pull_pairs, swap_pairs};
use crate::{Error, Result, State};
use candle_core::Var;
use std::collections::HashMap;

/// The buffers passed to Lookahead, sorted by name.
#[derive(Debug)]
pub(super) struct Buffers(Vec<Buffer>);

#[derive(Debug)]
struct Buffer {
    name: String,
    var: Var,
    slow: Var,
}

impl Buffers {
    pub(super) fn new(mut named: Vec<(String, Var)>, parameters: &[Parameter]) -> Result<Self> {
        named.sort_by(|a, b| a.0.cmp(&b.0));
        if let Some(pair) = named.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::DuplicateName { name: pair[0].0.clone() });
        }
        let mut seen: HashMap<_, _> = parameters.iter().map(|p| (p.var().id(), p.name())).collect();
        for (name, var) in &named {
            if let Some(first) = seen.insert(var.id(), name) {
                return Err(Error::SameVariable { first: first.to_string(), second: name.clone() });
            }
        }
        let buffer =
            |(name, var): (String, Var)| Ok(Buffer { name, slow: Var::from_tensor(&var.as_detached_tensor())?, var });
        named.into_iter().map(buffer).collect::<Result<_>>().map(Self)
    }

    pub(super) fn vars(&self) -> Vec<Var> {
        self.0.iter().map(|b| b.var.clone()).collect()
    }

    /// Pulls buffers as a sync pulls weights: `slow <- slow + rate * (live - slow)` and, with `write_back`, `live <- slow`.
    pub(super) fn pull(&self, rate: f64, write_back: bool) -> Result<()> {
        pull_pairs(&self.pairs(), rate, write_back)
    }

    pub(super) fn swap(&self) -> Result<()> {
        swap_pairs(&self.pairs())
    }

    pub(super) fn restart(&self) -> Result<()> {
        self.0.iter().try_for_each(|b| Ok(b.slow.set(&b.var.as_detached_tensor())?))
    }

    pub(super) fn save(&self, policy: BufferPolicy, state: &mut State) -> Result<()> {
        for buffer in &self.0 {
            state.settings_mut().set(format!("buffer.{}", buffer.name), format!("{:?}", buffer.var.dims()));
            if policy == BufferPolicy::Average {
                state.insert(format!("slow_buffer.{}", buffer.name), &buffer.slow)?;
            }
        }
        Ok(())
    }

    pub(super) fn load(&self, state: &State) -> Result<()> {
        for buffer in &self.0 {
            let saved = state.tensor(&format!("slow_buffer.{}", buffer.name))?;
            buffer.slow.set(&saved.to_device(buffer.slow.device())?)?;
        }
        Ok(())
    }

    fn pairs(&self) -> Vec<(&Var, &Var)> {
        self.0.iter().map(|b| (&b.var, &b.slow)).collect()
    }
}
