//! Runs launches on the CPU: compiles the kernels' source with the machine's C++ compiler and `emulator.hpp`.
//!
//! It does not reproduce what only a GPU does: races, alignment faults, the memory model, speed.
#![allow(unsafe_code, reason = "calls into a compiled library")]

use std::collections::HashMap;
use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::cuda::call::{Argument, Call};
use crate::cuda::source::Source;

/// Runs `calls` in order. Returns false, after a message on stderr, if there is no C++ compiler.
pub(crate) fn run(calls: &[Call]) -> bool {
    // The emulator's state is global: one launch at a time.
    static LIBRARIES: Mutex<Option<HashMap<Source, usize>>> = Mutex::new(None);
    let mut libraries = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
    if compiler().is_none() {
        assert!(std::env::var_os("CI").is_none(), "no C++ compiler: continuous integration must not skip these tests");
        eprintln!("skipped: no C++ compiler (`c++`), which runs CUDA kernels on the CPU");
        return false;
    }
    for call in calls {
        let library = *libraries.get_or_insert_default().entry(call.source).or_insert_with(|| load(call.source));
        let name = CString::new(format!("launch_{}", call.kernel)).unwrap();
        // SAFETY: the library is never closed; the name is a C string.
        let function = unsafe { libc::dlsym(library as *mut c_void, name.as_ptr()) };
        assert!(!function.is_null(), "{} has no kernel {}", call.source.text(), call.kernel);
        type Launch = unsafe extern "C" fn(c_uint, c_uint, c_uint, bool, *mut *mut c_void, *const c_char) -> c_int;
        // SAFETY: `load` gives every launcher this signature.
        let launch: Launch = unsafe { std::mem::transmute::<*mut c_void, Launch>(function) };
        let mut words: Vec<Vec<u64>> = call.arguments.iter().map(Argument::words).collect();
        let mut pointers: Vec<*mut c_void> = words.iter_mut().map(|words| words.as_mut_ptr().cast()).collect();
        let (x, y, z) = call.grid;
        let kinds = CString::new(call.arguments.iter().map(kind).collect::<String>()).unwrap();
        // SAFETY: each argument's bytes stand where its pointer points; the tests pass addresses of live memory. The
        // launcher refuses arguments that are not what the kernel's signature says.
        let status = unsafe { launch(x, y, z, call.together, pointers.as_mut_ptr(), kinds.as_ptr()) };
        assert_eq!(
            status, 0,
            "{}: 1: a barrier that not all threads reached, 2: not the arguments of its signature, 3: blocks wait for ever",
            call.kernel
        );
    }
    true
}

/// The emulator's letter for an argument's type.
fn kind(argument: &Argument) -> char {
    match argument {
        Argument::Pointer(_) => 'p',
        Argument::Int(_) => 'i',
        Argument::Unsigned(_) => 'u',
        Argument::Double(_) => 'd',
        Argument::Table(_) => 't',
    }
}

fn compiler() -> Option<&'static str> {
    static FOUND: OnceLock<Option<&'static str>> = OnceLock::new();
    let works = |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    *FOUND.get_or_init(|| ["c++", "g++", "clang++"].into_iter().find(works))
}

/// Compiles a source with a launcher for every kernel in it, and gives the library's handle.
fn load(source: Source) -> usize {
    let body = source.text();
    // The name is the last word before the arguments; a word before it may bound the kernel's launches.
    let head =
        |rest: &'_ str| rest.split('(').next().and_then(|head| head.split_whitespace().last()).map(str::to_owned);
    let kernels = body.split("__global__ void ").skip(1).filter_map(head);
    let launchers: String = kernels
        .map(|kernel| {
            format!(
                "extern \"C\" int launch_{kernel}(unsigned x, unsigned y, unsigned z, bool together, void **values, const char *kinds) {{\n\
                 \x20   if (!emulator::accepts({kernel}, kinds)) return 2;\n\
                 \x20   return emulator::grid(x, y, z, together, emulator::call<{kernel}>, values);\n}}\n"
            )
        })
        .collect();
    let header = include_str!("emulator.hpp");
    let folder = std::env::temp_dir().join(format!("lookahead-kernels-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let name = format!("{source:?}").replace(|c: char| !c.is_alphanumeric(), "_");
    let (text, library): (PathBuf, PathBuf) =
        (folder.join(&name).with_extension("cpp"), folder.join(name).with_extension("so"));
    std::fs::write(&text, format!("{header}\n{body}\n{launchers}")).unwrap();
    let compiler = compiler().unwrap_or("c++");
    let output = Command::new(compiler)
        .args(["-std=c++17", "-O1", "-ffp-contract=off", "-w", "-shared", "-fPIC", "-Wl,-Bsymbolic", "-o"])
        .args([&library, &text])
        .output()
        .unwrap();
    assert!(output.status.success(), "{source:?}: {}", String::from_utf8_lossy(&output.stderr));
    let path = CString::new(library.to_str().unwrap()).unwrap();
    // SAFETY: a library just compiled, whose constructors build global variables only.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    assert!(!handle.is_null(), "{} cannot be loaded", library.display());
    // It stays mapped; its files are needed no longer.
    let _ = std::fs::remove_dir_all(&folder);
    handle as usize
}
