//! NVIDIA's run-time compiler, if installed, accepts the source of generated kernels.

use std::ffi::{CStr, CString, c_char, c_int, c_void};

use super::Odd;
use crate::cuda::formula::record;
use crate::cuda::source::source;
use crate::rule::{Clock, Rule, Scales};
use crate::{AdamWConfig, LionConfig, SgdConfig};

#[test]
fn generated_kernels_compile_for_ampere_and_hopper() {
    let Some(compile) = run_time_compiler() else {
        eprintln!("skipped: no libnvrtc on the loader's path (LD_LIBRARY_PATH), so no generated kernel was compiled");
        return;
    };
    let scales = Scales { learning_rate: 1.0, weight_decay: 1.0 };
    let adam = AdamWConfig { amsgrad: true, ..AdamWConfig::default() };
    let texts = [
        source(&record::<SgdConfig, 0>(&SgdConfig::default().update(&Clock::FRESH, scales)).0),
        source(&record::<AdamWConfig, 3>(&adam.update(&Clock::FRESH, scales)).0),
        source(&record::<Odd, 3>(&0.1).0),
        source(&record::<LionConfig, 1>(&LionConfig::default().update(&Clock::FRESH, scales)).0),
    ];
    for text in texts {
        for architecture in ["sm_80", "sm_90"] {
            assert_eq!(compile(&text, architecture), Ok(()), "{architecture}: {text}");
        }
    }
    assert!(compile("__global__ void broken() { nonsense }", "sm_80").is_err());
}

/// A function that compiles source for an architecture, if the library is installed.
fn run_time_compiler() -> Option<impl Fn(&str, &str) -> std::result::Result<(), String>> {
    // SAFETY: C strings; the library's constructors are NVIDIA's.
    let open = |name: &CStr| unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
    let names = [c"libnvrtc.so", c"libnvrtc.so.13", c"libnvrtc.so.12"];
    let library = names.into_iter().map(open).find(|library| !library.is_null())? as usize;
    type Create = unsafe extern "C" fn(
        *mut *mut c_void,
        *const c_char,
        *const c_char,
        c_int,
        *const c_void,
        *const c_void,
    ) -> c_int;
    type Compile = unsafe extern "C" fn(*mut c_void, c_int, *const *const c_char) -> c_int;
    type Size = unsafe extern "C" fn(*mut c_void, *mut usize) -> c_int;
    type Log = unsafe extern "C" fn(*mut c_void, *mut c_char) -> c_int;
    Some(move |text: &str, architecture: &str| {
        let text = CString::new(text).unwrap();
        let options =
            [format!("--gpu-architecture={architecture}"), "--fmad=false".into()].map(|o| CString::new(o).unwrap());
        let options = [options[0].as_ptr(), options[1].as_ptr()];
        let symbol = |name: &CStr| {
            // SAFETY: an open library and a C string.
            let address = unsafe { libc::dlsym(library as *mut c_void, name.as_ptr()) };
            assert!(!address.is_null(), "libnvrtc has no {name:?}");
            address
        };
        let mut program = std::ptr::null_mut();
        let none = std::ptr::null();
        // SAFETY: the types are nvrtc.h's for these names; strings live until the end; the log has the requested size.
        unsafe {
            let create: Create = std::mem::transmute::<*mut c_void, Create>(symbol(c"nvrtcCreateProgram"));
            let compile: Compile = std::mem::transmute::<*mut c_void, Compile>(symbol(c"nvrtcCompileProgram"));
            let log_size: Size = std::mem::transmute::<*mut c_void, Size>(symbol(c"nvrtcGetProgramLogSize"));
            let get_log: Log = std::mem::transmute::<*mut c_void, Log>(symbol(c"nvrtcGetProgramLog"));
            assert_eq!(create(&mut program, text.as_ptr(), std::ptr::null(), 0, none, none), 0);
            let status = compile(program, 2, options.as_ptr());
            let mut size = 0;
            log_size(program, &mut size);
            let mut log = vec![0u8; size.max(1)];
            get_log(program, log.as_mut_ptr().cast());
            if status == 0 { Ok(()) } else { Err(String::from_utf8_lossy(&log).into_owned()) }
        }
    })
}
