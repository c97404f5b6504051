//! Compiles every source with NVIDIA's run-time compiler, which needs no GPU.
#![allow(unsafe_code, reason = "calls into NVIDIA's library")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};

use crate::cuda::source::Source;

type Create =
    unsafe extern "C" fn(*mut *mut c_void, *const c_char, *const c_char, c_int, *const c_void, *const c_void) -> c_int;
type Compile = unsafe extern "C" fn(*mut c_void, c_int, *const *const c_char) -> c_int;
type Size = unsafe extern "C" fn(*mut c_void, *mut usize) -> c_int;
type Log = unsafe extern "C" fn(*mut c_void, *mut c_char) -> c_int;
type Destroy = unsafe extern "C" fn(*mut *mut c_void) -> c_int;

/// The five functions of libnvrtc needed for a compilation.
struct Compiler {
    create: Create,
    compile: Compile,
    log_size: Size,
    log: Log,
    destroy: Destroy,
}

impl Compiler {
    /// The library, if the loader finds it.
    fn find() -> Option<Self> {
        let handle = [c"libnvrtc.so", c"libnvrtc.so.13", c"libnvrtc.so.12"].into_iter().find_map(|name| {
            // SAFETY: the name is a C string; the library's constructors are NVIDIA's.
            let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
            (!handle.is_null()).then_some(handle)
        })?;
        let symbol = |name: &CStr| {
            // SAFETY: an open library and a C string.
            let address = unsafe { libc::dlsym(handle, name.as_ptr()) };
            assert!(!address.is_null(), "libnvrtc has no {name:?}");
            address
        };
        // SAFETY: the types are those of nvrtc.h for these names.
        unsafe {
            Some(Self {
                create: std::mem::transmute::<*mut c_void, Create>(symbol(c"nvrtcCreateProgram")),
                compile: std::mem::transmute::<*mut c_void, Compile>(symbol(c"nvrtcCompileProgram")),
                log_size: std::mem::transmute::<*mut c_void, Size>(symbol(c"nvrtcGetProgramLogSize")),
                log: std::mem::transmute::<*mut c_void, Log>(symbol(c"nvrtcGetProgramLog")),
                destroy: std::mem::transmute::<*mut c_void, Destroy>(symbol(c"nvrtcDestroyProgram")),
            })
        }
    }

    /// The compiler's log, with warnings; an error if it rejects the source.
    fn run(&self, text: &str, architecture: &str) -> Result<String, String> {
        let text = CString::new(text).unwrap();
        let option = CString::new(format!("--gpu-architecture={architecture}")).unwrap();
        let mut program = std::ptr::null_mut();
        // SAFETY: strings and program live until the end; the log's size is asked before it is fetched.
        unsafe {
            let none = std::ptr::null();
            assert_eq!((self.create)(&mut program, text.as_ptr(), std::ptr::null(), 0, none, none), 0);
            let status = (self.compile)(program, 1, &option.as_ptr());
            let mut size = 0;
            (self.log_size)(program, &mut size);
            let mut log = vec![0u8; size.max(1)];
            (self.log)(program, log.as_mut_ptr().cast());
            (self.destroy)(&mut program);
            log.pop();
            let log = String::from_utf8_lossy(&log).into_owned();
            if status == 0 { Ok(log) } else { Err(log) }
        }
    }
}

#[test]
fn every_source_compiles_for_ampere_and_hopper_without_a_warning() {
    let Some(compiler) = Compiler::find() else {
        eprintln!("skipped: no libnvrtc on the loader's path (LD_LIBRARY_PATH), so no CUDA source was compiled");
        return;
    };
    for source in Source::all() {
        for architecture in ["sm_80", "sm_90"] {
            let log = compiler.run(&source.text(), architecture);
            assert_eq!(log.as_deref(), Ok(""), "{source:?} for {architecture}");
        }
    }
    assert!(compiler.run("__global__ void broken() { nonsense }", "sm_80").is_err());
}
