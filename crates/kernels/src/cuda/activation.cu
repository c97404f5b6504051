// Functions of one number; backward reads their input. `kind` is the number that activation.rs gives each.

__device__ __forceinline__ wide bounded(wide x) { return x < -40 ? (wide)-40 : x > 40 ? (wide)40 : x; }

// The normal distribution's function and its density.
__device__ __forceinline__ wide probability(wide x) { return (wide)0.5 * erfc(x * (wide)-0.70710678118654752440); }
__device__ __forceinline__ wide density(wide x) { return (wide)0.39894228040143267794 * exp((wide)-0.5 * x * x); }

// The tangent of GELU's second form.
__device__ __forceinline__ wide gelu_tangent(wide x) {
    return tanh((wide)0.79788456080286535588 * (x + (wide)0.044715 * x * x * x));
}

__device__ wide value(int kind, wide x) {
    switch (kind) {
    case 0:
        return x * probability(x);
    case 1:
        return x * ((1 + gelu_tangent(x)) / 2);
    default:
        return x / (1 + exp(-x));
    }
}

__device__ wide slope(int kind, wide x) {
    wide at = bounded(x);
    switch (kind) {
    case 0:
        return probability(x) + at * density(at);
    case 1: {
        wide tangent = gelu_tangent(at);
        wide inner = (wide)0.79788456080286535588 * (1 + (wide)0.134145 * at * at);
        return (1 + tangent) / 2 + at * (1 - tangent * tangent) / 2 * inner;
    }
    default: {
        wide share = 1 / (1 + exp(-at));
        return share + at * share / (1 + exp(at));
    }
    }
}

extern "C" __global__ void activate(const element *x, element *y, int kind, unsigned elements) {
    for (unsigned i = blockIdx.x * THREADS + threadIdx.x; i < elements; i += gridDim.x * THREADS) {
        store(&y[i], value(kind, load(x[i])));
    }
}

extern "C" __global__ void activate_backward(const element *x, const element *dy, element *dx, int kind, unsigned elements) {
    for (unsigned i = blockIdx.x * THREADS + threadIdx.x; i < elements; i += gridDim.x * THREADS) {
        store(&dx[i], load(dy[i]) * slope(kind, load(x[i])));
    }
}
