// Batch norm over a matrix of `rows` pixels and `channels`. A block of a summing kernel looks at `tile` neighbouring channels, a
// power of two: thread t takes channel t % tile of every (THREADS / tile)-th row.

// Per channel, the sums of two numbers over all threads of its column; valid in the tile's first row of threads.
template <typename T> __device__ void column_sums(T *shared_a, T *shared_b, int tile, T &a, T &b) {
    shared_a[threadIdx.x] = a;
    shared_b[threadIdx.x] = b;
    __syncthreads();
    for (unsigned half = THREADS / 2; half >= (unsigned)tile; half /= 2) {
        if (threadIdx.x < half) {
            shared_a[threadIdx.x] += shared_a[threadIdx.x + half];
            shared_b[threadIdx.x] += shared_b[threadIdx.x + half];
        }
        __syncthreads();
    }
    a = shared_a[threadIdx.x];
    b = shared_b[threadIdx.x];
}

// Adds up what `blocks` blocks left for channel `c`.
__device__ void gather(const double *partials, int blocks, int channels, int tile, int c, double &a, double &b) {
    __shared__ double shared_a[THREADS], shared_b[THREADS];
    a = 0;
    b = 0;
    if (c < channels) {
        for (int block = threadIdx.x / tile; block < blocks; block += THREADS / tile) {
            a += partials[(2 * (long long)block) * channels + c];
            b += partials[(2 * (long long)block + 1) * channels + c];
        }
    }
    column_sums(shared_a, shared_b, tile, a, b);
}

// Sums of x - x[first row] and of its square: one pass, and no cancellation as the shift lies among the values.
extern "C" __global__ void moments(const element *x, double *partials, int rows, int channels, int tile, int rows_per_block) {
    __shared__ wide shared_a[THREADS], shared_b[THREADS];
    int c = blockIdx.x * tile + threadIdx.x % tile;
    int first = blockIdx.y * rows_per_block;
    int last = min(first + rows_per_block, rows);
    wide sum = 0, squares = 0;
    if (c < channels) {
        wide shift = load(x[c]);
#pragma unroll 4
        for (int row = first + threadIdx.x / tile; row < last; row += THREADS / tile) {
            wide v = load(x[(long long)row * channels + c]) - shift;
            sum += v;
            squares += v * v;
        }
    }
    column_sums(shared_a, shared_b, tile, sum, squares);
    if (threadIdx.x < tile && c < channels) {
        partials[(2 * (long long)blockIdx.y) * channels + c] = sum;
        partials[(2 * (long long)blockIdx.y + 1) * channels + c] = squares;
    }
}

// Mean and 1 / sqrt(variance + eps) of every channel, and the running statistics moved.
extern "C" __global__ void statistics(const element *x, const double *partials, int blocks, int rows, int channels, int tile,
                                      double eps, double momentum, parameter *running_mean, parameter *running_var, wide *mean,
                                      wide *reciprocal) {
    int c = blockIdx.x * tile + threadIdx.x % tile;
    double sum, squares;
    gather(partials, blocks, channels, tile, c, sum, squares);
    if (threadIdx.x < tile && c < channels) {
        double offset = sum / rows;
        double average = (double)load(x[c]) + offset;
        double variance = squares / rows - offset * offset;
        if (variance < 0) variance = 0;
        mean[c] = (wide)average;
        reciprocal[c] = (wide)(1.0 / sqrt(variance + eps));
        double unbiased = variance * ((double)rows / ((double)rows - 1.0));
        store(&running_mean[c], (1.0 - momentum) * (double)load(running_mean[c]) + momentum * average);
        store(&running_var[c], (1.0 - momentum) * (double)load(running_var[c]) + momentum * unbiased);
    }
}

// The same two numbers from the running statistics.
extern "C" __global__ void frozen_statistics(const parameter *running_mean, const parameter *running_var, int channels, double eps,
                                             wide *mean, wide *reciprocal) {
    int c = blockIdx.x * THREADS + threadIdx.x;
    if (c < channels) {
        mean[c] = (wide)load(running_mean[c]);
        reciprocal[c] = (wide)(1.0 / sqrt((double)load(running_var[c]) + eps));
    }
}

template <int N>
__device__ void normalise(const element *x, const element *residual, element *y, const wide *mean, const wide *reciprocal,
                          const parameter *weight, const parameter *bias, int relu, unsigned elements, unsigned channels) {
    for (unsigned i = blockIdx.x * THREADS + threadIdx.x; i < elements / N; i += gridDim.x * THREADS) {
        unsigned c = (i * N) % channels;
        Pack<N> in = ((const Pack<N> *)x)[i], add, out;
        if (residual) add = ((const Pack<N> *)residual)[i];
#pragma unroll
        for (int k = 0; k < N; ++k) {
            wide v = (load(in.v[k]) - mean[c + k]) * (reciprocal[c + k] * load(weight[c + k])) + load(bias[c + k]);
            if (residual) v += load(add.v[k]);
            store(&out.v[k], relu && v < 0 ? (wide)0 : v);
        }
        ((Pack<N> *)y)[i] = out;
    }
}

extern "C" __global__ void normalise_1(const element *x, const element *residual, element *y, const wide *mean,
                                       const wide *reciprocal, const parameter *weight, const parameter *bias, int relu,
                                       unsigned elements, unsigned channels) {
    normalise<1>(x, residual, y, mean, reciprocal, weight, bias, relu, elements, channels);
}

extern "C" __global__ void normalise_4(const element *x, const element *residual, element *y, const wide *mean,
                                       const wide *reciprocal, const parameter *weight, const parameter *bias, int relu,
                                       unsigned elements, unsigned channels) {
    normalise<4>(x, residual, y, mean, reciprocal, weight, bias, relu, elements, channels);
}

// The gradient that passes the rectifier behind the layer, whose output was y; all of it where y is null, and where y is NaN.
__device__ __forceinline__ wide cut(element dy, const element *y, long long at) {
    return y != nullptr && load(y[at]) <= 0 ? (wide)0 : load(dy);
}

// Sums of g and g * (x - mean), g being the cut gradient.
extern "C" __global__ void gradient_sums(const element *x, const element *y, const element *dy, const wide *mean, double *partials,
                                         int rows, int channels, int tile, int rows_per_block) {
    __shared__ wide shared_a[THREADS], shared_b[THREADS];
    int c = blockIdx.x * tile + threadIdx.x % tile;
    int first = blockIdx.y * rows_per_block;
    int last = min(first + rows_per_block, rows);
    wide plain = 0, centred = 0;
    if (c < channels) {
        wide center = mean[c];
#pragma unroll 4
        for (int row = first + threadIdx.x / tile; row < last; row += THREADS / tile) {
            long long at = (long long)row * channels + c;
            wide g = cut(dy[at], y, at);
            plain += g;
            centred += g * (load(x[at]) - center);
        }
    }
    column_sums(shared_a, shared_b, tile, plain, centred);
    if (threadIdx.x < tile && c < channels) {
        partials[(2 * (long long)blockIdx.y) * channels + c] = plain;
        partials[(2 * (long long)blockIdx.y + 1) * channels + c] = centred;
    }
}

// The gradients of scale and shift, and the three numbers a channel of dx = scale * g + slope * (x - mean) + offset.
// `batch` is 1 / rows where the statistics were the batch's, and 0 where they were constants.
extern "C" __global__ void gradient_terms(const double *partials, int blocks, int channels, int tile, double batch,
                                          const parameter *weight, const wide *reciprocal, parameter *d_weight, parameter *d_bias,
                                          wide *scale, wide *slope, wide *offset) {
    int c = blockIdx.x * tile + threadIdx.x % tile;
    double plain, centred;
    gather(partials, blocks, channels, tile, c, plain, centred);
    if (threadIdx.x < tile && c < channels) {
        double r = reciprocal[c];
        double s = (double)load(weight[c]) * r;
        store(&d_weight[c], centred * r);
        store(&d_bias[c], plain);
        scale[c] = (wide)s;
        slope[c] = (wide)(-s * r * r * centred * batch);
        offset[c] = (wide)(-s * plain * batch);
    }
}

template <int N>
__device__ void normalise_backward(const element *x, const element *y, const element *dy, element *dx, element *d_residual,
                                   const wide *mean, const wide *scale, const wide *slope, const wide *offset, unsigned elements,
                                   unsigned channels) {
    for (unsigned i = blockIdx.x * THREADS + threadIdx.x; i < elements / N; i += gridDim.x * THREADS) {
        unsigned c = (i * N) % channels;
        Pack<N> in = ((const Pack<N> *)x)[i], gradient = ((const Pack<N> *)dy)[i], output, out, passed;
        if (y) output = ((const Pack<N> *)y)[i];
#pragma unroll
        for (int k = 0; k < N; ++k) {
            wide g = y && load(output.v[k]) <= 0 ? (wide)0 : load(gradient.v[k]);
            store(&passed.v[k], g);
            store(&out.v[k], scale[c + k] * g + slope[c + k] * (load(in.v[k]) - mean[c + k]) + offset[c + k]);
        }
        ((Pack<N> *)dx)[i] = out;
        if (d_residual) ((Pack<N> *)d_residual)[i] = passed;
    }
}

extern "C" __global__ void normalise_backward_1(const element *x, const element *y, const element *dy, element *dx,
                                                element *d_residual, const wide *mean, const wide *scale, const wide *slope,
                                                const wide *offset, unsigned elements, unsigned channels) {
    normalise_backward<1>(x, y, dy, dx, d_residual, mean, scale, slope, offset, elements, channels);
}

extern "C" __global__ void normalise_backward_4(const element *x, const element *y, const element *dy, element *dx,
                                                element *d_residual, const wide *mean, const wide *scale, const wide *slope,
                                                const wide *offset, unsigned elements, unsigned channels) {
    normalise_backward<4>(x, y, dy, dx, d_residual, mean, scale, slope, offset, elements, channels);
}
