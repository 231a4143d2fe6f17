/* attention_internal.h: workspace shared by the phases of attention.c, attention_prefill.c,
 * attention_decode.c, attention_show.c. */
#ifndef MN_ATTENTION_INTERNAL_H
#define MN_ATTENTION_INTERNAL_H

#include "nn/attention.h"

enum {
    MN__ATTN_TILE = 32,                /* tokens of a prefill tile */
    MN__ATTN_SLOTS = 256,              /* slots of a key block */
    MN__ATTN_LD = MN__ATTN_SLOTS + 32, /* of a block's rows: not a power of two, or the rows of a
                                        * tile would meet in few sets of the first cache */
    MN__ATTN_PAGES = MN__ATTN_SLOTS / MN__PAGE_TOKENS,
    MN__ATTN_RUN = 512, /* slots of a decode part: fixed, so that bits do not depend on threads */
    MN__ATTN_HOP = 16   /* rows shown to a policy at once */
};

/* Scratch of one thread. */
typedef struct mn__attn_thread {
    float *s;            /* [TILE][LD] scores */
    void *p;             /* [TILE][LD] probabilities, bf16 or f32 */
    float *o;            /* [G][TILE][D] */
    float *m, *l, *corr; /* [G][TILE] */
    float *sum;          /* [TILE][LD] what a policy is about to see */
    int32_t *lo, *hi;    /* [TILE] */
    uint8_t *wide;       /* SLOTS/64 bf16 pages, MN__KV_Q8 only */
} mn__attn_thread;

struct mn__attn {
    const struct mn__kern *kern;
    mn__attn_limits lim;
    mn__arena arena;
    mn_bf16 *q;  /* [rows][H][D] rotated queries; unused for f32 caches */
    float *lse;  /* [rows][H] log of the softmax sum */
    float *part; /* decode: [rows][H][runs] of (m, l, o[D]) */
    size_t max_run;
    mn__attn_thread *thread;
};

/* What a phase works on. */
typedef struct mn__attn_job {
    mn__attn *a;
    const mn__attn_layer *l;
    const mn__attn_seq *seq;
    size_t n_seq;
    float *qkv;
    const mn__attn_out *out;
} mn__attn_job;

static inline size_t mn__attn_qkv_ld(const mn__attn_layer *l)
{
    return (l->n_head + 2 * l->n_kv_head) * l->head_dim;
}

/* Pages of the slots [slot0, slot0 + n) of a lane as attention kernels want them: the lane's own,
 * or widened copies (q8). slot0 is a multiple of 64. */
const void *const *mn__attn_pages(const mn__attn *a, const mn__attn_thread *t, const mn__cache *c,
                                  const mn__lane *lane, size_t slot0, size_t n,
                                  const void *wide[MN__ATTN_PAGES]);
/* Raw scores of n_row rows (first row `row`) of query head h. */
void mn__attn_scores(const mn__attn_job *job, const mn__attn_thread *t, size_t row, size_t n_row,
                     size_t h, const void *const *page, size_t n_tok);

void mn__attn_prefill(const mn__crew *crew, const mn__attn_job *job);
void mn__attn_decode(const mn__crew *crew,
                     const mn__attn_job *job); /* parts; a barrier later mn__attn_merge */
void mn__attn_merge(const mn__crew *crew, const mn__attn_job *job);
void mn__attn_show(const mn__crew *crew, const mn__attn_job *job); /* claims: reset before */

#endif
