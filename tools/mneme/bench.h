/* bench.h: the pieces of `mneme bench`: the machine's limits, the peer, our own sessions. */
#ifndef MNEME_BENCH_H
#define MNEME_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "args.h"
#include "mneme/mneme.h"

enum { BENCH_PREFILL = 512, BENCH_DEPTH_MAX = 32, BENCH_REPEAT_MAX = 32 };

/* ---- limits: what no program on this machine can pass ---- */
/* Bytes/s of n_thread threads reading a buffer of `bytes` (as large as what a step reads) over and
 * over, in one stream or in four each; the best. 0: no memory. */
double limit_read(size_t bytes, int n_thread);
/* Multiply-adds * 2 per second of oneDNN's own product, bf16 (or f32 below avx512bf16), n_thread
 * threads; 0 when it cannot. */
double limit_gemm(bool bf16, int n_thread);
/* Processor time of this machine since it started, in ticks: all of it, and what its host gave to
 * others meanwhile (0 where nothing says so). */
typedef struct machine_time {
    unsigned long long all, stolen;
} machine_time;
machine_time limit_machine_time(void);

/* ---- the peer: llama_decode of the libllama we are linked with ---- */
typedef struct peer peer;
typedef struct peer_params {
    const char *path;
    size_t n_ctx;
    int n_thread;
    bool flash;
    float rope_freq_scale; /* 0: as the file says */
} peer_params;
mn_status peer_open(peer **out, const peer_params *p, mn_diag *diag);
void peer_close(peer *p);
/* Run tokens behind what was run before; one logits row at the end. */
mn_status peer_read(peer *p, const int32_t *token, size_t n, mn_diag *diag);
mn_status peer_step(peer *p, int32_t token, mn_diag *diag);
/* Forget all from position n on; false where its cache cannot (sliding windows). */
bool peer_rewind(peer *p, size_t n);

/* ---- times of layers (bench_layers.c): mneme bench --layers ---- */
mn_status bench_layers(const args *a, mn_diag *diag);

/* ---- one long stream ---- */
typedef struct stream_result {
    size_t n_token;
    double early_rate, late_rate;         /* tokens/s of tokens 10k-20k, and of the last 10k */
    size_t early_resident, late_resident; /* bytes */
    size_t early_kv, late_kv;             /* bytes of the cache */
} stream_result;
/* Read n >= 30000 pseudo-random tokens through one session. MN_ECANCEL when interrupted. */
mn_status stream_through(const mn_model *m, const mn_session_params *sp, size_t n,
                         stream_result *out, mn_diag *diag);

/* ---- statistics ---- */
double median(double *x, size_t n); /* sorts x */

#endif
