/* gauge.h: the pieces of mn_layer_bench_run: times of layers, each beside a rival of the same shape
 * and beside what the machine could do. */
#ifndef MN_GAUGE_GAUGE_H
#define MN_GAUGE_GAUGE_H

#include <stdint.h>
#include "base/team.h"
#include "mneme/layers.h"
#include "model/step_matrix.h"

enum { MN__GAUGE_REPEATS = 64 };

typedef struct mn__gauge {
    const mn_layer_bench *b;
    mn__team *team;
    int n_thread;
    mn__step_kern kern;
    bool quick;
    size_t n_repeat;
} mn__gauge;

typedef struct mn__gauge_time {
    double least, median; /* seconds */
} mn__gauge_time;
/* sorts x */
mn__gauge_time mn__gauge_time_of(double *x, size_t n);

/* What bounds a row. */
typedef enum mn__gauge_limit { MN__GAUGE_READ, MN__GAUGE_RANDOM, MN__GAUGE_GEMM } mn__gauge_limit;
typedef struct mn__gauge_row {
    const char *layer, *shape, *phase, *dtype, *uses;
    double params, active;
    size_t batch;
    mn__gauge_time time;
    double bytes, flops;
    const char *rival; /* NULL: none */
    mn__gauge_time rival_time;
    mn__gauge_limit limit;
    double rate; /* that limit: bytes/s or FLOP/s; 0: not known */
} mn__gauge_row;
void mn__gauge_add(const mn__gauge *g, const mn__gauge_row *r);
void mn__gauge_note(const mn__gauge *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* MN_ECANCEL where the caller wants it to end. */
mn_status mn__gauge_go_on(const mn__gauge *g, mn_diag *diag);

/* ---- memory that is larger than any cache (gauge_pages.c) ---- */
typedef struct mn__pages {
    uint8_t *data;
    size_t size, used;
} mn__pages;
/* Touched by all threads, in large pages where the system has them, filled by a hash: bf16 of
 * either sign between 2^-7 and 2^-6. false, with a note, where the machine has less to spare. */
bool mn__pages_init(mn__pages *p, const mn__gauge *g, size_t bytes, const char *what);
void mn__pages_fini(mn__pages *p);
void *mn__pages_take(mn__pages *p, size_t bytes); /* 64-byte aligned; within what was asked for */
/* The same memory as 8-bit numbers of all sizes. */
void mn__pages_fill_bytes(const mn__gauge *g, void *to, size_t bytes);
/* Bytes/s of all threads reading rows of `bytes` (a multiple of 64) at random places of [data,
 * data + size), asked for well ahead: the best of some passes; 0 when quick. */
double mn__gauge_random(const mn__gauge *g, const uint8_t *data, size_t size, size_t bytes);

/* ---- rows ---- */
mn_status mn__gauge_trained(const mn__gauge *g, mn_diag *diag);  /* layer/, forward and backward */
mn_status mn__gauge_look_ups(const mn__gauge *g, mn_diag *diag); /* MemoryFormer beside dense */
mn_status mn__gauge_memories(const mn__gauge *g, mn_diag *diag); /* UltraMem beside experts */

#endif
