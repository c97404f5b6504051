//! Programs written against candle alone, beside the same with Lookahead: they differ in at most five lines, and both train.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

macro_rules! programs {
    ($($name:ident: $file:literal;)*) => {
        $(
            #[path = $file]
            #[allow(dead_code, reason = "an example has a main function")]
            mod $name;
        )*
    };
}

programs! {
    characters: "../examples/characters.rs";
    characters_candle: "../examples/characters-candle.rs";
    digits: "../examples/digits.rs";
    digits_candle: "../examples/digits-candle.rs";
    ring: "../examples/ring.rs";
    ring_candle: "../examples/ring-candle.rs";
}

/// Lines of `ours` that are not in `plain`, in order: what somebody types who moves the program. Its description does not count.
fn typed(plain: &str, ours: &str) -> usize {
    let lines = |text: &'static str| text.lines().filter(|line| !line.starts_with("//!")).collect::<Vec<_>>();
    let (plain, ours) = (lines(plain.to_owned().leak()), lines(ours.to_owned().leak()));
    // The longest common subsequence, by the textbook.
    let mut common = vec![vec![0; ours.len() + 1]; plain.len() + 1];
    for (i, a) in plain.iter().enumerate() {
        for (j, b) in ours.iter().enumerate() {
            common[i + 1][j + 1] = if a == b { common[i][j] + 1 } else { common[i][j + 1].max(common[i + 1][j]) };
        }
    }
    let kept = common[plain.len()][ours.len()];
    (ours.len() - kept).max(plain.len() - kept)
}

#[test]
fn at_most_five_lines_differ() {
    assert_eq!(typed("a\nb\nc", "a\nx\nc\nd"), 2);
    for (name, plain, ours) in [
        ("characters", include_str!("../examples/characters-candle.rs"), include_str!("../examples/characters.rs")),
        ("digits", include_str!("../examples/digits-candle.rs"), include_str!("../examples/digits.rs")),
        ("ring", include_str!("../examples/ring-candle.rs"), include_str!("../examples/ring.rs")),
    ] {
        let differ = typed(plain, ours);
        assert!((1..=5).contains(&differ), "{name}: {differ} lines differ");
    }
}

type Train = fn(usize) -> candle_core::Result<(f32, f32)>;

#[test]
fn both_versions_train() {
    // Of the loss, or of the distance, what may be left. candle's draws on a CPU have no seed, and a ring sometimes starts so near that little
    // is left to learn: one of three tries has to train.
    let programs: [(&str, Train, usize, f32); 6] = [
        ("characters with candle", characters_candle::train, 60, 0.5),
        ("characters", characters::train, 60, 0.5),
        ("digits with candle", digits_candle::train, 60, 0.5),
        ("digits", digits::train, 60, 0.5),
        ("ring with candle", ring_candle::train, 600, 0.9),
        ("ring", ring::train, 600, 0.9),
    ];
    for (name, train, steps, left) in programs {
        let tries: Vec<(f32, f32)> = (0..3).map(|_| train(steps).unwrap()).collect();
        println!("{name}: {tries:?}");
        assert!(tries.iter().any(|(before, after)| *after < left * before), "{name}: {tries:?}");
    }
}
