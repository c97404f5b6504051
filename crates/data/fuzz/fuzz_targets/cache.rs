//! Any bytes as the file of a decoded cache: the images of its source, read or decoded anew, or an error.
#![no_main]

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use lookahead_data::{Dataset, DecodedCache, ImageSize, InMemory};

/// Larger than any image of the source, so that the cache holds them as they are.
const SIDE: usize = 8;

static DIR: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

/// Three images of 4 x 3 pixels, bytes counted from 0: `seeds.py` writes the same into its file.
static SOURCE: LazyLock<Arc<dyn Dataset>> = LazyLock::new(|| {
    let classes = vec!["a".to_string(), "b".to_string()];
    Arc::new(InMemory::new("set", classes, ImageSize::new(4, 3), (0..108).collect(), vec![1, 0, 1]).expect("a set"))
});

static PATH: LazyLock<PathBuf> = LazyLock::new(|| open().expect("a first cache").path().to_path_buf());

fn open() -> lookahead_data::Result<DecodedCache> {
    DecodedCache::open(Arc::clone(&SOURCE), DIR.path(), SIDE, &mut |_, _| ControlFlow::Continue(()))
}

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(&*PATH, bytes).expect("room for a file");
    let cache = open().expect("a cache, read or written anew");
    for index in 0..cache.len() {
        let _ = cache.get(index);
    }
});
