//! The network of the speed runs against PyTorch in f64, by `fixtures/speed_net/generate.py`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::{DType, Device, Tensor};
use lookahead_models::{BatchNormConfig, Pass, SpeedNet, SpeedNetConfig};
use support::{difference, fixture, values, with_prefix};

fn config() -> SpeedNetConfig {
    SpeedNetConfig { widths: vec![8, 16, 16], classes: 5, ..SpeedNetConfig::default() }
}

fn step_agrees(dtype: DType, tolerance: f64) {
    let fixture = fixture("speed_net/step.safetensors");
    let net = SpeedNet::new(&config(), 0, dtype, &Device::Cpu).unwrap();
    net.load(with_prefix(&fixture, "before.")).unwrap();
    let images = fixture["images"].to_dtype(dtype).unwrap();
    let agrees = |name: &str, actual: &Tensor, expected: &str| {
        let gap = difference(actual, &fixture[expected]);
        assert!(gap < tolerance, "{name} in {dtype:?}: {gap}");
    };

    let logits = net.forward(&images, Pass::Train { step: 0 }).unwrap();
    agrees("logits", &logits, "logits");
    let labels = fixture["labels"].to_dtype(DType::U32).unwrap();
    // The mean over four images, as a sum.
    let loss = (lookahead_kernels::cross_entropy_indices(&logits, &labels, 0.2).unwrap() * 4.0).unwrap();
    agrees("loss", &loss, "loss");

    let gradients = loss.backward().unwrap();
    assert_eq!(net.parameters().len(), with_prefix(&fixture, "gradient.").len());
    for (name, var) in net.parameters() {
        agrees(&name, gradients.get(&var).unwrap(), &format!("gradient.{name}"));
    }
    for (name, var) in net.buffers() {
        let when = if name == "whiten.weight" { "before" } else { "after" };
        agrees(&name, var.as_tensor(), &format!("{when}.{name}"));
    }
    agrees("evaluation", &net.forward(&images, Pass::Eval).unwrap(), "evaluation");
}

#[test]
fn a_step_is_pytorchs_in_f64() {
    step_agrees(DType::F64, 1e-10);
}

/// Sums over the batch of differences of nearly equal numbers: two orders above f32's rounding.
#[test]
fn a_step_is_pytorchs_in_f32() {
    step_agrees(DType::F32, 1e-4);
}

/// Row k of the filters is LAPACK's k-th eigenvector from the end over the root of its eigenvalue plus eps; signs are arbitrary.
#[test]
fn whitening_is_lapacks() {
    let fixture = fixture("speed_net/step.safetensors");
    let net = SpeedNet::new(&config(), 0, DType::F64, &Device::Cpu).unwrap();
    net.whiten(&fixture["whiten.images"]).unwrap();
    let filters = net.state().into_iter().find(|(name, _)| name == "whiten.weight").unwrap().1;
    let filters = filters.flatten_from(1).unwrap().to_vec2::<f64>().unwrap();
    let values = fixture["whiten.values"].to_vec1::<f64>().unwrap();
    let vectors = fixture["whiten.vectors"].t().unwrap().to_vec2::<f64>().unwrap();
    for (k, filter) in filters[..12].iter().enumerate() {
        let expected: Vec<f64> = vectors[11 - k].iter().map(|v| v / (values[11 - k] + 5e-4).sqrt()).collect();
        let sign = if expected[0].signum() == filter[0].signum() { 1.0 } else { -1.0 };
        for (i, (value, expected)) in filter.iter().zip(&expected).enumerate() {
            assert!((value - sign * expected).abs() < 1e-9 * expected.abs().max(1.0), "filter {k}, {i}");
            assert_eq!(filters[k + 12][i], -value);
        }
    }
}

#[test]
fn wrong_images_are_refused_by_their_shape() {
    let net = SpeedNet::new(&config(), 0, DType::F32, &Device::Cpu).unwrap();
    let zeros = |shape: (usize, usize, usize, usize)| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    for shape in [(2, 3, 24, 32), (2, 3, 32, 49), (2, 1, 32, 32)] {
        let error = net.forward(&zeros(shape), Pass::Eval).unwrap_err().to_string();
        assert!(error.contains("25 to 48 pixels a side"), "{error}");
    }
    for shape in [(0, 3, 32, 32), (2, 3, 1, 32), (2, 4, 32, 32)] {
        assert!(net.whiten(&zeros(shape)).is_err(), "{shape:?}");
    }
    let nan = (zeros((1, 3, 4, 4)) + f64::NAN).unwrap();
    assert!(net.whiten(&nan).unwrap_err().to_string().contains("finite"));
    for side in [25, 48] {
        assert_eq!(net.forward(&zeros((2, 3, side, side)), Pass::Eval).unwrap().dims(), [2, 5]);
    }
}

#[test]
fn the_published_network_has_the_published_size() {
    let net = SpeedNet::new(&SpeedNetConfig::default(), 1, DType::F32, &Device::Cpu).unwrap();
    // 1,967,616 in convolutions, 2,560 in the head, 1,152 shifts, 24 biases.
    assert_eq!(net.parameter_count(), 1_967_616 + 2_560 + 1_152 + 24);
    assert!(net.parameters().iter().all(|(name, _)| name != "whiten.weight"));
}

/// bf16 activations, f32 weights and logits: within bf16's eight bits, which every layer rounds to.
#[test]
fn bf16_gives_nearly_the_same_logits() {
    let fixture = fixture("speed_net/step.safetensors");
    let logits = |dtype| {
        let net = SpeedNet::new(&config(), 0, dtype, &Device::Cpu).unwrap();
        net.load(with_prefix(&fixture, "before.")).unwrap();
        let images = fixture["images"].to_dtype(DType::F32).unwrap();
        net.forward(&images, Pass::Train { step: 0 }).unwrap()
    };
    let (exact, half) = (logits(DType::F32), logits(DType::BF16));
    assert_eq!(half.dtype(), DType::F32);
    assert!(difference(&half, &exact.to_dtype(DType::F64).unwrap()) < 0.1);
}

#[test]
fn configurations_describe_networks_or_are_refused() {
    let momentum = SpeedNetConfig { batch_norm: BatchNormConfig { momentum: 1.5, eps: 1e-12 }, ..config() };
    let error = SpeedNet::new(&momentum, 0, DType::F32, &Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("batch_norm.momentum is 1.5"), "{error}");
}

#[test]
fn another_number_of_classes_keeps_the_head() {
    let build =
        |classes, seed| SpeedNet::new(&SpeedNetConfig { classes, ..config() }, seed, DType::F32, &Device::Cpu).unwrap();
    let (trained, net) = (build(5, 0), build(9, 1));
    let head = |net: &SpeedNet| net.state().into_iter().find(|(name, _)| name == "head.weight").unwrap().1;
    let before = values(&head(&net));
    let error = net.load(trained.state()).unwrap_err().to_string();
    assert!(error.contains("`load_backbone`"), "{error}");
    assert_eq!(net.load_backbone(trained.state()).unwrap().kept, ["head.weight"]);
    assert_eq!(values(&head(&net)), before);
    for ((name, loaded), (_, given)) in
        net.state().iter().zip(trained.state()).filter(|((name, _), _)| name != "head.weight")
    {
        assert_eq!(values(loaded), values(&given), "{name}");
    }
}
