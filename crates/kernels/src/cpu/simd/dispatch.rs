//! Compiles a kernel body for each instruction set and selects one at run time.

/// Defines `unsafe fn $name(set, ..)`, which runs the generic body `$body` compiled for the instruction set `set`;
/// `$name<S>` is generic over how activations are stored.
///
/// Safe to call if the body's own contract holds: sets beyond the portable one are only ever chosen after detection.
macro_rules! dispatch {
    ($(#[$meta:meta])* $vis:vis fn $name:ident$(<$stored:ident>)?($($arg:ident: $type:ty),* $(,)?) = $body:ident) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "private, and what a kernel needs")]
        $vis unsafe fn $name$(<$stored: $crate::cpu::simd::Stored>)?(set: $crate::InstructionSet, $($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx2,fma")]
                unsafe fn avx512$(<$stored: $crate::cpu::simd::Stored>)?($($arg: $type),*) {
                    // SAFETY: the caller's contract; this function is compiled with the instructions of the type.
                    unsafe { $body::<$crate::cpu::simd::Lanes16 $(, $stored)?>($($arg),*) }
                }
                #[target_feature(enable = "avx2,fma")]
                unsafe fn avx2$(<$stored: $crate::cpu::simd::Stored>)?($($arg: $type),*) {
                    // SAFETY: as above.
                    unsafe { $body::<$crate::cpu::simd::Lanes8 $(, $stored)?>($($arg),*) }
                }
                match set {
                    // SAFETY: a set is only chosen on a processor that has it; the rest is the caller's contract.
                    $crate::InstructionSet::Avx512 => return unsafe { avx512$(::<$stored>)?($($arg),*) },
                    // SAFETY: as above.
                    $crate::InstructionSet::Avx2 => return unsafe { avx2$(::<$stored>)?($($arg),*) },
                    _ => {}
                }
            }
            #[cfg(target_arch = "aarch64")]
            if set == $crate::InstructionSet::Neon {
                // SAFETY: every processor of the architecture has the instructions; the rest is the caller's contract.
                return unsafe { $body::<$crate::cpu::simd::Lanes8Neon $(, $stored)?>($($arg),*) };
            }
            let _ = set;
            // SAFETY: arrays need no special instructions; the rest is the caller's contract.
            unsafe { $body::<$crate::cpu::simd::Array8 $(, $stored)?>($($arg),*) }
        }
    };
}
pub(crate) use dispatch;

/// Lanes of the widest vector a set works with.
pub(crate) fn lanes(set: crate::InstructionSet) -> usize {
    if set == crate::InstructionSet::Avx512 { 16 } else { 8 }
}

/// Vectors in the panel that starts at channel `k` of `channels`: two, or one at the end.
#[inline(always)]
pub(crate) fn panel_vectors(lanes: usize, channels: usize, k: usize) -> usize {
    if channels - k > lanes { 2 } else { 1 }
}
