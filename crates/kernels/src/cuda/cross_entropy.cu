// Cross-entropy with label smoothing: a block a row. Targets are (N, K) weights, or class numbers where `targets` is null.
// Targets, loss and its gradient are of the wide type: f32 beside bf16 logits.

__device__ __forceinline__ wide target(const wide *targets, const unsigned *indices, long long row, int k, int classes) {
    return targets ? targets[row * classes + k] : (wide)(indices[row] == (unsigned)k ? 1 : 0);
}

__device__ wide block_max(wide *shared, wide value) {
    shared[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half && !(shared[threadIdx.x] > shared[threadIdx.x + half])) {
            shared[threadIdx.x] = shared[threadIdx.x + half];
        }
        __syncthreads();
    }
    wide largest = shared[0];
    __syncthreads();
    return largest;
}

// The mean loss, which the last block sums, and for the backward pass a row's largest logit, its sum of exponentials of the distances
// from it, and its sum of targets. Largest logit and sum stay apart: added to logits of a million, the sum's logarithm would be rounded
// to sixteenths. A class number that is none gives NaN, here and as the row's gradient, since nobody waits for the device to tell.
extern "C" __global__ void cross_entropy_rows(const element *logits, const wide *targets, const unsigned *indices, int classes,
                                              double smoothing, double *losses, wide *maxima, wide *sums, wide *weights,
                                              unsigned *gates, wide *mean) {
    __shared__ wide shared[THREADS];
    __shared__ double shared_sum[THREADS];
    long long row = blockIdx.x;
    const element *in = logits + row * classes;
    wide largest = -(wide)__longlong_as_double(0x7ff0000000000000LL), weight = 0;
    for (int k = threadIdx.x; k < classes; k += THREADS) {
        wide v = load(in[k]);
        if (!(v < largest)) largest = v;
        weight += target(targets, indices, row, k, classes);
    }
    largest = block_max(shared, largest);
    weight = block_sum(shared, weight);
    wide sum = 0;
    for (int k = threadIdx.x; k < classes; k += THREADS) sum += exp(load(in[k]) - largest);
    sum = block_sum(shared, sum);
    double log_sum = (double)log(sum);
    double spread = smoothing * (double)weight / classes, loss = 0;
    for (int k = threadIdx.x; k < classes; k += THREADS) {
        double t = (1.0 - smoothing) * (double)target(targets, indices, row, k, classes) + spread;
        // A class without weight adds nothing, even where its logit is minus infinity.
        if (t != 0) loss += t * (log_sum - ((double)load(in[k]) - (double)largest));
    }
    loss = block_sum(shared_sum, loss);
    if (threadIdx.x == 0) {
        bool known = targets || indices[row] < (unsigned)classes;
        double nan = __longlong_as_double(0x7ff8000000000000LL);
        losses[row] = known ? loss : nan;
        maxima[row] = largest;
        sums[row] = sum;
        weights[row] = known ? weight : (wide)nan;
    }
    unsigned opened;
    if (arrive(gates, gridDim.x, opened)) {
        double sum = 0;
        for (unsigned row = threadIdx.x; row < gridDim.x; row += THREADS) sum += __ldcg(&losses[row]);
        sum = block_sum(shared_sum, sum);
        if (threadIdx.x == 0) store(mean, sum / gridDim.x);
        open(gates);
    }
}

// `upstream` is the gradient of the loss, read where it is.
extern "C" __global__ void cross_entropy_backward(const element *logits, const wide *targets, const unsigned *indices,
                                                  unsigned elements, int classes, int rows, double smoothing,
                                                  const wide *upstream, const wide *maxima, const wide *sums,
                                                  const wide *weights, element *d_logits) {
    unsigned i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= elements) return;
    unsigned row = i / classes;
    int k = i % classes;
    wide weight = weights[row];
    wide t = (wide)(1.0 - smoothing) * target(targets, indices, row, k, classes) + (wide)smoothing * weight / classes;
    wide probability = exp(load(logits[i]) - maxima[row]) / sums[row];
    store(&d_logits[i], *upstream / rows * (weight * probability - t));
}
