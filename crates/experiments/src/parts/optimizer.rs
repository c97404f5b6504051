//! Builds the optimizer of a row.

use candle_core::Var;
use lookahead_optim::lookahead::BufferPolicy;
use lookahead_optim::{Averaged, Lookahead, LookaheadConfig, Optimizer};

use super::moments_zeroed::MomentsZeroed;
use super::schedule::Falling;
use crate::config::{Around, Row};
use crate::error::Result;

/// The optimizer of `row` over `parameters`, for a run of `steps` steps. `buffers` are the network's, for a Lookahead
/// that averages them.
///
/// # Errors
/// Errors of the optimizers' constructors.
pub fn optimizer(
    row: &Row,
    parameters: Vec<(String, Var)>,
    buffers: Vec<(String, Var)>,
    steps: usize,
) -> Result<Box<dyn Optimizer>> {
    let inner = row.inner.build(parameters)?;
    let lookahead = |inner, config: &LookaheadConfig| match config.buffer_policy {
        BufferPolicy::Average => Lookahead::with_buffers(inner, config.clone(), buffers),
        _ => Lookahead::new(inner, config.clone()),
    };
    Ok(match &row.around {
        Around::Nothing => inner,
        Around::Lookahead(config) => Box::new(lookahead(inner, config)?),
        Around::LookaheadMomentsZeroed(config) => Box::new(MomentsZeroed::new(lookahead(inner, config)?)),
        Around::LookaheadFalling(config) => {
            let slow_step_size = Falling::step_size(&config.slow_step_size, steps);
            Box::new(lookahead(inner, &LookaheadConfig { slow_step_size, ..config.clone() })?)
        }
        Around::Average(average) => Box::new(Averaged::new(inner, *average)?),
    })
}
