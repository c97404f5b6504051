//! Language models against PyTorch in f64 and f32, by `fixtures/language/generate.py`; threads, masks, and states that are carried.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use lookahead_models::{Error, LanguageDropout, LanguageModel, LanguageModelConfig, Pass};
use support::{difference, fixture, with_prefix};

fn tied() -> LanguageModelConfig {
    LanguageModelConfig { vocabulary: 19, embedding: 6, hidden: 9, layers: 2, ..LanguageModelConfig::default() }
}

fn free() -> LanguageModelConfig {
    LanguageModelConfig { embedding: 5, hidden: 8, layers: 1, tied: false, ..tied() }
}

fn windows_agree(case: &str, config: &LanguageModelConfig, dtype: DType, tolerance: f64) {
    let fixture = fixture("language/windows.safetensors");
    let model = LanguageModel::new(config, 0, dtype, &Device::Cpu).unwrap();
    model.load(with_prefix(&fixture, &format!("{case}.before."))).unwrap();
    let mut state = model.begin(3).unwrap();
    for window in 0..2 {
        let expected = with_prefix(&fixture, &format!("{case}.{window}."));
        let agrees = |name: &str, actual: &Tensor| {
            let gap = difference(actual, &expected[name]);
            assert!(gap < tolerance, "{case} {window}, {name} in {dtype:?}: {gap}");
        };
        let ids = |name: &str| expected[name].to_dtype(DType::U32).unwrap();
        let (tokens, targets) = (ids("tokens"), ids("targets"));
        agrees("logits", &model.forward(&tokens, &state, Pass::Eval).unwrap().0);
        let (loss, after) = model.loss(&tokens, &targets, &state, Pass::Train { step: 0 }).unwrap();
        agrees("loss", &loss);
        let gradients = loss.backward().unwrap();
        assert_eq!(model.parameters().len(), with_prefix(&expected, "gradient.").len());
        for (name, var) in model.parameters() {
            agrees(&format!("gradient.{name}"), gradients.get(&var).unwrap());
        }
        state = after.detach();
        for (name, tensor) in state.tensors() {
            agrees(&name, &tensor);
        }
    }
}

#[test]
fn windows_are_pytorchs_in_f64() {
    windows_agree("tied", &tied(), DType::F64, 1e-10);
    windows_agree("free", &free(), DType::F64, 1e-10);
}

#[test]
fn windows_are_pytorchs_in_f32() {
    windows_agree("tied", &tied(), DType::F32, 1e-5);
    windows_agree("free", &free(), DType::F32, 1e-5);
}

fn text(steps: usize, batch: usize) -> Tensor {
    let ids = (0..steps * batch).map(|at| (at * 7 % 19) as u32);
    Tensor::from_iter(ids, &Device::Cpu).unwrap().reshape((steps, batch)).unwrap()
}

/// Everything that can be dropped is.
fn dropping(locked: bool) -> LanguageModelConfig {
    let dropout = LanguageDropout { rows: 0.2, input: 0.3, between: 0.3, output: 0.3, recurrent: 0.4, locked };
    LanguageModelConfig { dropout, ..tied() }
}

/// The gradients of step `step`, as bits.
fn bits(model: &LanguageModel, step: u64) -> Vec<u32> {
    let tokens = text(7, 3);
    let (loss, _) = model.loss(&tokens, &tokens, &model.begin(3).unwrap(), Pass::Train { step }).unwrap();
    let gradients = loss.backward().unwrap();
    let all = model
        .parameters()
        .into_iter()
        .flat_map(|(_, var)| gradients.get(&var).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap());
    all.map(f32::to_bits).collect()
}

#[test]
fn masks_are_those_of_the_step_and_bits_do_not_depend_on_threads() {
    for locked in [false, true] {
        let model = LanguageModel::new(&dropping(locked), 1, DType::F32, &Device::Cpu).unwrap();
        let first = bits(&model, 5);
        assert!(first == bits(&model, 5) && first != bits(&model, 6));
        let other = LanguageModel::new(&dropping(!locked), 1, DType::F32, &Device::Cpu).unwrap();
        assert!(first != bits(&other, 5));
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert!(pool.install(|| bits(&model, 5)) == first, "{threads} threads");
        }
    }
}

/// A tied output keeps what the input drops: with nothing but rows dropped, dropped tokens have gradients from the output alone.
#[test]
fn dropped_rows_are_whole_and_the_output_keeps_them() {
    let dropout = LanguageDropout { rows: 0.5, ..LanguageDropout::default() };
    let config = LanguageModelConfig { dropout, ..tied() };
    let model = LanguageModel::new(&config, 1, DType::F64, &Device::Cpu).unwrap();
    let tokens = Tensor::from_iter(0..19u32, &Device::Cpu).unwrap().reshape((19, 1)).unwrap();
    let features = model.features(&tokens, &model.begin(1).unwrap(), Pass::Train { step: 3 }).unwrap();
    let gradients = features.raw.sum_all().unwrap().backward().unwrap();
    let (_, table) = &model.parameters()[1];
    let rows = gradients.get(table).unwrap().to_vec2::<f64>().unwrap();
    let dropped = rows.iter().filter(|row| row.iter().all(|value| *value == 0.0)).count();
    assert!((3..=16).contains(&dropped), "{dropped} of 19 rows");
    assert!(rows.iter().filter(|row| row.contains(&0.0)).count() == dropped);
}

#[test]
fn a_state_goes_on_where_it_was_saved() {
    let model = LanguageModel::new(&tied(), 1, DType::F32, &Device::Cpu).unwrap();
    let tokens = text(6, 2);
    let whole = model.forward(&tokens, &model.begin(2).unwrap(), Pass::Eval).unwrap().0;
    let half = |at| tokens.narrow(0, at, 3).unwrap();
    let (first, state) = model.forward(&half(0), &model.begin(2).unwrap(), Pass::Eval).unwrap();
    let saved: HashMap<String, Tensor> = state.tensors().into_iter().collect();
    assert_eq!(state.tensors()[0].0, "state.cell_l0");
    let resumed = model.resume(&saved).unwrap();
    let (second, _) = model.forward(&half(3), &resumed, Pass::Eval).unwrap();
    let joined = Tensor::cat(&[first, second], 0).unwrap();
    let values = |t: Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(values(joined), values(whole));

    let mut without = saved.clone();
    without.remove("state.hidden_l1");
    let error = model.resume(&without).unwrap_err();
    assert!(matches!(&error, Error::StateMissing { name } if name == "state.hidden_l1"), "{error}");
    let mut narrow = saved;
    narrow.insert("state.hidden_l1".into(), Tensor::zeros((2, 5), DType::F32, &Device::Cpu).unwrap());
    assert!(model.resume(&narrow).unwrap_err().to_string().contains("(2, 6)"));
}

#[test]
fn published_models_have_their_sizes() {
    let count = |config: LanguageModelConfig| {
        LanguageModel::new(&config, 1, DType::F32, &Device::Cpu).unwrap().parameter_count()
    };
    // As nn.LSTM counts: 4 H (I + H + 2) a layer.
    assert_eq!(count(LanguageModelConfig::zaremba_small(100)), 2 * 100 * 200 + 100 + 2 * 800 * 402);
    assert_eq!(count(LanguageModelConfig::characters(66)), 543_298);
    assert_eq!(count(LanguageModelConfig::words(15_660)), 3_790_860);
    let awd = 4 * 1150 * (400 + 1150 + 2) + 4 * 1150 * (2 * 1150 + 2) + 4 * 400 * (1150 + 400 + 2);
    assert_eq!(count(LanguageModelConfig::awd_lstm(10)), 10 * 400 + 10 + awd);
}

#[test]
fn what_does_not_fit_is_refused() {
    let model = LanguageModel::new(&tied(), 1, DType::F32, &Device::Cpu).unwrap();
    let run = |tokens: &Tensor, batch| model.forward(tokens, &model.begin(batch).unwrap(), Pass::Eval);
    assert!(run(&text(6, 2).flatten_all().unwrap(), 2).unwrap_err().to_string().contains("(T, B)"));
    assert!(run(&text(6, 2), 3).unwrap_err().to_string().contains("lstm: hidden"));
    let beyond = Tensor::new(&[[19u32]], &Device::Cpu).unwrap();
    assert!(run(&beyond, 1).unwrap_err().to_string().contains("19 of 19"));
    let other = LanguageModel::new(&free(), 1, DType::F32, &Device::Cpu).unwrap();
    let error = model.forward(&text(1, 2), &other.begin(2).unwrap(), Pass::Eval).unwrap_err();
    assert!(matches!(error, Error::StateLayers { expected: 2, got: 1 }), "{error}");
    // A head is what it lacks.
    let bias = Tensor::zeros(5, DType::F32, &Device::Cpu).unwrap();
    let weights = model.state().into_iter().chain([("head.bias".to_string(), bias)]).collect::<Vec<_>>();
    let error = model.load(weights).unwrap_err().to_string();
    assert!(error.contains("1 unexpected (head.bias)") && !error.contains("load_backbone"), "{error}");
    assert!(LanguageModel::new(&tied(), 1, DType::BF16, &Device::Cpu).unwrap_err().to_string().contains("dtype"));
}
