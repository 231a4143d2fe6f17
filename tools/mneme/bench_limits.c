/* bench_limits.c: read bandwidth and product peak of this machine, measured with the same threads
 * as the run beside them. */
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench.h"
#ifndef MN_REF_PRODUCT
#include <oneapi/dnnl/dnnl.h>
#endif

/* Sum of a share of the buffer: eight chains of 8-byte adds, which the compiler turns into the
 * widest loads it has. */
static uint64_t sum(const uint64_t *p, size_t n)
{
    uint64_t s[8] = {0};
    for (size_t i = 0; i + 8 <= n; i += 8)
        for (size_t j = 0; j < 8; j++) s[j] += p[i + j];
    return s[0] + s[1] + s[2] + s[3] + s[4] + s[5] + s[6] + s[7];
}

double limit_read(size_t bytes, int n_thread)
{
    enum { PASSES = 12 };
    size_t words = bytes / sizeof(uint64_t) / 64 * 64, share = words / (size_t)n_thread / 8 * 8;
    uint64_t *buf = aligned_alloc(4096, (words * sizeof *buf + 4095) / 4096 * 4096), total = 0;
    double best = 0;
    if (!buf) return 0;
    memset(buf, 1, words * sizeof *buf);
    for (int pass = 0; pass < PASSES; pass++) {
        double t0 = mn__clock_s();
#pragma omp parallel for num_threads(n_thread) reduction(+ : total) schedule(static, 1)
        for (int t = 0; t < n_thread; t++) total += sum(buf + (size_t)t * share, share);
        double rate = (double)(share * (size_t)n_thread * sizeof *buf) / (mn__clock_s() - t0);
        if (pass && rate > best) best = rate; /* the first pass wakes the threads */
    }
    volatile uint64_t keep = total; /* the sums are wanted */
    (void)keep;
    free(buf);
    return best;
}

#ifdef MN_REF_PRODUCT /* a build without oneDNN */
double limit_gemm(bool bf16, int n_thread)
{
    (void)bf16;
    (void)n_thread;
    return 0;
}
#else
typedef struct product {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_memory_t mem[3];
    dnnl_primitive_t prim;
} product;

static bool product_make(product *p, const dnnl_memory_desc_t md[3])
{
    dnnl_matmul_desc_t desc;
    dnnl_primitive_desc_t pd = NULL;
    bool ok =
        dnnl_engine_create(&p->engine, dnnl_cpu, 0) == dnnl_success &&
        dnnl_stream_create(&p->stream, p->engine, dnnl_stream_default_flags) == dnnl_success &&
        dnnl_matmul_desc_init(&desc, &md[0], &md[1], NULL, &md[2]) == dnnl_success &&
        dnnl_primitive_desc_create(&pd, &desc, NULL, p->engine, NULL) == dnnl_success &&
        dnnl_primitive_create(&p->prim, pd) == dnnl_success;
    const dnnl_query_t what[3] = {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md};
    for (int i = 0; ok && i < 3; i++)
        ok = dnnl_memory_create(&p->mem[i], dnnl_primitive_desc_query_md(pd, what[i], 0), p->engine,
                                DNNL_MEMORY_ALLOCATE) == dnnl_success;
    for (int i = 0; ok && i < 3; i++) {
        void *data = NULL;
        size_t bytes = dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(pd, what[i], 0));
        ok = dnnl_memory_get_data_handle(p->mem[i], &data) == dnnl_success && data;
        if (ok) memset(data, 0, bytes);
    }
    dnnl_primitive_desc_destroy(pd);
    return ok;
}

static void product_free(product *p)
{
    for (int i = 0; i < 3; i++) dnnl_memory_destroy(p->mem[i]);
    dnnl_primitive_destroy(p->prim);
    dnnl_stream_destroy(p->stream);
    dnnl_engine_destroy(p->engine);
}

/* One size and the best of many runs. */
static double product_rate(bool bf16, dnnl_dim_t m, dnnl_dim_t k, dnnl_dim_t n)
{
    dnnl_memory_desc_t md[3];
    product p = {0};
    double best = 0;
    dnnl_data_type_t in = bf16 ? dnnl_bf16 : dnnl_f32;
    bool ok =
        dnnl_memory_desc_init_by_tag(&md[0], 2, (dnnl_dims_t){m, k}, in, dnnl_ab) == dnnl_success &&
        dnnl_memory_desc_init_by_tag(&md[1], 2, (dnnl_dims_t){k, n}, in, dnnl_format_tag_any) ==
            dnnl_success &&
        dnnl_memory_desc_init_by_tag(&md[2], 2, (dnnl_dims_t){m, n}, dnnl_f32, dnnl_ab) ==
            dnnl_success &&
        product_make(&p, md);
    dnnl_exec_arg_t arg[3] = {
        {DNNL_ARG_SRC, p.mem[0]}, {DNNL_ARG_WEIGHTS, p.mem[1]}, {DNNL_ARG_DST, p.mem[2]}};
    for (double t0 = mn__clock_s(); ok && mn__clock_s() - t0 < 0.4;) {
        double t1 = mn__clock_s();
        ok = dnnl_primitive_execute(p.prim, p.stream, 3, arg) == dnnl_success &&
             dnnl_stream_wait(p.stream) == dnnl_success;
        double rate = 2.0 * (double)m * (double)k * (double)n / (mn__clock_s() - t1);
        if (ok && rate > best) best = rate;
    }
    product_free(&p);
    return best;
}

double limit_gemm(bool bf16, int n_thread)
{
    omp_set_num_threads(n_thread);
    double best = 0;
    const dnnl_dim_t size[] = {256, 512, 1024, 2048};
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        double rate = product_rate(bf16, size[i], size[i], size[i]);
        if (rate > best) best = rate;
    }
    return best;
}
#endif
