// Layer norm and RMS norm: a block a row, and for the parameters' gradients a thread a column of some rows.

// The sum of all threads' doubles, each of which is a thread's share in the wide type.
__device__ __forceinline__ double block_total(wide value) {
    __shared__ double shared[THREADS];
    return block_sum(shared, (double)value);
}

extern "C" __global__ void row_norm(const element *x, const parameter *weight, const parameter *bias, element *y, int width,
                                    int centred, double eps, wide *means, wide *reciprocals) {
    long long row = blockIdx.x;
    const element *in = x + row * width;
    wide mean = 0;
    if (centred) {
        wide sum = 0;
        for (int k = threadIdx.x; k < width; k += THREADS) sum += load(in[k]);
        mean = (wide)(block_total(sum) / width);
    }
    // Around the mean, so that nothing cancels where it is large.
    wide squares = 0;
    for (int k = threadIdx.x; k < width; k += THREADS) {
        wide distance = load(in[k]) - mean;
        squares += distance * distance;
    }
    wide reciprocal = (wide)(1.0 / sqrt(block_total(squares) / width + eps));
    for (int k = threadIdx.x; k < width; k += THREADS) {
        wide value = (load(in[k]) - mean) * reciprocal;
        if (weight) value *= load(weight[k]);
        if (bias) value += load(bias[k]);
        store(&y[row * width + k], value);
    }
    if (threadIdx.x == 0) {
        means[row] = mean;
        reciprocals[row] = reciprocal;
    }
}

extern "C" __global__ void row_norm_backward(const element *x, const parameter *weight, const element *dy, element *dx, int width,
                                             int centred, const wide *means, const wide *reciprocals) {
    long long row = blockIdx.x;
    const element *in = x + row * width, *gradient = dy + row * width;
    wide mean = means[row], reciprocal = reciprocals[row], sum = 0, products = 0;
    for (int k = threadIdx.x; k < width; k += THREADS) {
        wide g = load(gradient[k]);
        if (weight) g *= load(weight[k]);
        sum += g;
        products += g * ((load(in[k]) - mean) * reciprocal);
    }
    wide plain = centred ? (wide)(block_total(sum) / width) : (wide)0;
    wide product = (wide)(block_total(products) / width);
    for (int k = threadIdx.x; k < width; k += THREADS) {
        wide g = load(gradient[k]);
        if (weight) g *= load(weight[k]);
        store(&dx[row * width + k], reciprocal * (g - plain - (load(in[k]) - mean) * reciprocal * product));
    }
}

// Per column and part of the rows, the sums of the gradient times the normalised values, and of the gradient.
extern "C" __global__ void row_norm_columns(const element *x, const element *dy, int rows, int width, int rows_per_part,
                                            const wide *means, const wide *reciprocals, double *partials) {
    int k = blockIdx.x * THREADS + threadIdx.x;
    if (k >= width) return;
    int first = blockIdx.y * rows_per_part;
    int last = min(first + rows_per_part, rows);
    wide products = 0, sum = 0;
#pragma unroll 4
    for (int row = first; row < last; ++row) {
        wide g = load(dy[(long long)row * width + k]);
        products += g * ((load(x[(long long)row * width + k]) - means[row]) * reciprocals[row]);
        sum += g;
    }
    partials[(2 * (long long)blockIdx.y) * width + k] = products;
    partials[(2 * (long long)blockIdx.y + 1) * width + k] = sum;
}

// The parts' sums added in their order, to the parameters that there are.
extern "C" __global__ void row_norm_parameters(const double *partials, int parts, int width, parameter *d_weight,
                                               parameter *d_bias) {
    int k = blockIdx.x * THREADS + threadIdx.x;
    if (k >= width) return;
    double weight = 0, bias = 0;
    for (int part = 0; part < parts; ++part) {
        weight += partials[(2 * (long long)part) * width + k];
        bias += partials[(2 * (long long)part + 1) * width + k];
    }
    if (d_weight) store(&d_weight[k], weight);
    if (d_bias) store(&d_bias[k], bias);
}
