/* attention_prefill.c: tiles of 32 new tokens by blocks of 256 slots. The heads of a group share
 * the block of K and V while it is in the core's cache; the softmax is online, so a tile needs
 * memory for one block whatever the length of the lane. Ref: Milakov and Gimelshein, arXiv
 * 1805.02867; Dao et al., arXiv 2205.14135. */
#include <math.h>
#include <string.h>

#include "nn/attention_internal.h"

typedef struct tile {
    const mn__attn_seq *s;
    const mn__lane *lane;
    size_t n;         /* KV head */
    size_t t0, n_row; /* tokens of the sequence's new ones */
} tile;

/* Slots that row r of the tile sees: causal above, the window below. */
static void row_range(const mn__attn_job *job, const tile *t, size_t r, size_t *first, size_t *last)
{
    int64_t token = t->s->cache->n_seen + (int64_t)(t->t0 + r);
    *last = t->lane->n + t->t0 + r + 1;
    *first = mn__lane_first_visible(t->lane, job->l->window, token);
}

/* [lo, hi) of each row inside the block; false when no row sees anything. */
static bool clip(const mn__attn_job *job, const tile *t, size_t slot0, size_t n_tok,
                 mn__attn_thread *th)
{
    bool any = false;
    for (size_t r = 0; r < t->n_row; r++) {
        size_t first, last;
        row_range(job, t, r, &first, &last);
        first = first > slot0 ? first - slot0 : 0;
        last = last > slot0 ? last - slot0 : 0;
        th->lo[r] = (int32_t)(first < n_tok ? first : n_tok);
        th->hi[r] = (int32_t)(last < n_tok ? last : n_tok);
        any |= th->lo[r] < th->hi[r];
    }
    return any;
}

static void block(const mn__attn_job *job, const tile *t, mn__attn_thread *th, size_t slot0,
                  size_t n_tok)
{
    const mn__attn *a = job->a;
    size_t D = job->l->head_dim, G = job->l->n_head / job->l->n_kv_head, row = t->s->row0 + t->t0;
    const void *wide[MN__ATTN_PAGES];
    if (!clip(job, t, slot0, n_tok, th)) return;
    const void *const *page = mn__attn_pages(a, th, t->s->cache, t->lane, slot0, n_tok, wide);
    for (size_t g = 0; g < G; g++) {
        float *m = th->m + g * MN__ATTN_TILE, *l = th->l + g * MN__ATTN_TILE,
              *o = th->o + g * MN__ATTN_TILE * D;
        mn__attn_scores(job, th, row, t->n_row, t->n * G + g, page, n_tok);
        if (a->lim.kv_type == MN__KV_F32) {
            a->kern->softmax_f32(th->p, MN__ATTN_LD, th->s, MN__ATTN_LD, t->n_row, n_tok, th->lo,
                                 th->hi, job->l->scale, m, l, th->corr);
            a->kern->pv_f32(o, D, th->corr, th->p, MN__ATTN_LD, t->n_row, page, n_tok, D, NULL);
        } else {
            a->kern->softmax_bf16(th->p, MN__ATTN_LD, th->s, MN__ATTN_LD, t->n_row, n_tok, th->lo,
                                  th->hi, job->l->scale, m, l, th->corr);
            a->kern->pv_bf16(o, D, th->corr, th->p, MN__ATTN_LD, t->n_row, page, n_tok, D, NULL);
        }
    }
}

static void finish(const mn__attn_job *job, const tile *t, const mn__attn_thread *th)
{
    const mn__rows *out = job->out->prefill;
    size_t D = job->l->head_dim, H = job->l->n_head, G = H / job->l->n_kv_head;
    for (size_t g = 0; g < G; g++)
        for (size_t r = 0; r < t->n_row; r++) {
            size_t row = t->s->row0 + t->t0 + r, h = t->n * G + g;
            float l = th->l[g * MN__ATTN_TILE + r], inv = 1.0f / l,
                  *o = th->o + (g * MN__ATTN_TILE + r) * D;
            for (size_t c = 0; c < D; c++) o[c] *= inv;
            size_t at = (row - job->out->first_prefill) * out->ld + h * D;
            if (out->bf16)
                job->a->kern->f32_to_bf16(out->bf16 + at, o, D);
            else
                memcpy(out->f32 + at, o, D * sizeof(float));
            job->a->lse[row * H + h] = th->m[g * MN__ATTN_TILE + r] + logf(l);
        }
}

static void run_tile(const mn__attn_job *job, const tile *t, mn__attn_thread *th)
{
    size_t D = job->l->head_dim, G = job->l->n_head / job->l->n_kv_head, first, last, unused;
    for (size_t i = 0; i < G * MN__ATTN_TILE; i++) {
        th->m[i] = -INFINITY;
        th->l[i] = 0;
    }
    memset(th->o, 0, G * MN__ATTN_TILE * D * sizeof(float));
    row_range(job, t, 0, &first, &unused);
    row_range(job, t, t->n_row - 1, &unused, &last);
    for (size_t slot0 = first / MN__PAGE_TOKENS * MN__PAGE_TOKENS; slot0 < last;
         slot0 += MN__ATTN_SLOTS)
        block(job, t, th, slot0, last - slot0 < MN__ATTN_SLOTS ? last - slot0 : MN__ATTN_SLOTS);
    finish(job, t, th);
}

/* Tiles are handed out from the end of each sequence: the longest first, so that no thread is left
 * with one. */
void mn__attn_prefill(const mn__crew *crew, const mn__attn_job *job)
{
    mn__attn_thread *th = &job->a->thread[crew->thread];
    size_t N = job->l->n_kv_head, base = 0, item = mn__team_claim(crew);
    for (size_t i = 0; i < job->n_seq; i++) {
        const mn__attn_seq *s = &job->seq[i];
        size_t n_tile = s->decode ? 0 : (s->n_row + MN__ATTN_TILE - 1) / MN__ATTN_TILE;
        for (; item < base + n_tile * N; item = mn__team_claim(crew)) {
            size_t at = n_tile - 1 - (item - base) / N, n = (item - base) % N;
            tile t = {.s = s,
                      .lane = mn__cache_lane(s->cache, job->l->layer, n),
                      .n = n,
                      .t0 = at * MN__ATTN_TILE};
            t.n_row = s->n_row - t.t0 < MN__ATTN_TILE ? s->n_row - t.t0 : MN__ATTN_TILE;
            run_tile(job, &t, th);
        }
        base += n_tile * N;
    }
}
