//! Names and shapes as torchvision's, and one training step of small networks as PyTorch's (tests/fixtures/generate.py).
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use candle_core::{DType, Device, Tensor};
use lookahead_models::{BlockKind, Head, Pass, ResNet, ResNetConfig, Stem};
use support::{difference, fixture, with_prefix};

/// Two orders above f32's rounding: sums over a whole batch, and batch norm's division by small deviations, on both sides.
const TOLERANCE: f64 = 1e-4;

fn one_step_agrees(config: &ResNetConfig, file: &str) {
    let fixture = fixture(file);
    let net = ResNet::new(config, 0, DType::F32, &Device::Cpu).unwrap();
    net.load_state(&with_prefix(&fixture, "before.")).unwrap();

    let logits = net.forward(&fixture["images"], Pass::Train { step: 0 }).unwrap();
    assert!(difference(&logits, &fixture["logits"]) < TOLERANCE, "logits");
    let labels = fixture["labels"].to_dtype(DType::U32).unwrap();
    let loss = lookahead_kernels::cross_entropy_indices(&logits, &labels, 0.0).unwrap();
    assert!(difference(&loss, &fixture["loss"]) < TOLERANCE, "loss");

    let gradients = loss.backward().unwrap();
    for (name, var) in net.parameters() {
        let gap = difference(gradients.get(&var).unwrap(), &fixture[&format!("gradient.{name}")]);
        assert!(gap < TOLERANCE, "gradient of {name}: {gap}");
    }
    let after = with_prefix(&fixture, "after.");
    assert_eq!(net.buffers().len(), after.len());
    for (name, var) in net.buffers() {
        let gap = difference(var.as_tensor(), &after[&name]);
        assert!(gap < TOLERANCE, "{name}: {gap}");
    }
    let evaluation = net.forward(&fixture["images"], Pass::Eval).unwrap();
    assert!(difference(&evaluation, &fixture["evaluation"]) < TOLERANCE, "evaluation");
}

#[test]
fn basic_blocks_train_as_in_pytorch() {
    let (stem, block, head) = (Stem::Cifar, BlockKind::Basic, Head::Linear);
    let config = ResNetConfig {
        stem,
        block,
        head,
        widths: vec![8, 16],
        depths: vec![1, 2],
        classes: 5,
        ..ResNetConfig::default()
    };
    one_step_agrees(&config, "basic.safetensors");
}

#[test]
fn bottlenecks_and_the_imagenet_stem_train_as_in_pytorch() {
    let (stem, block, head) = (Stem::ImageNet, BlockKind::Bottleneck, Head::Linear);
    let config = ResNetConfig {
        stem,
        block,
        head,
        widths: vec![4, 8],
        depths: vec![1, 1],
        classes: 5,
        ..ResNetConfig::default()
    };
    one_step_agrees(&config, "bottleneck.safetensors");
}

#[test]
fn names_and_shapes_are_torchvisions() {
    let text = include_str!("fixtures/names.txt");
    for model in ["resnet18", "resnet50"] {
        let config = ResNetConfig::by_name(model, Stem::ImageNet, 10).unwrap();
        let net = ResNet::new(&config, 0, DType::F32, &Device::Cpu).unwrap();
        let ours: Vec<String> =
            net.state().iter().map(|(name, tensor)| format!("{model} {name} {:?}", tensor.dims())).collect();
        let theirs: Vec<&str> = text.lines().filter(|line| line.starts_with(model)).collect();
        assert_eq!(ours, theirs);
    }
}

#[test]
#[should_panic(expected = "not finite")]
fn numbers_that_are_none_agree_with_nothing() {
    difference(&Tensor::new(f64::NAN, &Device::Cpu).unwrap(), &Tensor::new(1f64, &Device::Cpu).unwrap());
}
