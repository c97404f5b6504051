//! What cuDNN proposes and which of it runs, on stderr, if `LOOKAHEAD_KERNELS_TRACE` is 1.

use std::sync::OnceLock;

use crate::cuda::stream::{Convolution, Direction};

/// Whether the environment asks for it; read once.
fn on() -> bool {
    static ON: OnceLock<bool> = OnceLock::new();
    *ON.get_or_init(|| std::env::var_os("LOOKAHEAD_KERNELS_TRACE").is_some_and(|value| value == "1"))
}

/// Writes one line.
pub(super) fn say(line: impl FnOnce() -> String) {
    if on() {
        eprintln!("lookahead-kernels trace: {}", line());
    }
}

/// A convolution and a direction in a few words.
pub(super) fn described(of: &Convolution, direction: Direction) -> String {
    let shape = &of.shape;
    let ((height, width), (rows, columns)) = (shape.input, shape.output);
    let (kernel_height, kernel_width) = shape.window.kernel;
    format!(
        "{direction:?} of {}x{height}x{width}x{} to {rows}x{columns}x{}, {kernel_height}x{kernel_width}, stride {}, padding {}, \
         dilation {}, groups {}, {:?} {:?}",
        shape.batch,
        shape.channels_in,
        shape.channels_out,
        shape.window.stride,
        shape.window.padding,
        shape.window.dilation,
        shape.groups,
        of.element,
        of.order,
    )
}
