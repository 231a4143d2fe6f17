/* namm_bam.c: BAM, backward attention over the tokens of a lane. Ref: arXiv 2410.13166.
 *
 *   [q|k|v] = x W_qkv + b_qkv,  o_i = sum_{j >= i} softmax_j(q_i.k_j / sqrt(d_h / n_h)) v_j
 *   [r|m] = o W_o + b_o,  x' = x (1 + m) + r  (or [r] alone, x' = x + r),  s = x' W_m + b_m
 *
 * A token sees itself and the newer ones. Taken newest first that is causal attention, and keys
 * need not be there before the rows that see them: a tile of 32 rows makes its q, k, v, puts k and
 * v into pages as the cache has them, and reads the pages so far in blocks of 256 slots with an
 * online softmax. Memory: the pages, 2 d_h values a token (heads padded for the kernels), never n x
 * n. Tokens that are no keys are left out of the pages. Cost: n^2 d_h multiply-adds and n^2 n_h / 2
 * exponentials; the products around are in f32. */
#include <math.h>
#include <string.h>

#include "policy/namm_net.h"

enum {
    TILE = MN__NAMM_TILE,
    SLOTS = 256,
    LD = SLOTS + 32, /* not a power of two, or a tile's rows would meet in few sets of the cache */
    PAGES = SLOTS / MN__PAGE_TOKENS,
    PAD_F32 = 16, /* what pv_f32 wants of a head's channels, */
    PAD_BF16 = 32 /* and the tiles */
};

typedef struct bam {
    const mn__namm_net *net;
    mn__namm_dense qkv, out, head;
    size_t pad, ld_x, ld_o, ld_r; /* channels of a padded head; floats of rows */
    size_t page_bytes, n_page;    /* of one head */
    uint8_t *pages;               /* [n_h][n_page] */
    float *x, *q_k_v, *o, *r, *s; /* a tile: [E + 1], [3][n_h][pad], [n_h][pad], 1; [r|m]; scores */
    void *p;                      /* [TILE][LD], bf16 or f32 */
    mn_bf16 *q;                   /* [TILE][n_h][pad] */
    float *m, *l, *corr;          /* [TILE], of the head at work */
    int32_t *lo, *hi;             /* [TILE] */
    size_t n_key, seen[TILE];     /* keys so far; of which row r sees the first so many */
} bam;

static void lay_out(bam *b, const mn__namm_net *net, size_t n, mn__arena *a)
{
    mn__namm_layer layer[MN__NAMM_DEPTH_MAX];
    size_t n_h = net->n_head, d = net->hidden / n_h;
    size_t size = net->exact ? sizeof(float) : sizeof(mn_bf16);
    mn__namm_layers(net, layer);
    *b = (bam){.net = net, .pad = mn__namm_round(d, net->exact ? PAD_F32 : PAD_BF16)};
    b->qkv = mn__namm_dense_of(&layer[0]);
    b->out = mn__namm_dense_of(&layer[1]);
    b->head = mn__namm_dense_of(&layer[2]);
    b->qkv.head_out = b->out.head_in = d;
    b->qkv.pad_out = b->out.pad_in = b->pad;
    mn__namm_dense_take(&b->qkv, a);
    mn__namm_dense_take(&b->out, a);
    mn__namm_dense_take(&b->head, a);
    b->ld_x = mn__namm_round(net->n_in + 1, 16);
    b->ld_o = n_h * b->pad + 16;
    b->ld_r = b->out.n_out;
    b->page_bytes = MN__PAGE_TOKENS * b->pad * 2 * size;
    b->n_page = (n + MN__PAGE_TOKENS - 1) / MN__PAGE_TOKENS;
    b->pages = mn__arena_take(a, n_h * b->n_page * b->page_bytes);
    b->x = mn__arena_take(a, TILE * b->ld_x * sizeof(float));
    b->q_k_v = mn__arena_take(a, TILE * b->qkv.n_out * sizeof(float));
    b->o = mn__arena_take(a, TILE * b->ld_o * sizeof(float));
    b->r = mn__arena_take(a, TILE * b->ld_r * sizeof(float));
    b->s = mn__arena_take(a, TILE * LD * sizeof(float));
    b->p = mn__arena_take(a, TILE * LD * size);
    b->q = mn__arena_take(a, TILE * n_h * b->pad * sizeof(mn_bf16));
    b->m = mn__arena_take(a, TILE * sizeof(float));
    b->l = mn__arena_take(a, TILE * sizeof(float));
    b->corr = mn__arena_take(a, TILE * sizeof(float));
    b->lo = mn__arena_take(a, TILE * sizeof(int32_t));
    b->hi = mn__arena_take(a, TILE * sizeof(int32_t));
}

void mn__namm_bam_measure(const mn__namm_net *net, size_t n, mn__arena *arena)
{
    bam b;
    lay_out(&b, net, n, arena);
}

/* ---- one tile: rows from the newest token on, row t0 + r is token n - 1 - t0 - r ---- */

/* x and the input of ones; q, k, v. */
static void project(bam *b, const mn__namm_job *job, size_t t0, size_t n_row)
{
    size_t E = b->net->n_in, n_q = b->net->n_head * b->pad;
    for (size_t r = 0; r < n_row; r++) {
        float *x = b->x + r * b->ld_x;
        memcpy(x, job->x + (job->n - 1 - t0 - r) * E, E * sizeof *x);
        x[E] = 1;
    }
    mn__namm_dense_run(&b->qkv, job->kern, b->x, b->ld_x, n_row, b->q_k_v, b->qkv.n_out);
    for (size_t r = 0; r < n_row && !b->net->exact; r++)
        job->kern->f32_to_bf16(b->q + r * n_q, b->q_k_v + r * b->qkv.n_out, n_q);
}

/* k and v of rows [r, r + n) into the next slots, all in one page. */
static void put_keys(bam *b, const struct mn__kern *kern, size_t r, size_t n)
{
    size_t n_h = b->net->n_head, ld = b->qkv.n_out, slot = b->n_key % MN__PAGE_TOKENS;
    for (size_t h = 0; h < n_h; h++) {
        void *page = b->pages + (h * b->n_page + b->n_key / MN__PAGE_TOKENS) * b->page_bytes;
        const float *k = b->q_k_v + r * ld + (n_h + h) * b->pad, *v = k + n_h * b->pad;
        if (b->net->exact)
            kern->page_put_f32(page, slot, k, ld, v, ld, n, b->pad);
        else
            kern->page_put_bf16(page, slot, k, ld, v, ld, n, b->pad);
    }
    b->n_key += n;
}

static bool is_key(const mn__namm_job *job, size_t row)
{
    return !job->valid || job->valid[job->n - 1 - row];
}

/* Runs of rows that are keys, cut where pages end. */
static void append(bam *b, const mn__namm_job *job, size_t t0, size_t n_row)
{
    for (size_t r = 0, n; r < n_row; r += n) {
        size_t room = MN__PAGE_TOKENS - b->n_key % MN__PAGE_TOKENS;
        for (n = 0; r + n < n_row && n < room && is_key(job, t0 + r + n); n++)
            b->seen[r + n] = b->n_key + n + 1;
        if (n > 0) {
            put_keys(b, job->kern, r, n);
        } else {
            b->seen[r] = b->n_key;
            n = 1;
        }
    }
}

/* Head h, slots [slot0, slot0 + n_tok): lo and hi are set. */
static void attend_block(const bam *b, const struct mn__kern *kern, size_t h, size_t slot0,
                         size_t n_tok, size_t n_row)
{
    const void *page[PAGES];
    size_t n_q = b->net->n_head * b->pad;
    const float scale = 1 / sqrtf((float)(b->net->hidden / b->net->n_head));
    float *o = b->o + h * b->pad;
    for (size_t i = 0; i * MN__PAGE_TOKENS < n_tok; i++)
        page[i] = b->pages + (h * b->n_page + slot0 / MN__PAGE_TOKENS + i) * b->page_bytes;
    if (b->net->exact) {
        kern->qk_f32(b->s, LD, b->q_k_v + h * b->pad, b->qkv.n_out, n_row, page, n_tok, b->pad,
                     NULL);
        kern->softmax_f32(b->p, LD, b->s, LD, n_row, n_tok, b->lo, b->hi, scale, b->m, b->l,
                          b->corr);
        kern->pv_f32(o, b->ld_o, b->corr, b->p, LD, n_row, page, n_tok, b->pad, NULL);
    } else {
        kern->qk_bf16(b->s, LD, b->q + h * b->pad, n_q, n_row, page, n_tok, b->pad, NULL);
        kern->softmax_bf16(b->p, LD, b->s, LD, n_row, n_tok, b->lo, b->hi, scale, b->m, b->l,
                           b->corr);
        kern->pv_bf16(o, b->ld_o, b->corr, b->p, LD, n_row, page, n_tok, b->pad, NULL);
    }
}

/* o of all heads, and the input of ones behind them. */
static void attend(bam *b, const struct mn__kern *kern, size_t n_row)
{
    size_t n_h = b->net->n_head, n_seen = b->seen[n_row - 1];
    memset(b->o, 0, n_row * b->ld_o * sizeof *b->o);
    for (size_t h = 0; h < n_h; h++) {
        for (size_t r = 0; r < n_row; r++) {
            b->m[r] = -INFINITY;
            b->l[r] = 0;
            b->lo[r] = 0;
        }
        for (size_t slot0 = 0; slot0 < n_seen; slot0 += SLOTS) {
            size_t n_tok = n_seen - slot0 < SLOTS ? n_seen - slot0 : SLOTS;
            for (size_t r = 0; r < n_row; r++) {
                size_t hi = b->seen[r] > slot0 ? b->seen[r] - slot0 : 0;
                b->hi[r] = (int32_t)(hi < n_tok ? hi : n_tok);
            }
            attend_block(b, kern, h, slot0, n_tok, n_row);
        }
        for (size_t r = 0; r < n_row; r++) {
            float *o = b->o + r * b->ld_o + h * b->pad, inv = b->l[r] == 0 ? 0 : 1 / b->l[r];
            for (size_t c = 0; c < b->pad; c++) o[c] *= inv;
        }
    }
    for (size_t r = 0; r < n_row; r++) b->o[r * b->ld_o + n_h * b->pad] = 1;
}

/* [r|m], x' in place of x, scores. */
static void finish(bam *b, const mn__namm_job *job, size_t t0, size_t n_row)
{
    size_t E = b->net->n_in, n_out = b->out.layer.n_out;
    mn__namm_dense_run(&b->out, job->kern, b->o, b->ld_o, n_row, b->r, b->ld_r);
    for (size_t i = 0; i < n_row; i++) {
        float *x = b->x + i * b->ld_x, *r = b->r + i * b->ld_r;
        if (job->attention)
            memcpy(job->attention + (job->n - 1 - t0 - i) * n_out, r, n_out * sizeof *r);
        for (size_t c = 0; c < E; c++) x[c] += (b->net->mult ? x[c] * r[E + c] : 0) + r[c];
    }
    mn__namm_dense_run(&b->head, job->kern, b->x, b->ld_x, n_row, b->s, LD);
    for (size_t i = 0; i < n_row; i++) job->score[job->n - 1 - t0 - i] = b->s[i * LD];
}

void mn__namm_bam_run(const mn__namm_job *job, mn__arena *arena)
{
    bam b;
    lay_out(&b, job->net, job->n, arena);
    mn__namm_dense_pack(&b.qkv, job->param);
    mn__namm_dense_pack(&b.out, job->param);
    mn__namm_dense_pack(&b.head, job->param);
    mn__tiles_begin(job->kern);
    for (size_t t0 = 0; t0 < job->n; t0 += TILE) {
        size_t n_row = job->n - t0 < TILE ? job->n - t0 : TILE;
        project(&b, job, t0, n_row);
        append(&b, job, t0, n_row);
        attend(&b, job->kern, n_row);
        finish(&b, job, t0, n_row);
    }
    mn__tiles_end(job->kern);
}
