//! Process-wide settings: the instruction set and the convolution algorithm.

pub(crate) mod conv_algorithm;
pub(crate) mod instruction_set;

pub use conv_algorithm::{ConvAlgorithm, conv_algorithm, set_conv_algorithm};
pub use instruction_set::{InstructionSet, instruction_set, set_instruction_set};
