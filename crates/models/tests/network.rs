//! What every network promises, whatever its shape.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use lookahead_models::{BatchNormConfig, Error, Head, Pass, ResNet, ResNetConfig, Stem};

fn images(n: usize, height: usize, width: usize) -> Tensor {
    let values: Vec<f32> = (0..n * 3 * height * width).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
    Tensor::from_vec(values, (n, 3, height, width), &Device::Cpu).unwrap()
}

fn small() -> ResNetConfig {
    ResNetConfig { widths: vec![4, 8], depths: vec![1, 1], ..ResNetConfig::resnet20(5) }
}

fn build(config: &ResNetConfig, seed: u64) -> ResNet {
    ResNet::new(config, seed, DType::F32, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn parameter_counts_are_those_documented() {
    let cifar = |name| ResNetConfig::by_name(name, Stem::Cifar, 10).unwrap();
    let imagenet = |name| ResNetConfig::by_name(name, Stem::ImageNet, 1000).unwrap();
    let expected = [
        (cifar("resnet20"), 272_474),
        (cifar("resnet18"), 11_173_962),
        (cifar("resnet34"), 21_282_122),
        (cifar("resnet50"), 23_520_842),
        (imagenet("resnet18"), 11_689_512),
        (imagenet("resnet34"), 21_797_672),
        (imagenet("resnet50"), 25_557_032),
    ];
    for (config, count) in expected {
        assert_eq!(build(&config, 0).parameter_count(), count, "{config:?}");
    }
}

#[test]
fn odd_sizes_and_batches_go_through() {
    let net = build(&small(), 0);
    for (n, height, width) in [(1, 7, 5), (3, 32, 32), (2, 9, 16)] {
        for pass in [Pass::Train { step: 0 }, Pass::Eval] {
            assert_eq!(net.forward(&images(n, height, width), pass).unwrap().dims(), [n, 5]);
        }
    }
    let stem = ResNetConfig { stem: Stem::ImageNet, ..small() };
    assert_eq!(build(&stem, 0).forward(&images(2, 65, 48), Pass::Eval).unwrap().dims(), [2, 5]);
}

/// One value per channel has no variance. Such a batch, often an epoch's last one, must not make running statistics NaN.
#[test]
fn one_value_per_channel_is_an_error_in_training() {
    let fastai = ResNetConfig { head: Head::Fastai, ..small() };
    let stem = ResNetConfig { stem: Stem::ImageNet, ..small() };
    // The last map of the first two has one pixel. Fastai's head normalises features, of which an image has one each.
    for (config, op, side) in
        [(&small(), "residual_network", 2), (&stem, "residual_blocks", 8), (&fastai, "batch_norm", 8)]
    {
        let net = build(config, 0);
        let error = net.forward(&images(1, side, side), Pass::Train { step: 0 }).unwrap_err();
        assert!(matches!(error, Error::Kernel(_)), "{error:?}");
        assert!(error.to_string().starts_with(&format!("{op}: values per channel must be at least 2")), "{error}");
        for (name, var) in net.buffers() {
            assert!(values(&var).iter().all(|value| value.is_finite()), "{name}");
        }
        assert_eq!(net.forward(&images(1, side, side), Pass::Eval).unwrap().dims(), [1, 5]);
        assert_eq!(net.forward(&images(2, side, side), Pass::Train { step: 0 }).unwrap().dims(), [2, 5]);
    }
}

#[test]
fn evaluation_keeps_no_graph_and_changes_nothing() {
    let net = build(&small(), 0);
    let before: Vec<Vec<f32>> = net.buffers().iter().map(|(_, var)| values(var)).collect();
    let logits = net.forward(&images(2, 8, 8), Pass::Eval).unwrap();
    let gradients = logits.sum_all().unwrap().backward().unwrap();
    assert!(net.parameters().iter().all(|(_, var)| gradients.get(var).is_none()));
    let after: Vec<Vec<f32>> = net.buffers().iter().map(|(_, var)| values(var)).collect();
    assert_eq!(before, after);
}

#[test]
fn the_seed_decides_the_weights() {
    let weights = |seed| build(&small(), seed).state().iter().map(|(_, t)| values(t)).collect::<Vec<_>>();
    assert_eq!(weights(1), weights(1));
    assert_ne!(weights(1), weights(2));
}

#[test]
fn names_are_sorted_and_buffers_are_not_parameters() {
    let net = build(&small(), 0);
    let names = |list: Vec<(String, candle_core::Var)>| list.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let (parameters, buffers) = (names(net.parameters()), names(net.buffers()));
    assert!(parameters.is_sorted() && buffers.is_sorted());
    assert!(parameters.iter().all(|name| !name.contains("running")));
    assert!(buffers.iter().all(|name| name.contains("running")));
}

#[test]
fn state_travels_to_another_network() {
    let (one, other) = (build(&small(), 1), build(&small(), 2));
    one.forward(&images(4, 8, 8), Pass::Train { step: 0 }).unwrap();
    other.load_state(&one.state().into_iter().collect()).unwrap();
    let x = images(2, 8, 8);
    assert_eq!(values(&one.forward(&x, Pass::Eval).unwrap()), values(&other.forward(&x, Pass::Eval).unwrap()));
}

#[test]
fn state_of_another_network_is_refused_by_every_name() {
    let net = build(&small(), 1);
    let before = values(&net.state()[0].1);
    let whole: BTreeMap<String, Tensor> = build(&small(), 2).state().into_iter().collect();

    let refusal = |changes: &[(&str, Option<Tensor>)]| {
        let mut state = whole.clone();
        for (name, tensor) in changes {
            match tensor {
                Some(tensor) => state.insert((*name).to_string(), tensor.clone()),
                None => state.remove(*name),
            };
        }
        net.load_state(&state).unwrap_err().to_string()
    };
    let [norm, wide] = [4, 6].map(|n| Tensor::zeros(n, DType::F32, &Device::Cpu).unwrap());
    let integers = Tensor::zeros(4, DType::U8, &Device::Cpu).unwrap();
    let intro = "the tensors do not match the network";
    let hint = "only the last layer differs: `load_backbone` loads all others";
    assert_eq!(refusal(&[("bn1.bias", None)]), format!("{intro}: 1 missing (bn1.bias)"));
    assert_eq!(refusal(&[("bn9.weight", Some(norm.clone()))]), format!("{intro}: 1 unexpected (bn9.weight)"));
    assert_eq!(
        refusal(&[("fc.bias", Some(wide.clone()))]),
        format!("{intro}: 1 with another shape (fc.bias is [6], the network's [5]); {hint}")
    );
    assert_eq!(
        refusal(&[
            ("bn1.weight", None),
            ("fc.bias", None),
            ("bn9.weight", Some(norm)),
            ("conv1.weight", Some(wide)),
            ("bn1.bias", Some(integers)),
        ]),
        format!(
            "{intro}: 2 missing (bn1.weight, fc.bias); 1 unexpected (bn9.weight); \
             1 with another shape (conv1.weight is [6], the network's [4, 3, 3, 3]); 1 not floating-point (bn1.bias is U8)"
        )
    );

    assert_eq!(before, values(&net.state()[0].1), "a refused state leaves the network as it was");
}

#[test]
fn a_networks_own_tensors_may_change_places() {
    let net = build(&small(), 1);
    net.forward(&images(4, 8, 8), Pass::Train { step: 0 }).unwrap();
    let mut state: BTreeMap<String, Tensor> = net.state().into_iter().collect();
    let before = ["bn1.running_mean", "bn1.running_var"].map(|name| values(&state[name]));
    net.load_state(&state).unwrap();
    let (mean, var) = (state["bn1.running_mean"].clone(), state["bn1.running_var"].clone());
    state.insert("bn1.running_mean".to_string(), var);
    state.insert("bn1.running_var".to_string(), mean);
    net.load_state(&state).unwrap();
    let after: BTreeMap<String, Tensor> = net.state().into_iter().collect();
    assert_eq!(before, ["bn1.running_var", "bn1.running_mean"].map(|name| values(&after[name])));
}

#[test]
fn momentum_and_eps_of_batch_norm_are_the_configurations() {
    let with = |momentum, eps| ResNetConfig { batch_norm: BatchNormConfig { momentum, eps }, ..small() };
    // From a running mean of 0, one batch leaves momentum times its mean.
    let mean = |momentum| {
        let net = build(&with(momentum, 1e-5), 1);
        net.forward(&images(4, 8, 8), Pass::Train { step: 0 }).unwrap();
        values(net.buffers()[0].1.as_tensor())
    };
    assert_eq!(build(&small(), 1).buffers()[0].0, "bn1.running_mean");
    let (whole, part) = (mean(1.0), mean(0.25));
    assert!(whole.iter().any(|value| value.abs() > 1e-3), "{whole:?}");
    for (whole, part) in whole.iter().zip(part) {
        assert!((0.25 * whole - part).abs() < 1e-6, "{whole} {part}");
    }
    // 1 / sqrt(1 + 0.5), for running variances of 1, is 1 / sqrt(1.5 - 1e-5 + 1e-5).
    let (wide, narrow) = (build(&with(0.1, 0.5), 1), build(&with(0.1, 1e-5), 1));
    for (name, var) in narrow.buffers() {
        if name.ends_with("running_var") {
            var.set(&var.as_detached_tensor().affine(0.0, 1.5 - 1e-5).unwrap()).unwrap();
        }
    }
    let logits = |net: &ResNet| values(&net.forward(&images(2, 8, 8), Pass::Eval).unwrap());
    for (wide, narrow) in logits(&wide).iter().zip(logits(&narrow)) {
        assert!((wide - narrow).abs() < 1e-5, "{wide} {narrow}");
    }
    assert!(ResNet::new(&with(f64::NAN, 1e-5), 0, DType::F32, &Device::Cpu).is_err());
}

#[test]
fn wrong_images_are_errors() {
    let net = build(&small(), 0);
    let device = &Device::Cpu;
    let wrong = [
        Tensor::zeros((2, 4, 8, 8), DType::F32, device).unwrap(),
        Tensor::zeros((3, 8, 8), DType::F32, device).unwrap(),
        Tensor::zeros((2, 3, 8, 8), DType::U8, device).unwrap(),
    ];
    for images in wrong {
        assert!(net.forward(&images, Pass::Train { step: 0 }).is_err(), "{:?} {:?}", images.dims(), images.dtype());
    }
}

#[test]
fn fastais_head_drops_out_by_step_and_not_in_evaluation() {
    let config = ResNetConfig { head: Head::Fastai, ..small() };
    let x = images(4, 8, 8);
    let run = |step| values(&build(&config, 3).forward(&x, Pass::Train { step }).unwrap());
    assert_eq!(run(0), run(0));
    assert_ne!(run(0), run(1));
    let net = build(&config, 3);
    let eval = || values(&net.forward(&x, Pass::Eval).unwrap());
    assert_eq!(eval(), eval());
    // Two batch norms of (2 * 8) and 512 features, linear layers 16 -> 512 -> 5.
    let head: usize = 2 * 16 + 2 * 512 + (16 * 512 + 512) + (512 * 5 + 5);
    let trunk = build(&small(), 0).parameter_count() - (8 * 5 + 5);
    assert_eq!(net.parameter_count(), trunk + head);
}

#[test]
fn a_bf16_network_overfits_one_batch() {
    let config = ResNetConfig { widths: vec![16, 32], depths: vec![1, 1], ..ResNetConfig::resnet20(5) };
    let net = ResNet::new(&config, 0, DType::BF16, &Device::Cpu).unwrap();
    let x = images(10, 8, 8).to_dtype(DType::BF16).unwrap();
    let classes = Tensor::from_iter((0..10u32).map(|i| i % 5), &Device::Cpu).unwrap();
    let mut losses = Vec::new();
    for step in 0..150 {
        let logits = net.forward(&x, Pass::Train { step }).unwrap();
        assert_eq!(logits.dtype(), DType::F32);
        let loss = lookahead_kernels::cross_entropy_indices(&logits, &classes, 0.0).unwrap();
        let gradients = loss.backward().unwrap();
        for (_, var) in net.parameters() {
            let update = (gradients.get(&var).unwrap() * 0.1).unwrap();
            var.set(&(var.as_detached_tensor() - update).unwrap()).unwrap();
        }
        losses.push(loss.to_scalar::<f32>().unwrap());
    }
    assert!(losses[0] > 1.0 && losses[149] < 0.05, "{losses:?}");
}

#[test]
fn a_bf16_network_has_the_weights_of_an_f32_one_and_nearly_its_logits() {
    let config = ResNetConfig { widths: vec![16, 32], depths: vec![1, 1], ..ResNetConfig::resnet20(5) };
    let [narrow, wide] = [DType::BF16, DType::F32].map(|dtype| ResNet::new(&config, 1, dtype, &Device::Cpu).unwrap());
    for ((name, narrow), (_, wide)) in narrow.state().iter().zip(&wide.state()) {
        assert_eq!(narrow.dtype(), DType::F32, "{name}");
        assert_eq!(values(narrow), values(wide), "{name}");
    }
    let x = images(4, 8, 8);
    let rounded = x.to_dtype(DType::BF16).unwrap();
    let logits = |net: &ResNet, x: &Tensor| values(&net.forward(x, Pass::Train { step: 0 }).unwrap());
    assert_eq!(logits(&narrow, &x), logits(&narrow, &rounded), "f32 images are rounded");
    // A dozen tensors are stored, each rounded by 2^-9 of a number at most.
    for (narrow, wide) in logits(&narrow, &x).iter().zip(logits(&wide, &x)) {
        assert!((narrow - wide).abs() < 12.0 / 512.0, "{narrow} against {wide}");
    }
    let error = wide.forward(&rounded, Pass::Eval).unwrap_err().to_string();
    assert_eq!(error, "ResNet::forward: images must be F32, as the network is, got BF16");
}
