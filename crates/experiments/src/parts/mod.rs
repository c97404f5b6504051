//! Builds data, network, optimizer, schedules and device from a configuration.

mod data;
mod device;
mod images;
mod model;
mod moments_zeroed;
mod network;
mod optimizer;
mod schedule;
mod sealed;
mod text;

pub use data::Data;
pub use device::open_device;
pub use images::ImageData;
pub use model::{language_model, model};
pub use moments_zeroed::MomentsZeroed;
pub use network::Network;
pub use optimizer::optimizer;
pub use schedule::Schedules;
pub use sealed::Sealed;
pub use text::TextData;
