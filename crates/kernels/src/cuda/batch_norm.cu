// Batch norm over a matrix of pixels, by the means of columns.cu.

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

// Of some rows of a channel: their number, mean, and sum of squared distances to the mean.
struct Moments {
    double count, mean, squares;
};

// Those of two sets of rows together (Chan, Golub, LeVeque 1979).
__device__ __forceinline__ Moments together(const Moments &a, const Moments &b) {
    double count = a.count + b.count, delta = b.mean - a.mean;
    if (count == 0) return a;
    double share = b.count / count;
    return {count, a.mean + delta * share, a.squares + b.squares + delta * delta * a.count * share};
}

// Merges what all parts left for channel `c`, that of the thread's column: sums of the distances to the part's first row and of their
// squares. Valid in the first `tile` threads.
__device__ Moments merge(const element *x, const double *partials, int parts, int rows_per_part, int rows, int channels, int tile, int c) {
    __shared__ Moments shared[THREADS];
    Moments all = {};
    if (c < channels) {
        for (int part = threadIdx.x / tile; part < parts; part += THREADS / tile) {
            int first = part * rows_per_part;
            double count = min(rows - first, rows_per_part);
            double sum = __ldcg(&partials[2 * (long long)part * channels + c]);
            double square = __ldcg(&partials[(2 * (long long)part + 1) * channels + c]);
            double mean = (double)load(x[(long long)first * channels + c]) + sum / count;
            all = together(all, {count, mean, square - sum * sum / count});
        }
    }
    shared[threadIdx.x] = all;
    __syncthreads();
    for (unsigned half = THREADS / 2; half >= (unsigned)tile; half /= 2) {
        if (threadIdx.x < half) shared[threadIdx.x] = together(shared[threadIdx.x], shared[threadIdx.x + half]);
        __syncthreads();
    }
    all = shared[threadIdx.x];
    __syncthreads();
    return all;
}

// A whole forward pass: the batch's mean and 1 / sqrt(variance + eps), the running statistics, if there are any, moved, and `y`. One pass
// sums x - x[first row of the part] and its square. The shift lies among the values, so a mean far from zero does not cancel; where it is
// an outlier, only the squares of its part lose digits.
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
                Pack<PACK> shift = *(const Pack<PACK> *)(x + (long long)part * rows_per_part * channels + at.c);
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
            Moments all = merge(x, partials, parts, rows_per_part, rows, channels, tile, c);
            if (threadIdx.x < tile && c < channels) {
                double average = all.mean, variance = all.squares / rows;
                // Rounding may leave a constant channel slightly below zero; NaN stays NaN.
                if (variance < 0) variance = 0;
                mean[c] = (wide)average;
                reciprocal[c] = (wide)(1.0 / sqrt(variance + eps));
                if (running_mean) {
                    double unbiased = variance * ((double)rows / ((double)rows - 1.0));
                    store(&running_mean[c], (1.0 - momentum) * (double)load(running_mean[c]) + momentum * average);
                    store(&running_var[c], (1.0 - momentum) * (double)load(running_var[c]) + momentum * unbiased);
                }
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
                // With constant statistics, a NaN sum must not spread over its channel.
                terms[channels + c] = batch > 0 ? (wide)(-s * r * r * centred * batch) : (wide)0;
                terms[2 * channels + c] = batch > 0 ? (wide)(-s * plain * batch) : (wide)0;
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
