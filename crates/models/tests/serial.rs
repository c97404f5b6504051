//! Stems and heads in files.
#![cfg(feature = "serde")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use lookahead_models::{Head, Stem};
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
