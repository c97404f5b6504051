//! What a process chooses once: the instructions and the algorithm of its convolutions.

pub(crate) mod conv_algorithm;
pub(crate) mod instruction_set;

pub use conv_algorithm::{ConvAlgorithm, conv_algorithm, set_conv_algorithm};
pub use instruction_set::{InstructionSet, instruction_set, set_instruction_set};
