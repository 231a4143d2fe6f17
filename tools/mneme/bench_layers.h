/* bench_layers.h: the pieces of `mneme bench --layers`: times of layers, each beside a rival of the
 * same shape and beside what the machine could do. */
#ifndef MNEME_BENCH_LAYERS_H
#define MNEME_BENCH_LAYERS_H

#include <jansson.h>
#include "args.h"
#include "base/team.h"
#include "model/step_matrix.h"

typedef struct layer_bench {
    const args *a;
    mn__team *team;
    int n_thread;
    mn__step_kern kern;
    const char *level; /* of kernels, by name */
    bool quick;        /* tiny shapes: a check of the bench, no result */
    size_t n_repeat;
    double read, gemm_f32, gemm_bf16; /* limits, bytes/s and FLOP/s */
    json_t *rows, *notes;
} layer_bench;

enum { LAYER_REPEAT_MAX = 64 };
typedef struct layer_time {
    double least, median; /* seconds */
} layer_time;

/* What bounds a row. */
typedef enum layer_limit { LIMIT_READ, LIMIT_RANDOM, LIMIT_GEMM } layer_limit;
typedef struct layer_row {
    const char *layer, *shape, *phase, *dtype, *uses;
    double params, active; /* of what is timed; active: that one token reads */
    size_t batch;
    layer_time time;
    double bytes, flops;
    const char *rival; /* NULL: none */
    layer_time rival_time;
    layer_limit limit;
    double rate; /* that limit: bytes/s or FLOP/s; 0: not known */
} layer_row;
void layer_add(layer_bench *b, const layer_row *r);
/* What was left out, and why: to standard error and into the document. */
void layer_note(layer_bench *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* sorts x */
layer_time layer_time_of(double *x, size_t n);

/* ---- memory that is larger than any cache (bench_pages.c) ---- */
typedef struct pages {
    uint8_t *data;
    size_t size, used;
} pages;
/* Touched by all threads, in large pages where the system has them, filled by a hash: bf16 of
 * either sign between 2^-7 and 2^-6. false, with a note, where the machine has less to spare. */
bool pages_init(pages *p, layer_bench *b, size_t bytes, const char *what);
void pages_fini(pages *p);
void *pages_take(pages *p, size_t bytes); /* 64-byte aligned; within what was asked for */
/* The same values as 8-bit numbers of all sizes. */
void pages_fill_bytes(layer_bench *b, void *to, size_t bytes);
/* Bytes/s of all threads reading rows of `bytes` (a multiple of 64) at random places of [data,
 * data + size), asked for well ahead: the best of some passes; 0 when quick. */
double limit_random(layer_bench *b, const uint8_t *data, size_t size, size_t bytes);

/* ---- rows ---- */
mn_status bench_trained(layer_bench *b, mn_diag *diag);  /* src/layer, forward and backward */
mn_status bench_memories(layer_bench *b, mn_diag *diag); /* UltraMem against experts, decode */
mn_status bench_look_ups(layer_bench *b, mn_diag *diag); /* MemoryFormer against dense, decode */

/* mneme bench --layers */
mn_status bench_layers(const args *a, mn_diag *diag);

#endif
