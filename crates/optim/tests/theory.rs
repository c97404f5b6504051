//! What the paper proves, found in simulation. The simulations are those of the examples.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../examples/momentum-quadratic.rs"]
#[allow(dead_code, reason = "an example has a main function")]
mod momentum_quadratic;
#[path = "../examples/noisy-quadratic.rs"]
#[allow(dead_code, reason = "an example has a main function")]
mod noisy_quadratic;

use lookahead_optim::StatePolicy;

/// Sampling: 50,000 copies at 30 points leave about 0.1 to 0.3 %.
#[test]
fn variances_on_the_noisy_quadratic_are_those_of_the_closed_forms() {
    for case in noisy_quadratic::CASES {
        let (sgd, slow) = case.simulate().unwrap();
        for (name, found, expected) in [("sgd", sgd, case.sgd_variance()), ("slow", slow, case.slow_variance())] {
            let error = (found / expected - 1.0).abs();
            assert!(error < 0.01, "{case:?}: {name} has variance {found}, expected {expected}");
        }
    }
    // An anchor computed independently: 0.27576 and 0.09876.
    let first = noisy_quadratic::CASES[0];
    assert!((first.sgd_variance() - 0.27576).abs() < 5e-6 && (first.slow_variance() - 0.09876).abs() < 5e-6);
}

#[test]
fn convergence_rates_on_the_quadratic_are_the_spectral_radii() {
    // (condition, policy, rate of the best learning rate as published with the theory, to the digits given)
    for (condition, method, published) in [
        (10.0, None, 0.99499),
        (10.0, Some(StatePolicy::Keep), 0.9496),
        (10.0, Some(StatePolicy::Reset), 0.854),
        (100.0, Some(StatePolicy::Keep), 0.9516),
        (100.0, Some(StatePolicy::Reset), 0.859),
        (1000.0, Some(StatePolicy::Keep), 0.9847),
        (1000.0, Some(StatePolicy::Reset), 0.9795),
    ] {
        let (rate, theory) = momentum_quadratic::best(condition, method);
        assert!((theory - published).abs() < 1e-3, "{condition} {method:?}: theory {theory}, published {published}");
        let curvatures = momentum_quadratic::curvatures(condition);
        let found = momentum_quadratic::simulate(&curvatures, rate, method, theory).unwrap();
        assert!((found - theory).abs() < 1e-3, "{condition} {method:?}: simulated {found}, theory {theory}");
    }
}
