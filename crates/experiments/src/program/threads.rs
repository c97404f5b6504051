//! Threads of the host.

use crate::config::ConfigError;

/// Maximum number of threads, and of processes: starting more, after a typing error, would end the program.
pub(super) const MOST_THREADS: usize = 4096;

/// Sets the size of the thread pool, once and before anything uses it.
///
/// # Errors
/// [`ConfigError::OutOfRange`] for 0 and for more than [`MOST_THREADS`].
pub(super) fn set_threads(threads: Option<usize>) -> Result<(), ConfigError> {
    let Some(threads) = threads else { return Ok(()) };
    check("--threads", threads)?;
    // This fails only if a test shares its process with another; results do not depend on the pool.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    Ok(())
}

/// Checks the number that the flag `key` gives for threads or processes.
///
/// # Errors
/// As [`set_threads`].
pub(super) fn check(key: &str, number: usize) -> Result<(), ConfigError> {
    let rule = match number {
        0 => "1 or more".to_owned(),
        1..=MOST_THREADS => return Ok(()),
        _ => format!("at most {MOST_THREADS}"),
    };
    Err(ConfigError::OutOfRange { key: key.to_owned(), rule: rule.into(), value: number.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_would_end_the_program_is_refused() {
        let refused = |number| check("--jobs", number).unwrap_err().to_string();
        assert_eq!(refused(0), "`--jobs` must be 1 or more, but is 0");
        assert_eq!(refused(4097), "`--jobs` must be at most 4096, but is 4097");
        assert!(check("--jobs", 1).is_ok() && check("--jobs", MOST_THREADS).is_ok() && set_threads(None).is_ok());
        assert_eq!(
            set_threads(Some(100_000)).unwrap_err().to_string(),
            "`--threads` must be at most 4096, but is 100000"
        );
    }
}
