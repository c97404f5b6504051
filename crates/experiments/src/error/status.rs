//! The exit status of a program that ends with an error.

use lookahead_data::Error as DataError;
use lookahead_runs::Error as RunsError;

use super::Error;

impl Error {
    /// The exit status of a program that ends with this error.
    ///
    /// | status | meaning |
    /// | --- | --- |
    /// | 1 | a fault of the program or its libraries; cells of a sweep that failed or are left |
    /// | 2 | bad usage or configuration, output that cannot be written to the given place |
    /// | 3 | data missing or damaged |
    /// | 4 | training diverged |
    /// | 5 | the disk is full |
    /// | 130 | interrupted, resumable |
    ///
    /// ```
    /// use lookahead_experiments::Error;
    /// assert_eq!(Error::Interrupted { run: "sgd-s1".into(), step: 7 }.exit_status(), 130);
    /// ```
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Study(_)
            | Self::Submit { .. }
            | Self::SweepFirst { .. }
            | Self::AllDiverged { .. }
            | Self::Kernels(
                lookahead_kernels::Error::Environment { .. } | lookahead_kernels::Error::InstructionSet(_),
            )
            | Self::Device { .. }
            | Self::OutOfMemory { .. } => 2,
            Self::Runs(RunsError::Damaged { .. } | RunsError::DataChanged { .. })
            | Self::RunFolder(RunsError::Damaged { .. } | RunsError::DataChanged { .. })
            | Self::DifferentData { .. }
            | Self::DataMissing { .. }
            | Self::BrokenImages { .. } => 3,
            Self::Runs(error) | Self::RunFolder(error) if error.is_out_of_room() => 5,
            Self::NoRoom { .. } => 5,
            Self::Runs(_) | Self::RunFolder(_) => 2,
            Self::Data(error) => data_status(error),
            Self::Part { status, .. } => *status,
            Self::NotFinite { .. } | Self::Diverged { .. } => 4,
            Self::Interrupted { .. } | Self::Stopped { .. } => 130,
            Self::CellsFailed { .. }
            | Self::CellsLeft { .. }
            | Self::TestTooEarly { .. }
            | Self::NoTest
            | Self::EndOfData { .. }
            | Self::Kernels(_)
            | Self::Optim(_)
            | Self::Model(_)
            | Self::Candle(_) => 1,
        }
    }
}

/// 2 for an invalid setting, 3 for data that are missing or damaged, 1 for all other errors.
fn data_status(error: &DataError) -> u8 {
    match error {
        DataError::Name { .. }
        | DataError::Unpublished { .. }
        | DataError::Setting { .. }
        | DataError::HeldOut { .. }
        | DataError::Index { .. }
        | DataError::Crop { .. }
        | DataError::Pixels { .. } => 2,
        DataError::Sample { source, .. } => data_status(source),
        DataError::Io { source, .. } if is_full(source) => 5,
        DataError::Own { .. } | DataError::Loader { .. } | DataError::Candle(_) => 1,
        DataError::Stopped { .. } => 130,
        _ => 3,
    }
}

/// Whether the disk, or the user's share of it, is full.
pub(super) fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}
