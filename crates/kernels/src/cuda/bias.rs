//! The launches of a bias over pixels; the kernels are in `bias.cu`.

use crate::cuda::call::{Argument, Call, Pointer};
use crate::cuda::columns::Matrix;
use crate::cuda::source::File;
use crate::cuda::stream::Meeting;

impl Matrix {
    /// Adds a bias (C) to every row of `x`, in place.
    pub(crate) fn add_bias(&self, x: Pointer, bias: Pointer) -> Call {
        let mut arguments = vec![x.into()];
        arguments.extend(self.extents());
        arguments.push(bias.into());
        self.call(File::Bias(self.pack(&[x])), "add_bias", None, arguments)
    }

    /// The gradient of the bias to `d_bias`; `partials` is scratch for [`partials`](Self::partials) doubles.
    pub(crate) fn bias_gradient(&self, dy: Pointer, partials: Pointer, meeting: &Meeting, d_bias: Pointer) -> Call {
        let mut arguments: Vec<Argument> = [dy, partials, meeting.gates].map(Argument::from).to_vec();
        arguments.extend(self.extents());
        arguments.push(d_bias.into());
        self.call(File::Bias(self.pack(&[dy])), "bias_gradient", Some(meeting.blocks), arguments)
    }
}
