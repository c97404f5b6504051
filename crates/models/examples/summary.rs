//! Prints a network's parameters: `cargo run --release --example summary -- resnet50 imagenet`.

use candle_core::{DType, Device};
use lookahead_models::{ResNet, ResNetConfig, Stem};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "resnet20".to_string());
    let stem = match arguments.next().as_deref() {
        None | Some("cifar") => Stem::Cifar,
        Some("imagenet") => Stem::ImageNet,
        Some(other) => return Err(format!("unknown stem {other:?}: cifar or imagenet").into()),
    };
    let net = ResNet::new(&ResNetConfig::by_name(&name, stem, 10)?, 0, DType::F32, &Device::Cpu)?;
    for (name, var) in net.parameters() {
        println!("{name:<32} {:>20} {:>12}", format!("{:?}", var.dims()), var.elem_count());
    }
    println!("{:<32} {:>20} {:>12}", "all", "", net.parameter_count());
    Ok(())
}
