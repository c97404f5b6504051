//! Checks that the loader finds CUDA's shared libraries.

use crate::{Error, Result};

/// A library's name without prefix and suffix, and where it comes from.
type Library = (&'static str, &'static str);

/// Libraries that any device needs.
const FOR_A_DEVICE: [Library; 5] = [
    ("cuda", "it is part of the NVIDIA driver"),
    ("cublas", TOOLKIT),
    ("cublasLt", TOOLKIT),
    ("curand", TOOLKIT),
    ("nvrtc", TOOLKIT),
];

/// Libraries that convolutions need.
const FOR_CONVOLUTIONS: [Library; 1] = [("cudnn", "it is cuDNN 9; put its folder into LD_LIBRARY_PATH")];

const TOOLKIT: &str = "it is part of the CUDA toolkit; put its folder into LD_LIBRARY_PATH";

/// The suffixes under which cudarc looks, in its order.
const VERSIONS: [&str; 7] = ["", ".13", ".12", ".11", ".10", ".9", ".1"];

/// Fails without the libraries that any device needs.
pub(super) fn require_device() -> Result<()> {
    FOR_A_DEVICE.into_iter().chain(FOR_CONVOLUTIONS).try_for_each(require)
}

/// Fails without cuDNN, for a device that was not opened by this crate.
pub(super) fn require_cudnn() -> Result<()> {
    FOR_CONVOLUTIONS.into_iter().try_for_each(require)
}

/// Fails without the run-time compiler, likewise.
pub(super) fn require_compiler() -> Result<()> {
    FOR_A_DEVICE.into_iter().filter(|(name, _)| *name == "nvrtc").try_for_each(require)
}

/// With libraries loaded at run time, a missing one would be a panic, so they are tried first.
fn require((name, origin): Library) -> Result<()> {
    if is_there(name) { Ok(()) } else { Err(Error::Library { library: format!("lib{name}.so"), origin }) }
}

#[cfg(target_os = "linux")]
fn is_there(name: &str) -> bool {
    VERSIONS.iter().any(|version| {
        std::ffi::CString::new(format!("lib{name}.so{version}")).is_ok_and(|path| {
            // SAFETY: a C string; the constructors of NVIDIA's libraries may run, as they will anyway. The handle is left open.
            let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_LAZY) };
            !handle.is_null()
        })
    })
}

/// On other systems there is no cheap check; the loader reports a missing library.
#[cfg(not(target_os = "linux"))]
fn is_there(_name: &str) -> bool {
    true
}
