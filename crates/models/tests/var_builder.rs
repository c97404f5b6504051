//! Networks over candle's `VarBuilder` and `VarMap`.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::{ModuleT, Optimizer, VarBuilder, VarMap};
use lookahead_models::{Error, Head, Pass, ResNet, ResNetConfig, SpeedNet, SpeedNetConfig};

fn small() -> ResNetConfig {
    ResNetConfig { widths: vec![4, 8], depths: vec![1, 1], ..ResNetConfig::resnet20(5) }
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn all(net: &ResNet) -> Vec<(String, Vec<f32>)> {
    net.state().into_iter().map(|(name, tensor)| (name, values(&tensor))).collect()
}

fn fresh(seed: u64) -> ResNet {
    ResNet::new(&small(), seed, DType::F32, &Device::Cpu).unwrap()
}

fn over(varmap: &VarMap, prefix: &str, seed: u64) -> ResNet {
    let builder = VarBuilder::from_varmap(varmap, DType::F32, &Device::Cpu);
    ResNet::from_var_builder(&small(), seed, if prefix.is_empty() { builder } else { builder.pp(prefix) }).unwrap()
}

#[test]
fn a_var_map_holds_the_seeds_weights_under_the_same_names() {
    let varmap = VarMap::new();
    let net = over(&varmap, "", 3);
    assert_eq!(all(&net), all(&fresh(3)));
    let other = fresh(4);
    other.load(&varmap).unwrap();
    assert_eq!(all(&other), all(&net));
    let held = varmap.data().lock().unwrap();
    assert_eq!(held.len(), net.parameters().len() + net.buffers().len());
    for (name, tensor) in net.state() {
        assert_eq!(values(held[&name].as_tensor()), values(&tensor), "{name}");
    }
}

#[test]
fn a_prefix_changes_names_in_the_map_and_no_values() {
    let varmap = VarMap::new();
    let net = over(&varmap, "teacher", 3);
    assert_eq!(all(&net), all(&fresh(3)));
    assert!(varmap.data().lock().unwrap().keys().all(|name| name.starts_with("teacher.")));
    // A second network over the same map is the same network, whatever its seed.
    let again = over(&varmap, "teacher", 4);
    net.forward(&Tensor::ones((2, 3, 8, 8), DType::F32, &Device::Cpu).unwrap(), Pass::Train { step: 0 }).unwrap();
    assert_eq!(all(&net), all(&again));
}

#[test]
fn candles_own_optimizer_save_and_load_work() {
    let (varmap, device) = (VarMap::new(), Device::Cpu);
    let net = over(&varmap, "", 0);
    let mut optimizer = candle_nn::SGD::new(varmap.all_vars(), 0.1).unwrap();
    let images = Tensor::from_iter((0..10 * 192).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0), &device).unwrap();
    let images = images.reshape((10, 3, 8, 8)).unwrap();
    let classes = Tensor::from_iter((0..10u32).map(|i| i % 5), &device).unwrap();
    let mut losses = Vec::new();
    for step in 0..40 {
        let logits = net.forward(&images, Pass::Train { step }).unwrap();
        let loss = candle_nn::loss::cross_entropy(&logits, &classes).unwrap();
        optimizer.backward_step(&loss).unwrap();
        losses.push(loss.to_scalar::<f32>().unwrap());
    }
    assert!(losses[39] < 0.7 * losses[0], "{losses:?}");

    let path = tempfile::tempdir().unwrap().keep().join("net.safetensors");
    varmap.save(&path).unwrap();
    let mut other = VarMap::new();
    let loaded = over(&other, "", 9);
    other.load(&path).unwrap();
    assert_eq!(all(&loaded), all(&net));
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

#[test]
fn tensors_of_a_map_are_copied_and_converted() {
    let trained = fresh(1);
    let tensors: HashMap<String, Tensor> =
        trained.state().into_iter().map(|(name, tensor)| (name, tensor.to_dtype(DType::F64).unwrap())).collect();
    let builder = VarBuilder::from_tensors(tensors.clone(), DType::F32, &Device::Cpu);
    let net = ResNet::from_var_builder(&small(), 0, builder).unwrap();
    assert_eq!(all(&net), all(&trained));

    let mut incomplete = tensors;
    incomplete.remove("fc.bias");
    let builder = VarBuilder::from_tensors(incomplete, DType::F32, &Device::Cpu);
    let error = ResNet::from_var_builder(&small(), 0, builder).unwrap_err().to_string();
    assert!(error.contains("fc.bias"), "{error}");
}

#[test]
fn bf16_networks_keep_f32_weights_and_other_types_are_refused() {
    let varmap = VarMap::new();
    let builder = |dtype| VarBuilder::from_varmap(&varmap, dtype, &Device::Cpu).pp("net");
    let net = ResNet::from_var_builder(&small(), 0, builder(DType::BF16)).unwrap();
    assert_eq!(net.dtype(), DType::BF16);
    assert!(net.state().iter().all(|(_, tensor)| tensor.dtype() == DType::F32));

    let error = ResNet::from_var_builder(&small(), 0, builder(DType::F64)).unwrap_err();
    assert!(matches!(&error, Error::VarType { name, .. } if name == "net.conv1.weight"), "{error}");
    for dtype in [DType::F16, DType::U32] {
        let built = [
            ResNet::from_var_builder(&small(), 0, builder(dtype)).map(drop),
            ResNet::new(&small(), 0, dtype, &Device::Cpu).map(drop),
            SpeedNet::new(&SpeedNetConfig::default(), 0, dtype, &Device::Cpu).map(drop),
        ];
        for error in built.map(Result::unwrap_err) {
            assert_eq!(error.to_string(), format!("dtype is {dtype:?}: it must be F32, F64 or BF16"));
        }
    }
}

/// Generic candle code: it knows neither the networks nor their errors.
#[test]
fn networks_are_candle_s_layers() {
    fn logits(layer: &impl ModuleT, images: &Tensor, train: bool) -> candle_core::Result<Tensor> {
        layer.forward_t(images, train)
    }
    fn mixed(net: &ResNet, images: &Tensor) -> candle_core::Result<Tensor> {
        net.forward(images, Pass::Eval)?.sum_all()
    }
    let images = Tensor::ones((2, 3, 32, 32), DType::F32, &Device::Cpu).unwrap();
    let net = fresh(1);
    let expected = values(&net.forward(&images, Pass::Eval).unwrap());
    assert_eq!(values(&logits(&net, &images, false).unwrap()), expected);
    mixed(&net, &images).unwrap();
    assert!(mixed(&net, &images.narrow(1, 0, 2).unwrap()).is_err());
    let before = all(&net);
    assert_ne!(values(&logits(&net, &images, true).unwrap()), expected);
    assert_ne!(all(&net), before, "the running statistics are those of the batch");

    let config = SpeedNetConfig { widths: vec![4, 4, 4], ..SpeedNetConfig::default() };
    let speed_net = SpeedNet::new(&config, 0, DType::F32, &Device::Cpu).unwrap();
    assert_eq!(logits(&speed_net, &images, true).unwrap().dims(), [2, 10]);

    // Dropout is numbered by a step that candle's trait does not know.
    let fastai = ResNetConfig { head: Head::Fastai, ..small() };
    let fastai = ResNet::new(&fastai, 0, DType::F32, &Device::Cpu).unwrap();
    logits(&fastai, &images, false).unwrap();
    assert!(logits(&fastai, &images, true).unwrap_err().to_string().contains("`ResNet::forward`"));
}
