//! The `env.json` of our programs.

use std::path::Path;

use lookahead_runs::Environment;

use crate::error::Result;

/// The version of candle that the workspace pins.
const CANDLE: &str = "0.11.1";

/// The environment of runs on `device` with `threads` host threads: versions, machine, kernels.
///
/// # Errors
/// [`Error::Kernels`](crate::Error::Kernels) if an environment variable selects unknown kernels.
pub fn environment(device: &str, threads: usize) -> Result<Environment> {
    Ok(Environment {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        candle: CANDLE.to_owned(),
        threads,
        device: device.to_owned(),
        kernels: kernels()?,
        ..Environment::here(Path::new(env!("CARGO_MANIFEST_DIR")))
    })
}

/// The instruction set and convolution algorithm of the CPU kernels, by the names that select them: `avx512 winograd4`.
///
/// # Errors
/// As [`environment`].
pub(crate) fn kernels() -> Result<String> {
    Ok(format!("{} {}", lookahead_kernels::instruction_set()?, lookahead_kernels::conv_algorithm()?))
}
