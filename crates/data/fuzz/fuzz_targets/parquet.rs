//! Any bytes as the hub's parquet files.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static DIR: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    // The parquet crate's own panics are caught by the reader; the fuzzer's hook would end the process before that.
    std::panic::set_hook(Box::new(|_| {}));
    tempfile::tempdir().expect("a folder")
});

fuzz_target!(|bytes: &[u8]| {
    for part in ["train.parquet", "test.parquet"] {
        std::fs::write(DIR.path().join(part), bytes).expect("room for a file");
    }
    let _ = lookahead_data::cifar10(DIR.path());
});
