// Batch norm over a matrix of `rows` pixels and `channels`. A block looks at `tile` neighbouring channels, a power of two: a thread
// takes PACK of them, of every (THREADS / lanes)-th row, where lanes * PACK is the tile. Rows are cut into parts, of which a block
// takes some; what the parts leave is added in their order, whichever block they fell to.

// Where a thread stands.
struct Place {
    int lanes, line, c;
    bool is_there;
};

__device__ __forceinline__ Place place(int first, int tile, int channels) {
    Place at;
    at.lanes = tile / PACK;
    at.line = threadIdx.x / at.lanes;
    at.c = first + (threadIdx.x % at.lanes) * PACK;
    at.is_there = at.c < channels;
    return at;
}

// Calls `each` with the index of a thread's pack in every row of its block's parts.
template <typename F> __device__ __forceinline__ void walk(const Place &at, int part, int rows_per_part, int rows, int channels, F each) {
    unsigned first = (unsigned)part * rows_per_part, last = min(rows - first, (unsigned)rows_per_part) + first;
#pragma unroll 4
    for (unsigned row = first + at.line; row < last; row += THREADS / at.lanes) each((long long)row * channels + at.c);
}

// The sums of two numbers a channel over all threads of a lane, valid in line 0.
__device__ void lane_sums(int lanes, wide (&a)[PACK], wide (&b)[PACK]) {
    __shared__ wide shared_a[PACK][THREADS], shared_b[PACK][THREADS];
    for (int k = 0; k < PACK; ++k) {
        shared_a[k][threadIdx.x] = a[k];
        shared_b[k][threadIdx.x] = b[k];
    }
    __syncthreads();
    for (unsigned half = THREADS / 2; half >= (unsigned)lanes; half /= 2) {
        if (threadIdx.x < half) {
            for (int k = 0; k < PACK; ++k) {
                shared_a[k][threadIdx.x] += shared_a[k][threadIdx.x + half];
                shared_b[k][threadIdx.x] += shared_b[k][threadIdx.x + half];
            }
        }
        __syncthreads();
    }
    for (int k = 0; k < PACK; ++k) {
        a[k] = shared_a[k][threadIdx.x];
        b[k] = shared_b[k][threadIdx.x];
    }
    __syncthreads();
}

// Leaves a part's two sums.
__device__ void leave(const Place &at, double *partials, int part, int channels, wide (&a)[PACK], wide (&b)[PACK]) {
    lane_sums(at.lanes, a, b);
    if (at.line == 0 && at.is_there) {
        for (int k = 0; k < PACK; ++k) {
            partials[2 * (long long)part * channels + at.c + k] = a[k];
            partials[(2 * (long long)part + 1) * channels + at.c + k] = b[k];
        }
    }
}

// Adds up what all parts left for channel `c`, that of the thread's column; valid in the first `tile` threads.
__device__ void gather(const double *partials, int parts, int channels, int tile, int c, double &a, double &b) {
    __shared__ double shared_a[THREADS], shared_b[THREADS];
    a = 0;
    b = 0;
    if (c < channels) {
        for (int part = threadIdx.x / tile; part < parts; part += THREADS / tile) {
            a += __ldcg(&partials[2 * (long long)part * channels + c]);
            b += __ldcg(&partials[(2 * (long long)part + 1) * channels + c]);
        }
    }
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
    __syncthreads();
}

// Normalises a block's parts of `x`, adds the residual if there is one, and cuts at zero if `relu`.
__device__ void normalise(const Place &at, const element *x, const element *residual, element *y, int parts, int rows_per_part, int rows,
                          int channels, const wide (&center)[PACK], const wide (&scale)[PACK], const wide (&shift)[PACK], int relu) {
    for (int part = blockIdx.y; part < parts; part += gridDim.y) {
        walk(at, part, rows_per_part, rows, channels, [&](long long i) {
            Pack<PACK> in = *(const Pack<PACK> *)(x + i), add, out;
            if (residual) add = *(const Pack<PACK> *)(residual + i);
#pragma unroll
            for (int k = 0; k < PACK; ++k) {
                wide v = (load(in.v[k]) - center[k]) * scale[k] + shift[k];
                if (residual) v += load(add.v[k]);
                store(&out.v[k], relu && v < 0 ? (wide)0 : v);
            }
            *(Pack<PACK> *)(y + i) = out;
        });
    }
}

// A whole forward pass: the batch's mean and 1 / sqrt(variance + eps), the running statistics moved, and `y`. Sums are of x - x[first
// row] and of its square: one pass, and no cancellation, as the shift lies among the values.
extern "C" __global__ void RESIDENT train(const element *x, const element *residual, element *y, double *partials, unsigned *gates,
                                          int rows, int channels, int tile, int parts, int rows_per_part, double eps, double momentum,
                                          const parameter *weight, const parameter *bias, parameter *running_mean,
                                          parameter *running_var, wide *mean, wide *reciprocal, int relu) {
    unsigned *gate = gates + 2 * blockIdx.x;
    for (int first = blockIdx.x * tile; first < channels; first += gridDim.x * tile) {
        Place at = place(first, tile, channels);
        for (int part = blockIdx.y; part < parts; part += gridDim.y) {
            wide sums[PACK] = {}, squares[PACK] = {};
            if (at.is_there) {
                Pack<PACK> shift = *(const Pack<PACK> *)(x + at.c);
                walk(at, part, rows_per_part, rows, channels, [&](long long i) {
                    Pack<PACK> in = *(const Pack<PACK> *)(x + i);
#pragma unroll
                    for (int k = 0; k < PACK; ++k) {
                        wide v = load(in.v[k]) - load(shift.v[k]);
                        sums[k] += v;
                        squares[k] += v * v;
                    }
                });
            }
            leave(at, partials, part, channels, sums, squares);
        }
        unsigned opened;
        if (arrive(gate, gridDim.y, opened)) {
            int c = first + threadIdx.x % tile;
            double sum, square;
            gather(partials, parts, channels, tile, c, sum, square);
            if (threadIdx.x < tile && c < channels) {
                double offset = sum / rows;
                double average = (double)load(x[c]) + offset;
                double variance = square / rows - offset * offset;
                if (variance < 0) variance = 0;
                mean[c] = (wide)average;
                reciprocal[c] = (wide)(1.0 / sqrt(variance + eps));
                double unbiased = variance * ((double)rows / ((double)rows - 1.0));
                store(&running_mean[c], (1.0 - momentum) * (double)load(running_mean[c]) + momentum * average);
                store(&running_var[c], (1.0 - momentum) * (double)load(running_var[c]) + momentum * unbiased);
            }
            open(gate);
        } else {
            wait(gate, opened);
        }
        if (at.is_there) {
            wide center[PACK], scale[PACK], shift[PACK];
            for (int k = 0; k < PACK; ++k) {
                center[k] = __ldcg(&mean[at.c + k]);
                scale[k] = __ldcg(&reciprocal[at.c + k]) * load(weight[at.c + k]);
                shift[k] = load(bias[at.c + k]);
            }
            normalise(at, x, residual, y, parts, rows_per_part, rows, channels, center, scale, shift, relu);
        }
    }
}

// A forward pass with the running statistics, which are left for the backward pass as `train` leaves the batch's.
extern "C" __global__ void evaluate(const element *x, const element *residual, element *y, int rows, int channels, int tile, int parts,
                                    int rows_per_part, double eps, const parameter *weight, const parameter *bias,
                                    const parameter *running_mean, const parameter *running_var, wide *mean, wide *reciprocal,
                                    int relu) {
    for (int first = blockIdx.x * tile; first < channels; first += gridDim.x * tile) {
        Place at = place(first, tile, channels);
        if (!at.is_there) continue;
        wide center[PACK], scale[PACK], shift[PACK];
        for (int k = 0; k < PACK; ++k) {
            int c = at.c + k;
            wide inverse = (wide)(1.0 / sqrt((double)load(running_var[c]) + eps));
            center[k] = (wide)load(running_mean[c]);
            scale[k] = inverse * load(weight[c]);
            shift[k] = load(bias[c]);
            if (blockIdx.y == 0 && at.line == 0) {
                mean[c] = center[k];
                reciprocal[c] = inverse;
            }
        }
        normalise(at, x, residual, y, parts, rows_per_part, rows, channels, center, scale, shift, relu);
    }
}

// The gradient that passes the rectifier behind the layer, whose output was y: none where y is 0 or less, all where y is NaN.
__device__ __forceinline__ wide masked(bool has_y, element y, element dy) { return has_y && load(y) <= 0 ? (wide)0 : load(dy); }

// A whole backward pass. With g the masked gradient, dx = scale * g + slope * (x - mean) + offset; the residual's gradient is g. `batch`
// is 1 / rows where the statistics were the batch's, and 0 where they were constants. `terms` is scratch for the three numbers a channel.
extern "C" __global__ void RESIDENT backward(const element *x, const element *y, const element *dy, element *dx, element *d_residual,
                                             double *partials, unsigned *gates, int rows, int channels, int tile, int parts,
                                             int rows_per_part, double batch, const parameter *weight, const wide *mean,
                                             const wide *reciprocal, parameter *d_weight, parameter *d_bias, wide *terms) {
    unsigned *gate = gates + 2 * blockIdx.x;
    for (int first = blockIdx.x * tile; first < channels; first += gridDim.x * tile) {
        Place at = place(first, tile, channels);
        wide center[PACK];
        for (int k = 0; k < PACK; ++k) center[k] = at.is_there ? mean[at.c + k] : (wide)0;
        for (int part = blockIdx.y; part < parts; part += gridDim.y) {
            wide plain[PACK] = {}, centred[PACK] = {};
            if (at.is_there) {
                walk(at, part, rows_per_part, rows, channels, [&](long long i) {
                    Pack<PACK> in = *(const Pack<PACK> *)(x + i), gradient = *(const Pack<PACK> *)(dy + i), output;
                    if (y) output = *(const Pack<PACK> *)(y + i);
#pragma unroll
                    for (int k = 0; k < PACK; ++k) {
                        wide g = masked(y, output.v[k], gradient.v[k]);
                        plain[k] += g;
                        centred[k] += g * (load(in.v[k]) - center[k]);
                    }
                });
            }
            leave(at, partials, part, channels, plain, centred);
        }
        unsigned opened;
        if (arrive(gate, gridDim.y, opened)) {
            int c = first + threadIdx.x % tile;
            double plain, centred;
            gather(partials, parts, channels, tile, c, plain, centred);
            if (threadIdx.x < tile && c < channels) {
                double r = reciprocal[c];
                double s = (double)load(weight[c]) * r;
                store(&d_weight[c], centred * r);
                store(&d_bias[c], plain);
                terms[c] = (wide)s;
                terms[channels + c] = (wide)(-s * r * r * centred * batch);
                terms[2 * channels + c] = (wide)(-s * plain * batch);
            }
            open(gate);
        } else {
            wait(gate, opened);
        }
        if (!at.is_there) continue;
        wide scale[PACK], slope[PACK], offset[PACK];
        for (int k = 0; k < PACK; ++k) {
            scale[k] = __ldcg(&terms[at.c + k]);
            slope[k] = __ldcg(&terms[channels + at.c + k]);
            offset[k] = __ldcg(&terms[2 * channels + at.c + k]);
        }
        for (int part = blockIdx.y; part < parts; part += gridDim.y) {
            walk(at, part, rows_per_part, rows, channels, [&](long long i) {
                Pack<PACK> in = *(const Pack<PACK> *)(x + i), gradient = *(const Pack<PACK> *)(dy + i), output, out, passed;
                if (y) output = *(const Pack<PACK> *)(y + i);
#pragma unroll
                for (int k = 0; k < PACK; ++k) {
                    wide g = masked(y, output.v[k], gradient.v[k]);
                    store(&passed.v[k], g);
                    store(&out.v[k], scale[k] * g + slope[k] * (load(in.v[k]) - center[k]) + offset[k]);
                }
                *(Pack<PACK> *)(dx + i) = out;
                if (d_residual) *(Pack<PACK> *)(d_residual + i) = passed;
            });
        }
    }
}
