/* attention.c: workspace, and the order of the phases. New tokens first get their norm and rotation
 * and go into the lanes; after a barrier the queries read them together with the past. */
#include "nn/attention_internal.h"

#include <assert.h>
#include <string.h>

#include "base/diag.h"

/* ---- workspace ---- */

static size_t run_count(size_t max_slots)
{
    return (max_slots + MN__ATTN_RUN - 1) / MN__ATTN_RUN + 1;
}

/* From an arena without data it only measures. */
static void lay_out(mn__attn *a, mn__arena *ar)
{
    const mn__attn_limits *m = &a->lim;
    size_t G = m->n_head / m->n_kv_head, D = m->head_dim,
           tile = MN__ATTN_TILE * (size_t)MN__ATTN_LD;
    a->max_run = run_count(m->max_slots);
    if (m->kv_type != MN__KV_F32)
        a->q = mn__arena_take(ar, m->max_row * m->n_head * D * sizeof(mn_bf16));
    a->lse = mn__arena_take(ar, m->max_row * m->n_head * sizeof(float));
    a->part =
        mn__arena_take(ar, m->max_decode_row * m->n_head * a->max_run * (D + 2) * sizeof(float));
    a->thread = mn__arena_take(ar, (size_t)m->n_thread * sizeof *a->thread);
    for (int i = 0; i < m->n_thread; i++) {
        mn__attn_thread t = {.s = mn__arena_take(ar, tile * sizeof(float)),
                             .p = mn__arena_take(ar, tile * sizeof(float))};
        t.o = mn__arena_take(ar, G * MN__ATTN_TILE * D * sizeof(float));
        t.m = mn__arena_take(ar, G * MN__ATTN_TILE * sizeof(float));
        t.sum = mn__arena_take(ar, tile * sizeof(float));
        t.l = mn__arena_take(ar, G * MN__ATTN_TILE * sizeof(float));
        t.corr = mn__arena_take(ar, MN__ATTN_TILE * sizeof(float));
        t.lo = mn__arena_take(ar, MN__ATTN_TILE * sizeof(int32_t));
        t.hi = mn__arena_take(ar, MN__ATTN_TILE * sizeof(int32_t));
        if (m->kv_type == MN__KV_Q8)
            t.wide = mn__arena_take(ar, MN__ATTN_PAGES * (size_t)MN__PAGE_TOKENS * D * 2 *
                                            sizeof(mn_bf16));
        if (a->thread) a->thread[i] = t;
    }
}

size_t mn__attn_bytes(const mn__attn_limits *lim)
{
    mn__attn a = {.lim = *lim};
    mn__arena count = {0};
    lay_out(&a, &count);
    return count.used + sizeof a;
}

mn_status mn__attn_new(mn__attn **out, const mn__attn_limits *lim, const struct mn__kern *kern,
                       mn_diag *diag)
{
    size_t bytes = mn__attn_bytes(lim);
    mn__attn *a = mn__alloc_zero(MN_MEM_SCRATCH, sizeof *a);
    *out = NULL;
    if (!a) return mn__fail(diag, MN_ENOMEM, "attention: no memory for its workspace");
    a->lim = *lim;
    a->kern = kern;
    if (mn__arena_init(&a->arena, MN_MEM_SCRATCH, bytes) != MN_OK) {
        mn__free(a);
        return mn__fail(diag, MN_ENOMEM, "attention: %zu bytes of workspace wanted", bytes);
    }
    lay_out(a, &a->arena);
    *out = a;
    return MN_OK;
}

void mn__attn_free(mn__attn *a)
{
    if (!a) return;
    mn__arena_fini(&a->arena);
    mn__free(a);
}

/* ---- shared by the phases ---- */

const void *const *mn__attn_pages(const mn__attn *a, const mn__attn_thread *t, const mn__cache *c,
                                  const mn__lane *lane, size_t slot0, size_t n,
                                  const void *wide[MN__ATTN_PAGES])
{
    size_t p0 = slot0 / MN__PAGE_TOKENS, n_page = (n + MN__PAGE_TOKENS - 1) / MN__PAGE_TOKENS;
    if (c->shape.kv_type != MN__KV_Q8) return mn__lane_pages(lane) + p0;
    size_t page_bytes = (size_t)MN__PAGE_TOKENS * c->shape.head_dim * 2 * sizeof(mn_bf16);
    const float *sk = (const float *)lane->scale_k.data + slot0,
                *sv = (const float *)lane->scale_v.data + slot0;
    for (size_t i = 0; i < n_page; i++) {
        float tail_k[MN__PAGE_TOKENS] = {0}, tail_v[MN__PAGE_TOKENS] = {0};
        size_t left = n - i * MN__PAGE_TOKENS, at = i * MN__PAGE_TOKENS;
        size_t have = left < MN__PAGE_TOKENS ? left : MN__PAGE_TOKENS;
        memcpy(tail_k, sk + at,
               have * sizeof(float)); /* scales beyond the lane's end are not there: zero */
        memcpy(tail_v, sv + at, have * sizeof(float));
        a->kern->page_widen_q8(t->wide + i * page_bytes, mn__lane_pages(lane)[p0 + i], tail_k,
                               tail_v, c->shape.head_dim);
        wide[i] = t->wide + i * page_bytes;
    }
    return wide;
}

void mn__attn_scores(const mn__attn_job *job, const mn__attn_thread *t, size_t row, size_t n_row,
                     size_t h, const void *const *page, size_t n_tok)
{
    const mn__attn *a = job->a;
    size_t H = job->l->n_head, D = job->l->head_dim, ld = mn__attn_qkv_ld(job->l);
    if (a->lim.kv_type == MN__KV_F32)
        a->kern->qk_f32(t->s, MN__ATTN_LD, job->qkv + row * ld + h * D, ld, n_row, page, n_tok, D,
                        NULL);
    else
        a->kern->qk_bf16(t->s, MN__ATTN_LD, a->q + (row * H + h) * D, H * D, n_row, page, n_tok, D,
                         NULL);
}

/* ---- new tokens: norm, rotation, into the lanes ---- */

static void norm_rope(const mn__attn_job *job, float *x, const float *norm, const float *cos_sin)
{
    const mn__attn_layer *l = job->l;
    if (norm) job->a->kern->rms_norm(x, x, norm, l->head_dim, l->norm_eps);
    job->a->kern->rope(x, cos_sin, l->rope->n_rot, l->rope->neox);
}

static void show_queries(const mn__attn_job *job, const mn__attn_seq *s, size_t n)
{
    const mn__attn_layer *l = job->l;
    size_t D = l->head_dim, G = l->n_head / l->n_kv_head, ld = mn__attn_qkv_ld(l);
    mn__lane *lane = mn__cache_lane(s->cache, l->layer, n);
    for (size_t h = n * G; h < (n + 1) * G; h++) {
        float *q = job->qkv + s->row0 * ld + h * D;
        if (l->q_norm)
            for (size_t r = 0; r < s->n_row; r++)
                job->a->kern->rms_norm(q + r * ld, q + r * ld, l->q_norm, D, l->norm_eps);
        s->scorer->ops->observe_query(s->scorer, s->cache, l->layer, h, s->cache->n_seen, q, ld,
                                      s->n_row, lane->lane_state);
    }
}

static bool sees_queries(const mn__attn_layer *l, const mn__attn_seq *s)
{
    return s->scorer && l->window == 0 && (s->scorer->needs & MN__NEED_PREROPE);
}

/* Rows [r0, r1) of one sequence and KV head: K and V into their slots, queries of the group
 * rotated. */
static void place(const mn__attn_job *job, const mn__attn_seq *s, size_t n, size_t r0, size_t r1)
{
    const mn__attn_layer *l = job->l;
    size_t H = l->n_head, N = l->n_kv_head, D = l->head_dim, G = H / N, ld = mn__attn_qkv_ld(l);
    const float *q_norm = sees_queries(l, s) ? NULL : l->q_norm; /* else normed when shown */
    for (size_t r = s->row0 + r0; r < s->row0 + r1; r++) {
        float *row = job->qkv + r * ld;
        const float *cs = l->cos_sin + r * l->rope->n_rot;
        for (size_t h = n * G; h < (n + 1) * G; h++) norm_rope(job, row + h * D, q_norm, cs);
        norm_rope(job, row + (H + n) * D, l->k_norm, cs);
        if (job->a->q)
            job->a->kern->f32_to_bf16(job->a->q + (r * H + n * G) * D, row + n * G * D, G * D);
    }
    float *k = job->qkv + (s->row0 + r0) * ld + (H + n) * D;
    mn__lane_put(s->cache, mn__cache_lane(s->cache, l->layer, n), r0, k, ld, k + N * D, ld,
                 r1 - r0);
}

/* Runs end where a page of the lane ends, so that no two threads write one block. */
static void place_all(const mn__crew *crew, const mn__attn_job *job)
{
    size_t item = 0;
    for (size_t i = 0; i < job->n_seq; i++) {
        const mn__attn_seq *s = &job->seq[i];
        for (size_t n = 0; n < job->l->n_kv_head; n++) {
            size_t at = mn__cache_lane(s->cache, job->l->layer, n)->n;
            bool whole = sees_queries(job->l, s);
            if (whole && item % (size_t)crew->n_thread == (size_t)crew->thread)
                show_queries(job, s, n);
            for (size_t r0 = 0, r1; r0 < s->n_row; r0 = r1) {
                r1 = whole ? s->n_row : r0 + MN__PAGE_TOKENS - (at + r0) % MN__PAGE_TOKENS;
                if (r1 > s->n_row) r1 = s->n_row;
                if (item++ % (size_t)crew->n_thread == (size_t)crew->thread)
                    place(job, s, n, r0, r1);
            }
        }
    }
}

/* The last queries of every sequence whose policy looks back. */
static void ring_all(const mn__crew *crew, const mn__attn_job *job)
{
    size_t ld = mn__attn_qkv_ld(job->l);
    for (size_t i = 0; i < job->n_seq; i++) {
        const mn__attn_seq *s = &job->seq[i];
        size_t w = s->cache->shape.n_query_ring, first = s->n_row > w ? s->n_row - w : 0;
        if (job->l->window) continue;
        for (size_t r = first + (size_t)crew->thread; r < s->n_row; r += (size_t)crew->n_thread)
            mn__cache_put_query(s->cache, job->l->layer, r, job->qkv + (s->row0 + r) * ld);
    }
}

void mn__attention(const mn__crew *crew, mn__attn *a, const mn__attn_layer *l,
                   const mn__attn_seq *seq, size_t n_seq, float *qkv, const mn__attn_out *out)
{
    mn__attn_job job = {.a = a, .l = l, .seq = seq, .n_seq = n_seq, .qkv = qkv, .out = out};
    bool any_decode = false, any_look = false;
    for (size_t i = 0; i < n_seq; i++) {
        any_decode |= seq[i].decode;
        any_look |= l->window == 0 && seq[i].scorer && (seq[i].scorer->needs & MN__NEED_COLUMNS);
    }
    place_all(crew, &job);
    if (crew->thread == 0) mn__team_claim_reset(crew);
    mn__team_wait(crew);
    ring_all(crew, &job);
    mn__tiles_begin(a->kern);
    if (any_decode) mn__attn_decode(crew, &job);
    mn__attn_prefill(crew, &job);
    mn__tiles_end(a->kern);
    mn__team_wait(crew);
    if (any_decode) {
        mn__attn_merge(crew, &job);
        mn__team_wait(crew);
    }
    if (any_look) {
        if (crew->thread == 0) mn__team_claim_reset(crew);
        mn__team_wait(crew);
        mn__attn_show(crew, &job);
        mn__team_wait(crew);
    }
}
