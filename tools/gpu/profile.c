// The kernels that a program spends its GPU's time in. CUDA's driver loads this where CUDA_INJECTION64_PATH names it, and CUPTI, which
// torch brings, says when each kernel began and ended. At the program's end the ten longest are written to stderr.
#include <cupti.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KERNELS 512
#define BUFFER (1 << 20)

// Kernels by name; the last takes what finds no place.
static struct {
    char name[200];
    uint64_t nanoseconds, times;
} kernels[KERNELS];
static uint64_t first = UINT64_MAX, last;

static void count(const CUpti_ActivityKernel10 *kernel) {
    const char *name = kernel->name ? kernel->name : "without a name";
    int at = 0;
    while (at + 1 < KERNELS && kernels[at].times && strncmp(kernels[at].name, name, sizeof kernels[at].name - 1)) ++at;
    strncpy(kernels[at].name, name, sizeof kernels[at].name - 1);
    kernels[at].nanoseconds += kernel->end - kernel->start;
    kernels[at].times += 1;
    if (kernel->start < first) first = kernel->start;
    if (kernel->end > last) last = kernel->end;
}

static void CUPTIAPI give_buffer(uint8_t **buffer, size_t *size, size_t *records) {
    *buffer = aligned_alloc(8, BUFFER);
    *size = *buffer ? BUFFER : 0;
    *records = 0;
}

static void CUPTIAPI take_buffer(CUcontext context, uint32_t stream, uint8_t *buffer, size_t size, size_t valid) {
    (void)context, (void)stream, (void)size;
    CUpti_Activity *record = NULL;
    while (cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS) {
        if (record->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) count((const CUpti_ActivityKernel10 *)record);
    }
    free(buffer);
}

static int longer(const void *a, const void *b) {
    const uint64_t *left = &((const __typeof__(kernels[0]) *)a)->nanoseconds;
    const uint64_t *right = &((const __typeof__(kernels[0]) *)b)->nanoseconds;
    return (*left < *right) - (*left > *right);
}

static void report(void) {
    cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
    uint64_t busy = 0, times = 0;
    for (int i = 0; i < KERNELS; ++i) busy += kernels[i].nanoseconds, times += kernels[i].times;
    qsort(kernels, KERNELS, sizeof kernels[0], longer);
    fprintf(stderr, "profile: %.1f ms in %llu kernels, from the first's begin to the last's end %.1f ms\n", busy / 1e6,
            (unsigned long long)times, times ? (last - first) / 1e6 : 0.0);
    for (int i = 0; i < 10 && kernels[i].times; ++i) {
        fprintf(stderr, "profile: %10.1f us %6llu times  %s\n", kernels[i].nanoseconds / 1e3, (unsigned long long)kernels[i].times,
                kernels[i].name);
    }
}

// The driver calls this once it is loaded.
int InitializeInjection(void) {
    CUptiResult status = cuptiActivityRegisterCallbacks(give_buffer, take_buffer);
    if (status == CUPTI_SUCCESS) status = cuptiActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL);
    const char *text = "";
    if (status != CUPTI_SUCCESS) {
        cuptiGetResultString(status, &text);
        fprintf(stderr, "profile: CUPTI refuses: %s\n", text);
        return 0;
    }
    atexit(report);
    return 1;
}
