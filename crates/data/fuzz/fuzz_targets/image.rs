//! Any bytes as an image file: an image or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = lookahead_data::Image::decode(bytes, "fuzz".as_ref());
});
