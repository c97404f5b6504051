//! What to do about an error, in terms of the programs' flags.

use lookahead_data::Error as DataError;
use lookahead_runs::Error as RunsError;

use super::Error;
use super::status::is_full;

impl Error {
    /// This error of the program `program`, such as `sweep`, which has no flag `--fresh` that a hint could name.
    ///
    /// ```
    /// use lookahead_experiments::Error;
    /// let error = Error::Interrupted { run: "sgd-s1".into(), step: 7 };
    /// assert_eq!(error.without_fresh("sweep").to_string(), "sweep was interrupted: run the same command to resume");
    /// ```
    #[must_use]
    pub fn without_fresh(self, program: &str) -> Self {
        match self {
            Self::Runs(error) => Self::RunFolder(error),
            Self::Interrupted { .. } | Self::Stopped { .. } => {
                Self::Stopped { what: program.to_owned(), remedy: "run the same command to resume" }
            }
            other => other,
        }
    }

    /// Turns a GPU driver's out-of-memory error, as candle reports it, into [`Error::OutOfMemory`], whose hint names the
    /// program's flag `flag` for the batch size; keeps other errors.
    ///
    /// ```
    /// use lookahead_experiments::Error;
    ///
    /// let driver = candle_core::Error::Msg("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")".into());
    /// let error = Error::from(driver).for_batch("cuda:0", 512, "--batch-size");
    /// assert!(error.to_string().ends_with("try --batch-size 256"));
    /// let other = Error::from(candle_core::Error::Msg("a fault".into())).for_batch("cuda:0", 512, "--batch-size");
    /// assert_eq!(other.to_string(), "a fault");
    /// ```
    #[must_use]
    pub fn for_batch(self, device: &str, batch_size: usize, flag: &str) -> Self {
        let text = self.to_string();
        // candle passes the errors of the driver, cuBLAS and cuDNN on as text.
        if !["OUT_OF_MEMORY", "ALLOC_FAILED", "ALLOCATION_FAILED"].iter().any(|name| text.contains(name)) {
            return self;
        }
        let hint = match batch_size / 2 {
            0 => "try a smaller model".to_owned(),
            half => format!("try {flag} {half}"),
        };
        let reason = text.lines().next().unwrap_or_default().to_owned();
        Self::OutOfMemory { device: device.to_owned(), batch_size, reason, hint }
    }
}

/// A hint for an error of the data, in terms of the programs' flags.
pub(super) fn data_hint(error: &DataError) -> String {
    match error {
        DataError::Missing { name, .. } if is_published(name) => {
            format!(
                "; download it with `just data {}`, or set --data or LOOKAHEAD_DATA to the folder that contains it",
                name.trim_end_matches("-coarse")
            )
        }
        DataError::Unpublished { name } if name == "imagenet" => {
            "; an account at image-net.org or kaggle.com is needed for ImageNet, see docs/IMAGENET.md".to_owned()
        }
        DataError::Missing { .. } | DataError::Occupied { .. } => {
            "; set --data or LOOKAHEAD_DATA to the folder that contains the data set".to_owned()
        }
        DataError::Io { source, .. } if is_full(source) => {
            "; free some space and run the same command to resume, or choose another folder with --cache".to_owned()
        }
        DataError::Broken { .. } => "; `just data --check DIR` lists all that are broken".to_owned(),
        DataError::Sample { source, .. } => data_hint(source),
        DataError::Crop { .. } => "; `--print-config` shows the crop under `data.train` and `data.valid`".to_owned(),
        _ => String::new(),
    }
}

fn is_published(name: &str) -> bool {
    // The list of the data crate is not part of a build without downloads.
    let images = ["cifar10", "cifar100", "cifar100-coarse", "imagenette2-160", "imagenette2-320", "imagenette2"];
    images.contains(&name) || name == "ptb"
}

/// A hint for an error of a run folder, in terms of the programs' flags.
pub(super) fn hint_for(error: &RunsError) -> &'static str {
    match error {
        RunsError::Locked { .. } => "; wait until it is free, or give another --out",
        RunsError::ConfigChanged { .. } | RunsError::OtherVersion { .. } => {
            "; give another --out, or --fresh to discard the old run"
        }
        RunsError::Damaged { .. } => "; --fresh starts the run over",
        RunsError::DataChanged { .. } => "; restore the data, or give --fresh to start over",
        error if error.is_out_of_room() => {
            "; free some space, then run the same command without --fresh to resume from the last checkpoint"
        }
        _ => "",
    }
}

/// The same for a program without the flag `--fresh`.
pub(super) fn hint_without_fresh(error: &RunsError) -> &'static str {
    match error {
        RunsError::ConfigChanged { .. } | RunsError::OtherVersion { .. } => {
            "; give another --out, or delete the folder to discard the old run"
        }
        RunsError::Damaged { .. } => "; delete the run's folder to start it over",
        RunsError::DataChanged { .. } => "; restore the data, or delete the folder to start over",
        error if error.is_out_of_room() => {
            "; free some space, then run the same command to resume from the last checkpoint"
        }
        error => hint_for(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_hint_names_a_flag_that_the_program_lacks() {
        let errors: [fn() -> RunsError; 5] = [
            || RunsError::ConfigChanged { path: "a".into(), key: "b".into(), was: "1".into(), now: "2".into() },
            || RunsError::OtherVersion { path: "a".into(), version: "0.1".into() },
            || RunsError::Damaged { path: "a".into(), reason: "it is cut short".into() },
            || RunsError::DataChanged { path: "a".into(), was: "1".into(), now: "2".into() },
            || RunsError::output("write", "a".as_ref())(std::io::ErrorKind::StorageFull.into()),
        ];
        for of in errors {
            let (with, without) = (Error::Runs(of()), Error::Runs(of()).without_fresh("sweep"));
            assert!(with.to_string().contains("--fresh") && !without.to_string().contains("--fresh"), "{without}");
            assert_eq!(with.exit_status(), without.exit_status());
        }
    }
}
