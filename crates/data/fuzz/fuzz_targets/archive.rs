//! Any bytes as a tar archive: nothing may be written outside the folder.
#![no_main]

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let dir = tempfile::tempdir().expect("a folder");
    let (archive, root) = (dir.path().join("a.tgz"), dir.path().join("root"));
    // The first byte says whether the rest is compressed already or is the tar file to compress.
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let packed = if first % 2 == 0 {
        rest.to_vec()
    } else {
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        gz.write_all(rest).and_then(|()| gz.finish()).expect("memory")
    };
    std::fs::write(&archive, packed).expect("room for a file");
    let _ = lookahead_data::unpack_archive("set", &archive, &root, &mut |_| {});
    let beside = std::fs::read_dir(dir.path()).expect("a folder").count();
    assert!(beside <= 2, "something was written outside the folder");
});
