/* linear.h: products of activations with a weight. Decode reads the quantised weight once through
 * dots; prefill widens it panel by panel and multiplies many rows, or takes the dots too where they
 * are the faster ones. The phase chooses, not the number of rows, so a sequence's bits do not
 * depend on its neighbours. All functions run on every thread of the crew; a barrier
 * (mn__team_wait) by the caller separates producer and consumer. */
#ifndef MN_LINEAR_H
#define MN_LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/heap.h"
#include "base/team.h"
#include "kern/kern.h"
#include "mneme/status.h"

typedef struct mn__packed
    mn__packed; /* our own layouts of a weight, made when the model is opened */

typedef struct mn__weight {
    const char *name;
    const uint8_t *data; /* n_out rows of row_bytes, borrowed from the mapped file */
    int type;            /* ggml_type */
    size_t n_in, n_out, row_bytes;
    const float *bias;  /* [n_out] or NULL */
    mn__packed *packed; /* or NULL */
} mn__weight;

/* Which of our own copies to make of a weight. */
enum {
    MN__PACK_DOTS = 1,   /* rows interleaved for decode */
    MN__PACK_PANELS = 2, /* bf16 panels for prefill */
};
mn_status mn__weight_pack(mn__weight *w, const struct mn__kern *kern, unsigned what, mn_diag *diag);
size_t mn__weight_pack_bytes(const mn__weight *w, const struct mn__kern *kern, unsigned what);
void mn__weight_unpack(mn__weight *w);
/* Row `row` of the weight as floats (embedding). */
void mn__weight_row(const mn__weight *w, size_t row, float *out);

/* Workspace of products for one session; planned for at most max_row rows and max_in inputs. */
typedef struct mn__product mn__product;
mn_status mn__product_new(mn__product **out, const struct mn__kern *kern, int n_thread,
                          size_t max_row, size_t max_in, mn_diag *diag);
size_t mn__product_bytes(const struct mn__kern *kern, int n_thread, size_t max_row, size_t max_in);
void mn__product_free(mn__product *p);
/* true when prefill activations are bf16 at this level (rows then live in mn__rows.bf16), false:
 * f32 */
bool mn__product_is_bf16(const struct mn__kern *kern);
/* true where a prompt's rows are multiplied faster in 8 bits (mn__rows.q8) than wide: bytes have an
 * instruction of their own, and bf16 has no tiles */
bool mn__product_likes_dots(const struct mn__kern *kern);

/* Rows of activations on their way into a product. */
typedef struct mn__rows {
    bool decode; /* f32 rows, to be quantised for the dots; else prefill */
    size_t n_row, n_in;
    size_t ld;     /* elements between rows; bf16: multiple of 32, zero beyond n_in */
    float *f32;    /* [n_row][ld]: decode, and prefill at f32 levels; else NULL */
    mn_bf16 *bf16; /* [n_row][ld]: prefill at bf16 levels (mn__product_is_bf16); else NULL */
    uint8_t *q8;   /* [n_row][mn__q8_row_bytes(n_in)], 64-byte aligned: prefill by dots, for weights
                      with packed ones alone; n_in is a multiple of 32; else NULL. Rows that come in
                      parts may be collected in f32 first (mn__rows_settle) */
} mn__rows;
/* Bytes of a row in 8 bits with its scales. */
size_t mn__q8_row_bytes(size_t n_in);
/* Row i of `rows` = x, converted as the phase needs (any thread, disjoint rows). */
void mn__rows_set(const struct mn__kern *kern, mn__rows *rows, size_t i, const float *x);
/* Rows collected in f32 become q8, where they have both. Every thread takes a part, between
 * barriers. */
void mn__rows_settle(const mn__crew *crew, const struct mn__kern *kern, mn__rows *rows);

/* y [n_row][ld_y] (+)= x w^T + bias. add: accumulate into y. y may not alias x. Ends without a
 * barrier. */
void mn__linear(const mn__crew *crew, mn__product *p, const mn__weight *w, const mn__rows *x,
                float *y, size_t ld_y, bool add);
/* Several weights that share x (q, k, v): outputs side by side in y. */
void mn__linear_side_by_side(const mn__crew *crew, mn__product *p, const mn__weight *const *w,
                             size_t n_w, const mn__rows *x, float *y, size_t ld_y);
/* h = act(x gate^T) * (x up^T), written as rows for the next product. */
typedef enum mn__act { MN__GLU_SILU, MN__GLU_GELU } mn__act;
void mn__linear_glu(const mn__crew *crew, mn__product *p, const mn__weight *gate,
                    const mn__weight *up, const mn__rows *x, mn__act act, mn__rows *h);

#endif
