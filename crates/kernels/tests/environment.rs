//! What an environment variable says is judged once, and a misspelt value stays an error after the first operation.

use std::process::Command;

use candle_core::{DType, Device, Result, Tensor};
use lookahead_kernels as kernels;

/// Runs the ignored test `name` of this file in a process of its own, with an environment variable set.
fn passes_with(name: &str, variable: &str, value: &str) -> Result<()> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--exact", name, "--ignored"])
        .env(variable, value)
        .env("RUST_BACKTRACE", "0")
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    Ok(())
}

#[test]
fn a_misspelt_value_stays_an_error_after_the_first_operation() -> Result<()> {
    passes_with("with_a_misspelt_instruction_set", "LOOKAHEAD_KERNELS_ISA", "avx-512")?;
    passes_with("with_a_misspelt_algorithm", "LOOKAHEAD_KERNELS_CONV", "winograd")
}

fn convolve() -> Result<()> {
    let ones = Tensor::ones((1, 3, 3, 1), DType::F32, &Device::Cpu)?;
    let y = kernels::conv2d(&ones, &ones.reshape((1, 1, 3, 3))?, 1, 0)?;
    assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [9.0]);
    Ok(())
}

#[test]
#[ignore = "run by the test above, with the variable set"]
fn with_a_misspelt_instruction_set() -> Result<()> {
    convolve()?;
    let message = kernels::instruction_set().unwrap_err().to_string();
    assert!(message.ends_with("got \"avx-512\""), "{message}");
    // What the program selects counts more than the variable.
    kernels::set_instruction_set(kernels::InstructionSet::Portable)?;
    assert_eq!(kernels::instruction_set()?, kernels::InstructionSet::Portable);
    Ok(())
}

#[test]
#[ignore = "run by the test above, with the variable set"]
fn with_a_misspelt_algorithm() -> Result<()> {
    convolve()?;
    let message = kernels::conv_algorithm().unwrap_err().to_string();
    assert!(message.ends_with("got \"winograd\""), "{message}");
    kernels::set_conv_algorithm(kernels::ConvAlgorithm::Direct);
    assert_eq!(kernels::conv_algorithm()?, kernels::ConvAlgorithm::Direct);
    Ok(())
}
