//! The tensors of a checkpoint: fast weights, buffers, and the optimizer's state with slow weights and counters.

use candle_core::{Tensor, Var};
use lookahead_optim::{Error as OptimError, Optimizer};
use lookahead_runs::{Checkpoints, Error as RunsError, Position};

use crate::error::Result;

/// Loads the newest intact checkpoint into `optimizer` and `buffers`. Returns the run's position (the start if there is
/// no checkpoint) and, if the latest checkpoint was damaged, a note for the user.
///
/// # Errors
/// Errors of [`Checkpoints::newest`]; the state of another optimizer.
pub(crate) fn resume(
    checkpoints: &Checkpoints,
    optimizer: &mut dyn Optimizer,
    buffers: &[(String, Var)],
) -> Result<(Position, Option<String>)> {
    let Some(found) = checkpoints.newest()? else { return Ok((Position::default(), None)) };
    lookahead_optim::load_checkpoint(&found.tensors, optimizer, buffers)?;
    Ok((found.position, found.notice))
}

/// Saves the run as its latest checkpoint.
///
/// # Errors
/// Write errors.
pub(crate) fn save(
    checkpoints: &Checkpoints,
    optimizer: &dyn Optimizer,
    buffers: &[(String, Var)],
    position: &Position,
) -> Result<()> {
    checkpoints.save(position, |path| {
        lookahead_optim::save_checkpoint(path, optimizer, buffers, &[]).map_err(|error| match error {
            OptimError::Io { path, source } => RunsError::output("write", &path)(source),
            other => RunsError::output("write", path)(std::io::Error::other(other)),
        })
    })?;
    Ok(())
}

/// Saves evaluation weights and buffers as `<name>.safetensors`, under torchvision's names.
///
/// # Errors
/// Write errors.
pub(crate) fn save_weights(checkpoints: &Checkpoints, name: &str, tensors: &[(String, Tensor)]) -> Result<()> {
    let named = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
    let bytes = safetensors::serialize(named, None).map_err(candle_core::Error::wrap)?;
    Ok(checkpoints.save_weights(name, &bytes)?)
}
