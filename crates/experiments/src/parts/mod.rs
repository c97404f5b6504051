//! What is built from a configuration: data, network, optimizer, schedules, device.

mod data;
mod device;
mod model;
mod moments_zeroed;
mod network;
mod optimizer;
mod schedule;
mod test_images;

pub use data::Data;
pub use device::open_device;
pub use model::model;
pub use moments_zeroed::MomentsZeroed;
pub use network::Network;
pub use optimizer::optimizer;
pub use schedule::Schedules;
pub use test_images::TestImages;
