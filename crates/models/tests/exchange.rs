//! Weights from files that other libraries wrote (tests/fixtures/exchange/generate.py), and back.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use candle_core::{DType, Device, Tensor};
use lookahead_models::{BlockKind, Error, Head, Naming, Pass, ResNet, ResNetConfig, Stem, Weights};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/exchange").join(name)
}

fn expected() -> HashMap<String, Tensor> {
    candle_core::safetensors::load(path("expected.safetensors"), &Device::Cpu).unwrap()
}

fn torchvision(classes: usize) -> ResNetConfig {
    ResNetConfig { widths: vec![3, 6], depths: vec![1, 1], ..ResNetConfig::resnet18(Stem::ImageNet, classes) }
}

fn build(config: &ResNetConfig, dtype: DType) -> ResNet {
    ResNet::new(config, 0, dtype, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn logits(net: &ResNet, images: &Tensor) -> Vec<f64> {
    values(&net.forward(&images.to_dtype(net.dtype()).unwrap(), Pass::Eval).unwrap())
}

fn assert_near(actual: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (actual, expected) in actual.iter().zip(expected) {
        assert!((actual - expected).abs() < tolerance, "{what}: {actual} against {expected}");
    }
}

#[test]
fn logits_are_torchs_from_every_format_and_type() {
    let expected = expected();
    // f32's rounding of logits near 1 over a few layers; f64's likewise.
    let (single, double) = (1e-5, 1e-12);
    let cases = [
        ("torchvision.pth", DType::F32, "torchvision", single),
        ("torchvision_legacy.pth", DType::F32, "torchvision", single),
        ("torchvision_checkpoint.pth", DType::F32, "torchvision", single),
        ("torchvision_checkpoint_legacy.pth", DType::F32, "torchvision", single),
        ("torchvision.safetensors", DType::F32, "torchvision", single),
        ("torchvision_f16.safetensors", DType::F32, "torchvision_f16", single),
        ("torchvision_bf16.safetensors", DType::F32, "torchvision_bf16", single),
        ("torchvision_f64.safetensors", DType::F32, "torchvision_f64", single),
        ("torchvision_f64.safetensors", DType::F64, "torchvision_f64", double),
    ];
    for (file, dtype, key, tolerance) in cases {
        let net = build(&torchvision(5), dtype);
        let loaded = net.load(Weights::read(path(file)).unwrap()).unwrap();
        assert_eq!(loaded.naming, Naming::Torchvision, "{file}");
        assert_eq!((loaded.tensors, loaded.kept.len()), (net.state().len(), 0), "{file}");
        // One for each of the six batch norms.
        assert_eq!(loaded.skipped.len(), 6, "{file}");
        assert!(loaded.skipped.iter().all(|name| name.ends_with("num_batches_tracked")), "{file}");
        assert_near(&logits(&net, &expected["images"]), &values(&expected[key]), tolerance, file);
    }
}

#[test]
fn what_was_done_is_said() {
    let net = build(&torchvision(5), DType::F32);
    let loaded = net.load(Weights::read(path("torchvision_f16.safetensors")).unwrap()).unwrap();
    assert_eq!(loaded.converted, [DType::F16]);
    assert_eq!(
        loaded.to_string(),
        "32 tensors loaded under the names of torchvision, converted from F16; skipped: 6 num_batches_tracked"
    );
}

#[test]
fn transformers_names_are_understood() {
    let config = ResNetConfig {
        block: BlockKind::Bottleneck,
        widths: vec![2, 4],
        depths: vec![1, 2],
        ..ResNetConfig::resnet50(Stem::ImageNet, 3)
    };
    let (net, expected) = (build(&config, DType::F32), expected());
    let weights = Weights::read(path("transformers.safetensors")).unwrap();
    let loaded = net.load(&weights).unwrap();
    assert_eq!(loaded.naming, Naming::Transformers);
    assert!(loaded.skipped.contains(&"resnet.embedder.embedder.normalization.num_batches_tracked".to_string()));
    assert_near(&logits(&net, &expected["images"]), &values(&expected["transformers"]), 1e-5, "logits");

    // `ResNetModel` has no head, and no `resnet.` before its names.
    let inner: Weights = weights
        .tensors()
        .iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix("resnet.")?.to_string(), tensor.clone())))
        .collect();
    let loaded = build(&ResNetConfig { classes: 7, ..config }, DType::F32).load_backbone(inner).unwrap();
    assert_eq!(loaded.kept, ["fc.bias", "fc.weight"]);
}

#[test]
fn another_number_of_classes_is_one_call() {
    let weights = Weights::read(path("torchvision.pth")).unwrap();
    for head in [Head::Linear, Head::Fastai] {
        let net = build(&ResNetConfig { head, ..torchvision(9) }, DType::F32);
        let of_head = |name: &str| name.starts_with("fc.") || name.starts_with("head.");
        let before: HashMap<String, Vec<f64>> = net.state().iter().map(|(name, t)| (name.clone(), values(t))).collect();
        let loaded = net.load_backbone(&weights).unwrap();
        for (name, tensor) in net.state() {
            let expected = if of_head(&name) { &before[&name] } else { &values(&weights.tensors()[&name]) };
            assert_eq!(&values(&tensor), expected, "{name}");
        }
        let names = |net: &ResNet| net.state().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        let kept: Vec<String> = names(&net).into_iter().filter(|name| of_head(name)).collect();
        assert_eq!(loaded.kept, kept);
        assert_eq!(loaded.tensors + loaded.kept.len(), net.state().len());
        assert!(loaded.skipped.contains(&"fc.weight".to_string()) && loaded.skipped.len() == 8, "{loaded:?}");
    }
    // As many classes, and the head is still not taken.
    assert_eq!(build(&torchvision(5), DType::F32).load_backbone(&weights).unwrap().kept, ["fc.bias", "fc.weight"]);
}

#[test]
fn another_shape_is_refused_whole_and_the_head_is_hinted_at() {
    let weights = Weights::read(path("torchvision.pth")).unwrap();
    let net = build(&torchvision(9), DType::F32);
    let before: Vec<Vec<f64>> = net.state().iter().map(|(_, tensor)| values(tensor)).collect();
    let error = net.load(&weights).unwrap_err();
    let Error::Weights(mismatch) = &error else { panic!("{error}") };
    let misshapen: Vec<&str> = mismatch.misshapen.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!((misshapen, mismatch.head_only), (vec!["fc.bias", "fc.weight"], true));
    assert!(error.to_string().contains("load_backbone"), "{error}");

    let deeper = build(&ResNetConfig { depths: vec![1, 2], ..torchvision(5) }, DType::F32);
    let Error::Weights(mismatch) = deeper.load(&weights).unwrap_err() else { panic!() };
    assert_eq!((mismatch.missing.len(), mismatch.head_only), (10, false));
    assert!(mismatch.missing.iter().all(|name| name.starts_with("layer2.1.")), "{mismatch}");
    assert_eq!(before, net.state().iter().map(|(_, tensor)| values(tensor)).collect::<Vec<_>>());
}

#[test]
fn maps_and_lists_are_weights_too() {
    let (one, other) = (build(&torchvision(5), DType::F32), ResNet::new(&torchvision(5), 1, DType::F32, &Device::Cpu));
    let other = other.unwrap();
    let map: HashMap<String, Tensor> = one.state().into_iter().collect();
    assert!(other.load(map).unwrap().skipped.is_empty());
    other.load(one.state()).unwrap();
    let twice = one.state().into_iter().map(|(name, tensor)| (format!("module.{name}"), tensor));
    other.load(twice.collect::<Weights>()).unwrap();
}

#[test]
fn saved_files_are_read_back() {
    let (folder, net) = (tempfile::tempdir().unwrap(), build(&torchvision(5), DType::F32));
    net.load(Weights::read(path("torchvision.pth")).unwrap()).unwrap();
    let file = folder.path().join("net.safetensors");
    net.save(&file).unwrap();
    let other = build(&torchvision(5), DType::F64);
    assert_eq!(other.load(Weights::read(&file).unwrap()).unwrap().converted, [DType::F32]);
    for ((name, saved), (_, read)) in net.state().iter().zip(other.state()) {
        assert_eq!(values(saved), values(&read), "{name}");
    }
    let nowhere = folder.path().join("no/such/folder.safetensors");
    assert!(net.save(&nowhere).unwrap_err().to_string().contains("folder.safetensors"));
    // A save that fails leaves nothing behind: here a folder has the file's name.
    let taken = folder.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    assert!(net.save(&taken).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn files_of_another_kind_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = |name: &str, content: &[u8]| {
        let file = folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        Weights::read(file).unwrap_err().to_string()
    };
    assert!(error("empty.pth", b"").ends_with("empty.pth: the file is empty"));
    assert!(error("page.pth", b"<!DOCTYPE html><html>").contains("neither safetensors nor a file of torch.save"));
    // An archive without entries.
    let empty = [b"PK\x05\x06".as_slice(), &[0; 18]].concat();
    assert!(error("empty.zip", &empty).contains("neither"));
    assert!(error("header.safetensors", &[8, 0, 0, 0, 0, 0, 0, 0, b'{', b'x']).contains("header.safetensors: "));
    let missing = Weights::read(folder.path().join("missing.pth")).unwrap_err();
    assert!(matches!(&missing, Error::File { path, .. } if path.ends_with("missing.pth")), "{missing}");
}

/// Whatever a file holds, reading ends with tensors or an error.
#[test]
fn damaged_files_are_no_panics() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("damaged");
    for name in ["torchvision.pth", "torchvision_checkpoint_legacy.pth", "torchvision.safetensors"] {
        let whole = std::fs::read(path(name)).unwrap();
        for length in (0..whole.len()).step_by(97) {
            std::fs::write(&file, &whole[..length]).unwrap();
            assert!(Weights::read(&file).is_err(), "{name} cut off at {length}");
        }
        for position in (0..whole.len()).step_by(13) {
            let mut damaged = whole.clone();
            damaged[position] ^= 1 << (position % 8);
            std::fs::write(&file, &damaged).unwrap();
            let _ = Weights::read(&file);
        }
    }
}
