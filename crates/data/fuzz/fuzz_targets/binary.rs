//! Any bytes as CIFAR's binary files.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lookahead_data::{CifarLabels, cifar100};

static DIR: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

fuzz_target!(|bytes: &[u8]| {
    for part in ["train.bin", "test.bin"] {
        std::fs::write(DIR.path().join(part), bytes).expect("room for a file");
    }
    for labels in [CifarLabels::Fine, CifarLabels::Coarse] {
        let _ = cifar100(DIR.path(), labels);
    }
});
