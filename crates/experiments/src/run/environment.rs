//! `env.json` of our programs.

use std::path::Path;

use lookahead_runs::Environment;

use crate::error::Result;

/// The version of candle that the workspace pins.
const CANDLE: &str = "0.11.1";

/// What runs on `device` with `threads` host threads are made with and on.
///
/// # Errors
/// [`Error::Kernels`](crate::Error::Kernels) where an environment variable asks for kernels that there are not.
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

/// Instructions and convolutions of the CPU's kernels, in the words that choose them: `avx512 winograd4`.
///
/// # Errors
/// As [`environment`].
pub(crate) fn kernels() -> Result<String> {
    Ok(format!("{} {}", lookahead_kernels::instruction_set()?, lookahead_kernels::conv_algorithm()?))
}
