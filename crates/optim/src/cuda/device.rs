//! Compiles a formula's kernel for the device and launches it. It has not run on a GPU yet.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_void};
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use candle_core::cuda_backend::cudarc::driver::{CudaFunction, DevicePtr, result::launch_kernel};
use candle_core::cuda_backend::cudarc::nvrtc::{Ptx, result, sys};
use candle_core::cuda_backend::{CudaDevice, WrapErr};
use candle_core::{Device, Result, Storage, Tensor};

use super::formula::Formula;
use super::source::{KERNEL, source};
use super::table::{Item, THREADS, items_per_launch, pack, require_length};
use crate::pull::Pull;

/// One parameter of a step: f32, contiguous, on one device.
pub(crate) struct Step<'a> {
    pub(crate) formula: Formula,
    pub(crate) constants: Vec<f64>,
    pub(crate) fresh: bool,
    pub(crate) weights: &'a Tensor,
    pub(crate) gradient: &'a Tensor,
    pub(crate) state: Vec<&'a Tensor>,
    pub(crate) anchor: Option<&'a Tensor>,
}

/// Applied to every gradient element first: scaling by a number or by a scalar on the device, then clamping.
#[derive(Clone, Copy)]
pub(crate) struct Preparation<'a> {
    pub(crate) scale: f32,
    pub(crate) scale_on_device: Option<&'a Tensor>,
    pub(crate) limit: f32,
}

/// A step that is ready to launch: lengths are checked and kernels compiled, so that little can fail once something is written.
pub(crate) struct Launches<'a> {
    groups: Vec<Group>,
    scale: f32,
    limit: f32,
    rate: f32,
    write_back: bool,
    /// The items hold the addresses of these.
    tensors: PhantomData<&'a Tensor>,
}

/// Parameters of one formula on one device.
struct Group {
    device: CudaDevice,
    function: CudaFunction,
    items: Vec<Item>,
    /// The scale, on this device; kept until the launch.
    scale: Option<Tensor>,
}

/// Prepares all steps: one launch for those that share a formula, up to some hundreds of tensors.
pub(crate) fn prepare<'a>(
    steps: &[Step<'a>],
    preparation: Preparation<'_>,
    pull: Option<&Pull<'_>>,
) -> Result<Launches<'a>> {
    let mut by_formula: Vec<(&Formula, CudaDevice, Vec<Item>)> = Vec::new();
    for step in steps.iter().filter(|step| step.weights.elem_count() > 0) {
        let device = step.weights.device().as_cuda_device()?;
        let item = item(step)?;
        match by_formula.iter_mut().find(|(formula, on, _)| **formula == step.formula && on.id() == device.id()) {
            Some((_, _, items)) => items.push(item),
            None => by_formula.push((&step.formula, device.clone(), vec![item])),
        }
    }
    let group = |(formula, device, items): (&Formula, CudaDevice, Vec<Item>)| {
        let constants = items[0].constants.len();
        if items_per_launch(constants) == 0 {
            candle_core::bail!("lookahead-optim: a rule with {constants} constants is too long for a launch");
        }
        let function = function(&device, formula)?;
        // The norm of all gradients is on one device; a kernel reads its own device's memory only.
        let on_device = Device::Cuda(device.clone());
        let scale = preparation.scale_on_device.map(|scale| scale.to_device(&on_device)).transpose()?;
        Ok(Group { device, function, items, scale })
    };
    Ok(Launches {
        groups: by_formula.into_iter().map(group).collect::<Result<_>>()?,
        scale: preparation.scale,
        limit: preparation.limit,
        rate: pull.map_or(0.0, |pull| pull.rate) as f32,
        write_back: pull.is_some_and(|pull| pull.write_back),
        tensors: PhantomData,
    })
}

impl Launches<'_> {
    /// Launches every kernel.
    pub(crate) fn run(&self) -> Result<()> {
        self.groups.iter().try_for_each(|group| self.launch(group))
    }

    fn launch(&self, group: &Group) -> Result<()> {
        let scale_at = group.scale.as_ref().map_or(Ok(0), address)?;
        let stream = group.device.cuda_stream();
        stream.context().bind_to_thread().w()?;
        for items in group.items.chunks(items_per_launch(group.items[0].constants.len())) {
            let (table, blocks) = pack(items);
            let (count, write_back) = (items.len() as u32, i32::from(self.write_back));
            let mut arguments: [*mut c_void; 7] = [
                (&raw const table.0).cast_mut().cast(),
                (&raw const count).cast_mut().cast(),
                (&raw const scale_at).cast_mut().cast(),
                (&raw const self.scale).cast_mut().cast(),
                (&raw const self.limit).cast_mut().cast(),
                (&raw const self.rate).cast_mut().cast(),
                (&raw const write_back).cast_mut().cast(),
            ];
            let (grid, block) = ((blocks, 1, 1), (THREADS as u32, 1, 1));
            #[allow(unsafe_code, reason = "a kernel launch is")]
            // SAFETY: the arguments match the generated signature, and the launch copies them. The addresses are of live f32 tensors of the
            // lengths in the table, on the stream's device; distinct variables share no memory; the stream orders the rest.
            unsafe {
                launch_kernel(group.function.cu_function(), grid, block, 0, stream.cu_stream(), &mut arguments).w()?;
            }
        }
        Ok(())
    }
}

fn item(step: &Step<'_>) -> Result<Item> {
    require_length(step.weights.elem_count())?;
    let mut state = [0; 3];
    for (slot, at) in step.state.iter().zip(&mut state) {
        *at = address(slot)?;
    }
    Ok(Item {
        weights: address(step.weights)?,
        gradient: address(step.gradient)?,
        anchor: step.anchor.map_or(Ok(0), address)?,
        state,
        len: step.weights.elem_count(),
        fresh: step.fresh,
        constants: step.constants.clone(),
    })
}

/// The device address of a contiguous f32 tensor.
fn address(tensor: &Tensor) -> Result<u64> {
    let (storage, layout) = tensor.storage_and_layout();
    let (Storage::Cuda(storage), Some((first, _))) = (&*storage, layout.contiguous_offsets()) else {
        candle_core::bail!("lookahead-optim: an optimizer's tensors must be contiguous and on one device")
    };
    let slice = storage.as_cuda_slice::<f32>()?;
    Ok(slice.device_ptr(slice.stream()).0 + (first * size_of::<f32>()) as u64)
}

fn function(device: &CudaDevice, formula: &Formula) -> Result<CudaFunction> {
    // Keyed by the GPU's number: it has one context, however often it is opened.
    static COMPILED: Mutex<Option<HashMap<(usize, Formula), CudaFunction>>> = Mutex::new(None);
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let compiled = compiled.get_or_insert_default();
    let stream = device.cuda_stream();
    let key = (stream.context().ordinal(), formula.clone());
    if let Some(function) = compiled.get(&key) {
        return Ok(function.clone());
    }
    let (major, minor) = stream.context().compute_capability().w()?;
    let code = compile(&source(formula), major, minor)?;
    let module = stream.context().load_module(Ptx::from_binary(code)).w()?;
    let function = module.load_function(KERNEL).w()?;
    compiled.insert(key, function.clone());
    Ok(function)
}

/// Machine code for one architecture, without fused multiply-adds.
fn compile(text: &str, major: i32, minor: i32) -> Result<Vec<u8>> {
    let text = CString::new(text).map_err(candle_core::Error::wrap)?;
    let options = [format!("--gpu-architecture=sm_{major}{minor}"), "--fmad=false".to_owned()];
    // With dynamically loaded CUDA libraries, a missing compiler is a panic.
    let created = std::panic::catch_unwind(|| result::create_program(&text, None))
        .map_err(|_| candle_core::Error::msg("libnvrtc.so, part of the CUDA toolkit, is missing"))?;
    let program = created.map_err(candle_core::Error::wrap)?;
    #[allow(unsafe_code, reason = "the compiler's C interface")]
    // SAFETY: the program lives until it is destroyed; the code's buffer has the requested size; the log ends with 0.
    unsafe {
        let code = match result::compile_program(program, &options) {
            Ok(()) => {
                let mut size = 0;
                let sized = sys::nvrtcGetCUBINSize(program, &mut size).result();
                let mut code = vec![0u8; size];
                let fetched = sized.and_then(|()| sys::nvrtcGetCUBIN(program, code.as_mut_ptr().cast()).result());
                fetched.map(|()| code).map_err(candle_core::Error::wrap)
            }
            Err(error) => {
                let log = result::get_program_log(program)
                    .map_or_else(|_| String::new(), |log| CStr::from_ptr(log.as_ptr()).to_string_lossy().into_owned());
                Err(candle_core::Error::msg(format!("{error:?}: {log}")))
            }
        };
        result::destroy_program(program).map_err(candle_core::Error::wrap)?;
        code
    }
}
