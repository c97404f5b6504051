//! Configurations in files.
#![cfg(feature = "serde")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use lookahead_models::{BatchNormConfig, BlockKind, Head, ResNetConfig, Stem};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct File {
    stem: Stem,
    head: Head,
}

#[test]
fn words_are_pinned_and_survive() {
    for (stem, head, text) in [
        (Stem::Cifar, Head::Linear, "stem = \"cifar\"\nhead = \"linear\"\n"),
        (Stem::ImageNet, Head::Fastai, "stem = \"imagenet\"\nhead = \"fastai\"\n"),
    ] {
        let file = File { stem, head };
        assert_eq!(toml::to_string(&file).unwrap(), text);
        assert_eq!(toml::from_str::<File>(text).unwrap(), file);
        let text = serde_json::to_string(&file).unwrap();
        assert_eq!(serde_json::from_str::<File>(&text).unwrap(), file, "{text}");
    }
}

#[test]
fn other_words_are_refused_by_name() {
    for text in ["stem = 'image-net'\nhead = 'linear'", "stem = 'cifar'\nhead = 'image-net'"] {
        let error = toml::from_str::<File>(text).unwrap_err();
        // The message alone: as text the error quotes the line.
        assert!(error.message().contains("`image-net`"), "{error}");
    }
}

#[test]
fn whole_configurations_survive_and_leave_out_defaults() {
    let batch_norm = BatchNormConfig { momentum: 0.4, ..BatchNormConfig::default() };
    let config = ResNetConfig { batch_norm, ..ResNetConfig::resnet50(Stem::Cifar, 10) };
    let text = toml::to_string(&config).unwrap();
    assert!(text.contains("block = \"bottleneck\"") && text.contains("[batch_norm]\nmomentum = 0.4\n"), "{text}");
    assert_eq!(toml::from_str::<ResNetConfig>(&text).unwrap(), config);

    let short: ResNetConfig = toml::from_str("classes = 10\nblock = 'basic'\nbatch_norm.eps = 1e-3").unwrap();
    assert_eq!(short.block, BlockKind::Basic);
    assert_eq!(short.batch_norm, BatchNormConfig { momentum: 0.1, eps: 1e-3 });
    assert_eq!(
        ResNetConfig { batch_norm: BatchNormConfig::default(), ..short },
        ResNetConfig::resnet18(Stem::ImageNet, 10)
    );
    let error = toml::from_str::<ResNetConfig>("batch_norm = { epsilon = 1.0 }").unwrap_err();
    assert!(error.message().contains("`epsilon`"), "{error}");
}
