/* bench_limits.c: read bandwidth and product peak of this machine, measured with the same threads
 * as the run beside them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/team.h"
#include "bench.h"
#ifndef MN_REF_PRODUCT
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#endif

typedef uint64_t line __attribute__((vector_size(64))); /* of the caches */
enum {
    RUN = 4,    /* lines of one stream in turn */
    AHEAD = 32, /* lines that a stream asks for before their turn */
};

/* Sum of n lines, read as n_stream streams side by side. */
static uint64_t sum(const line *p, size_t n, size_t n_stream)
{
    line s[2] = {{0}};
    const size_t part = n / n_stream;
    for (size_t i = 0; i + RUN <= part; i += RUN)
        for (size_t k = 0; k < n_stream; k++) {
            const line *from = p + k * part + i;
            for (size_t j = 0; j < RUN; j++) {
                __builtin_prefetch(from + AHEAD + j);
                s[j % 2] += from[j];
            }
        }
    s[0] += s[1];
    return s[0][0] + s[0][1] + s[0][2] + s[0][3] + s[0][4] + s[0][5] + s[0][6] + s[0][7];
}

typedef struct reading {
    const line *buf;                 /* AHEAD lines more are allocated, never read */
    size_t n_line, n_stream, n_time; /* what a pass reads, and how often */
    _Atomic uint64_t total;          /* the sums are wanted: no read may be left out */
} reading;

static void read_share(const mn__crew *crew, void *arg)
{
    reading *r = arg;
    size_t begin, end;
    mn__team_split(crew, r->n_line, r->n_stream * RUN, &begin, &end);
    for (size_t i = 0; i < r->n_time; i++)
        r->total += sum(r->buf + begin, end - begin, r->n_stream);
}

/* Bytes/s; best of some passes. A pass reads so much that waking the threads does not count. */
static double read_rate(mn__team *team, reading *r)
{
    enum { PASSES = 8, PASS_BYTES = 1 << 24 };
    const size_t bytes = r->n_line * sizeof *r->buf;
    double best = 0;
    r->n_time = PASS_BYTES / (bytes + 1) + 1;
    for (int pass = 0; pass < PASSES; pass++) {
        double t0 = mn__clock_s();
        mn__team_run(team, read_share, r);
        double rate = (double)(bytes * r->n_time) / (mn__clock_s() - t0);
        if (rate > best) best = rate;
    }
    return best;
}

/* A thread that reads one stream waits for memory most of the time; several streams keep more
 * requests under way. Both are tried, for the limit is what no order of reading can pass. */
double limit_read(size_t bytes, int n_thread)
{
    enum { STREAMS = 4 };
    const size_t unit = STREAMS * RUN;
    reading r = {.n_line = bytes / sizeof *r.buf / unit * unit};
    const size_t room = (r.n_line + AHEAD) * sizeof *r.buf;
    line *buf = aligned_alloc(4096, (room + 4095) / 4096 * 4096);
    mn__team *team = mn__team_new(n_thread);
    double best = 0;
    if (buf && team) {
        memset(buf, 1, room);
        r.buf = buf;
        for (r.n_stream = 1; r.n_stream <= STREAMS; r.n_stream += STREAMS - 1) {
            double rate = read_rate(team, &r);
            if (rate > best) best = rate;
        }
    }
    mn__team_free(team);
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

machine_time limit_machine_time(void)
{
    enum { FIELDS = 8, STOLEN = 7 }; /* user nice system idle iowait irq softirq steal */
    unsigned long long t[FIELDS] = {0};
    machine_time m = {0, 0};
    FILE *f = fopen("/proc/stat", "r");
    if (!f) return m;
    int n = fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2], &t[3],
                   &t[4], &t[5], &t[6], &t[7]);
    fclose(f);
    for (int i = 0; n == FIELDS && i < FIELDS; i++) m.all += t[i];
    m.stolen = n == FIELDS ? t[STOLEN] : 0;
    return m;
}
