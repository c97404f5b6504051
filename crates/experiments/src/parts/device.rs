//! Opens a device by its name.

use candle_core::Device;

use crate::error::{Error, Result};

/// Opens a device by its name: `cpu`, `cuda`, `cuda:N`, `metal`, `metal:N`, or `auto`, the first of CUDA, Metal and CPU
/// that this build and this machine have. Also returns the resolved name.
///
/// # Errors
/// [`Error::Device`] for an unknown name, and for a device that the build or the machine lacks.
///
/// ```
/// let (device, name) = lookahead_experiments::open_device("cpu")?;
/// assert!(device.is_cpu());
/// assert_eq!(name, "cpu");
/// assert!(lookahead_experiments::open_device("gpu").is_err());
/// # Ok::<(), lookahead_experiments::Error>(())
/// ```
pub fn open_device(name: &str) -> Result<(Device, String)> {
    let failed = |reason: String| Error::Device { device: name.to_owned(), reason };
    let (kind, index) = match name.split_once(':') {
        Some((kind, index)) => {
            let index = index.parse::<usize>().map_err(|_| failed(format!("`{index}` is not a device number")))?;
            (kind, index)
        }
        None => (name, 0),
    };
    match kind {
        "cpu" if !name.contains(':') => Ok((Device::Cpu, "cpu".to_owned())),
        "auto" if !name.contains(':') => Ok(first_there_is()),
        "cuda" => {
            let device = open_cuda(index).map_err(failed)?;
            Ok((device, format!("cuda:{index}")))
        }
        "metal" => {
            if !candle_core::utils::metal_is_available() {
                return Err(failed("this build has no Metal support; use --device cpu".to_owned()));
            }
            // candle panics if no device has this number.
            let opened = std::panic::catch_unwind(|| Device::new_metal(index));
            let opened = opened.map_err(|_| failed(format!("this machine has no Metal device {index}")))?;
            let device = opened.map_err(|error| failed(first_line(&error)))?;
            Ok((device, format!("metal:{index}")))
        }
        _ => Err(failed("unknown device; expected auto, cpu, cuda, cuda:N, metal or metal:N".to_owned())),
    }
}

#[cfg(feature = "cuda")]
fn open_cuda(index: usize) -> std::result::Result<Device, String> {
    lookahead_kernels::cuda_device(index).map_err(|error| first_line(&error.into()))
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(_index: usize) -> std::result::Result<Device, String> {
    Err("this build has no CUDA support; use --device cpu".to_owned())
}

fn first_there_is() -> (Device, String) {
    for (there, name) in
        [(candle_core::utils::cuda_is_available(), "cuda"), (candle_core::utils::metal_is_available(), "metal")]
    {
        if there && let Ok(found) = open_device(name) {
            return found;
        }
    }
    (Device::Cpu, "cpu".to_owned())
}

fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
