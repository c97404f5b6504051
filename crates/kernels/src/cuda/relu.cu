// The rectifier; NaN passes, and the gradient at 0 is 0.

extern "C" __global__ void relu(const element *x, element *y, unsigned elements) {
    for (unsigned i = blockIdx.x * THREADS + threadIdx.x; i < elements; i += gridDim.x * THREADS) {
        wide v = load(x[i]);
        store(&y[i], v < 0 ? (wide)0 : v);
    }
}

extern "C" __global__ void relu_backward(const element *y, const element *dy, element *dx, unsigned elements) {
    for (unsigned i = blockIdx.x * THREADS + threadIdx.x; i < elements; i += gridDim.x * THREADS) {
        store(&dx[i], load(y[i]) <= 0 ? (wide)0 : load(dy[i]));
    }
}
