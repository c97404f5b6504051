//! From a row to its optimizer.

use candle_core::Var;
use lookahead_optim::{Averaged, Lookahead, Optimizer};

use super::moments_zeroed::MomentsZeroed;
use crate::config::{Around, Row};
use crate::error::Result;

/// The optimizer of `row` over `parameters`.
///
/// # Errors
/// Those of the optimizers' constructors.
pub fn optimizer(row: &Row, parameters: Vec<(String, Var)>) -> Result<Box<dyn Optimizer>> {
    let inner = row.inner.build(parameters)?;
    Ok(match &row.around {
        Around::Nothing => inner,
        Around::Lookahead(config) => Box::new(Lookahead::new(inner, config.clone())?),
        Around::LookaheadMomentsZeroed(config) => Box::new(MomentsZeroed::new(Lookahead::new(inner, config.clone())?)),
        Around::Average(average) => Box::new(Averaged::new(inner, *average)?),
    })
}
