//! Speed and memory of a language model's training steps on random tokens, as a JSON line.
//!
//!     cargo run --release -p lookahead-models --example language-step -- words|characters [VOCABULARY [WINDOWS]]
//!
//! `words`: two tied layers of 200, 20 texts, 35 steps, SGD. `characters`: one tied layer of 256, 64 texts, 64 steps, AdamW. Dropout 0.2, the
//! gradients' norm clipped at 0.25, the state carried. Forward, backward, clipping and update are timed; windows are prepared before.

use std::time::Instant;

use candle_core::{DType, Device, Storage, Tensor, Var};
use lookahead_kernels::{PageCache, gradients_of, instruction_set};
use lookahead_models::{Error, LanguageModel, LanguageModelConfig, Pass};

#[global_allocator]
static ALLOCATOR: PageCache = PageCache::new();

/// One step of SGD, or of AdamW with its two averages of each parameter.
fn update(var: &Var, gradient: &Tensor, factor: f32, averages: Option<&mut Averages>) -> Result<(), Error> {
    let mut weights = var.flatten_all()?.to_vec1::<f32>()?;
    let guard = gradient.storage_and_layout();
    let Storage::Cpu(storage) = &*guard.0 else { return Ok(()) };
    let gradient = storage.as_slice::<f32>()?.iter().map(|g| g * factor);
    match averages {
        None => weights.iter_mut().zip(gradient).for_each(|(w, g)| *w -= 20.0 * g),
        Some(Averages { step, first, second }) => {
            *step += 1;
            let (one, two) = (1.0 - 0.9f32.powi(*step), 1.0 - 0.999f32.powi(*step));
            for (((w, g), m), v) in weights.iter_mut().zip(gradient).zip(first).zip(second) {
                (*m, *v) = (0.9 * *m + 0.1 * g, 0.999 * *v + 0.001 * g * g);
                *w -= 0.003 * (*m / one / ((*v / two).sqrt() + 1e-8) + 0.01 * *w);
            }
        }
    }
    Ok(var.set(&Tensor::from_vec(weights, var.shape(), &Device::Cpu)?)?)
}

/// AdamW's state of a parameter.
struct Averages {
    step: i32,
    first: Vec<f32>,
    second: Vec<f32>,
}

/// The sum of a gradient's squares.
fn squares(gradient: &Tensor) -> Result<f64, Error> {
    let guard = gradient.storage_and_layout();
    let Storage::Cpu(storage) = &*guard.0 else { return Ok(0.0) };
    let part = |part: &[f32]| f64::from(part.iter().map(|g| g * g).sum::<f32>());
    Ok(storage.as_slice::<f32>()?.chunks(1024).map(part).sum())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let characters = arguments.next().is_some_and(|case| case == "characters");
    let vocabulary: usize = arguments.next().map_or(Ok(if characters { 66 } else { 15_660 }), |size| size.parse())?;
    let windows: usize = arguments.next().map_or(Ok(60), |windows| windows.parse())?;
    let (batch, steps, config) = match characters {
        true => (64, 64, LanguageModelConfig::characters(vocabulary)),
        false => (20, 35, LanguageModelConfig::words(vocabulary)),
    };
    let device = Device::Cpu;
    let model = LanguageModel::new(&config, 1, DType::F32, &device)?;
    let vars: Vec<_> = model.parameters().into_iter().map(|(_, var)| var).collect();
    let zeros = |var: &Var| vec![0f32; var.elem_count()];
    let averages = |var: &Var| characters.then(|| Averages { step: 0, first: zeros(var), second: zeros(var) });
    let mut averages: Vec<Option<Averages>> = vars.iter().map(averages).collect();
    let mut state = model.begin(batch)?;
    let (mut times, mut last) = (Vec::new(), 0.0);
    for step in 0..windows + 2 {
        let ids = (0..(steps + 1) * batch).map(|at| ((at * 7919 + step * 104_729) % vocabulary) as u32);
        let ids = Tensor::from_iter(ids, &device)?.reshape((steps + 1, batch))?;
        let (tokens, targets) = (ids.narrow(0, 0, steps)?, ids.narrow(0, 1, steps)?);
        let start = Instant::now();
        let mut after = None;
        let (loss, gradients) = gradients_of::<Error>(|| {
            let (loss, end) = model.loss(&tokens, &targets, &state, Pass::Train { step: step as u64 })?;
            after = Some(end.detach());
            Ok(loss)
        })?;
        let found: Vec<Option<&Tensor>> = vars.iter().map(|var| gradients.get(var)).collect();
        let norm = found.iter().flatten().map(|gradient| squares(gradient)).sum::<Result<f64, _>>()?.sqrt();
        let factor = (0.25 / (norm + 1e-6)).min(1.0) as f32;
        for ((var, gradient), averages) in vars.iter().zip(found).zip(&mut averages) {
            if let Some(gradient) = gradient {
                update(var, gradient, factor, averages.as_mut())?;
            }
        }
        if let Some(after) = after {
            state = after;
        }
        last = loss.to_scalar::<f32>()?;
        // Two warm-up steps.
        if step >= 2 {
            times.push(start.elapsed().as_secs_f64());
        }
    }
    let seconds: f64 = times.iter().sum();
    times.sort_by(f64::total_cmp);
    println!(
        r#"{{"peer": "lookahead", "case": "lstm", "unit": "{}", "set": "{:?}", "vocabulary": {vocabulary}, "parameters": {}, "tokens_per_second": {:.0}, "seconds": {seconds:.1}, "median_step_s": {:.4}, "loss": {last:.3}, "peak_rss_mb": {}}}"#,
        if characters { "characters" } else { "words" },
        instruction_set()?,
        model.parameter_count(),
        (windows * steps * batch) as f64 / seconds,
        times[times.len() / 2],
        peak_rss_mb()
    );
    Ok(())
}

/// Peak memory of the process, if the system reports it.
fn peak_rss_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
