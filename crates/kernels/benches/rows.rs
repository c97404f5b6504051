//! Losses, activations and norms over rows: times of forward, backward, and candle's part of backward, as JSON lines.
//!
//!     cargo bench -p lookahead-kernels --bench rows [-- bf16]
//!     python crates/kernels/benches/torch_rows.py [bf16]
//!
//! Times are in milliseconds, the median and the minimum of each pass. `candle` is the part of `backward` that every operation needs for its
//! input's gradient: a tensor of ones, a tensor of zeros, and the sum of zeros and gradient.

use std::time::{Duration, Instant};

use candle_core::{DType, Device, Result, Tensor, Var};
use lookahead_kernels as kernels;
use lookahead_kernels::{Activation, LayerNorm, RmsNorm};

#[global_allocator]
static ALLOCATOR: kernels::PageCache = kernels::PageCache::new();

/// Median and minimum time of a call after warm-up, over as many calls as fit into half a second, at least seven.
fn time<T>(mut f: impl FnMut() -> Result<T>) -> Result<(f64, f64)> {
    for _ in 0..3 {
        f()?;
    }
    let (begin, mut times) = (Instant::now(), Vec::new());
    while times.len() < 7 || (begin.elapsed() < Duration::from_millis(500) && times.len() < 1000) {
        let start = Instant::now();
        let kept = f()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        drop(kept);
    }
    times.sort_by(f64::total_cmp);
    Ok((times[times.len() / 2], times[0]))
}

fn case(name: &str, x: &Var, f: impl Fn(&Tensor) -> kernels::Result<Tensor>) -> Result<()> {
    let forward = time(|| Ok(f(x)?))?;
    let y = f(x)?;
    let backward = time(|| y.backward())?;
    let gradient = x.as_detached_tensor().copy()?;
    let candle = time(|| {
        let ones = y.ones_like()?;
        Ok((ones, (gradient.zeros_like()? + &gradient)?))
    })?;
    let (set, dtype) = (kernels::instruction_set()?, x.dtype());
    let of_pass =
        |name: &str, (median, least): (f64, f64)| format!(r#""{name}": {median:.3}, "{name}_least": {least:.3}"#);
    let times = [of_pass("forward", forward), of_pass("backward", backward), of_pass("candle", candle)].join(", ");
    println!(r#"{{"case": "{name}", "dtype": "{dtype:?}", "set": "{set:?}", {times}}}"#);
    Ok(())
}

fn rows() -> Result<()> {
    let device = Device::Cpu;
    let randn = |rows: usize, width: usize| Tensor::randn(0f32, 1., (rows, width), &device);
    let narrow = std::env::args().any(|argument| argument == "bf16");
    let dtype = if narrow { DType::BF16 } else { DType::F32 };
    let var = |rows, width| Var::from_tensor(&randn(rows, width)?.to_dtype(dtype)?);
    for (rows, classes) in [(2048, 10_000), (2048, 10), (128, 10)] {
        let logits = var(rows, classes)?;
        let numbers = Tensor::from_iter((0..rows as u32).map(|row| row * 7 % classes as u32), &device)?;
        for smoothing in [0.0, 0.1] {
            let name = format!("cross_entropy {rows}x{classes} smoothing {smoothing}");
            case(&name, &logits, |x| kernels::cross_entropy_indices(x, &numbers, smoothing))?;
        }
    }
    let x = var(8192, 768)?;
    let weight = Var::ones(768, DType::F32, &device)?.as_tensor().clone();
    let bias = Var::zeros(768, DType::F32, &device)?.as_tensor().clone();
    let norm = LayerNorm { weight: Some(weight.clone()), bias: Some(bias), ..LayerNorm::default() };
    case("layer_norm 8192x768", &x, |x| kernels::layer_norm(x, &norm))?;
    let norm = RmsNorm { weight: Some(weight), ..RmsNorm::default() };
    case("rms_norm 8192x768", &x, |x| kernels::rms_norm(x, &norm))?;
    drop(x);
    let x = var(8192, 3072)?;
    for (name, activation) in
        [("gelu", Activation::Gelu), ("gelu_tanh", Activation::GeluTanh), ("silu", Activation::Silu)]
    {
        case(&format!("{name} 8192x3072"), &x, |x| kernels::activate(x, activation))?;
    }
    Ok(())
}

fn main() {
    // `cargo test --benches` runs this without the flag; the sizes above are too large for a test.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    if let Err(error) = rows() {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}
