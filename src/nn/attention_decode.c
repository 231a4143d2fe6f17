/* attention_decode.c: one new token a sequence. A lane is cut into runs of 512 slots that any
 * thread may take; each leaves its maximum, sum and unnormalised output, and the merge adds them in
 * order, so that bits do not depend on the number of threads. */
#include <math.h>
#include <string.h>

#include "nn/attention_internal.h"

/* Part of (row, head, run): m, l, o[D]. */
static float *part_at(const mn__attn_job *job, size_t row, size_t h, size_t run)
{
    const mn__attn *a = job->a;
    return a->part + ((row * job->l->n_head + h) * a->max_run + run) * (job->l->head_dim + 2);
}

/* Slots the token sees: [first, last), first rounded down to a page in *slot0. */
static size_t seen(const mn__attn_job *job, const mn__attn_seq *s, size_t n, size_t *first,
                   size_t *last)
{
    const mn__lane *lane = mn__cache_lane(s->cache, job->l->layer, n);
    *first = mn__lane_first_visible(lane, job->l->window, s->cache->n_seen);
    *last = lane->n + 1;
    return *first / MN__PAGE_TOKENS * MN__PAGE_TOKENS;
}

/* A run: slots [begin, end) of one lane, of which those from `first` on are seen. */
typedef struct run {
    const mn__attn_seq *s;
    size_t kv_head, index, begin, end, first;
} run;

/* The keys of the first pages of a run. */
static void keys_of(const mn__attn_job *job, const run *r, const void *out[MN__AHEAD])
{
    memset(out, 0, MN__AHEAD * sizeof *out);
    if (!r->s) return;
    const mn__lane *lane = mn__cache_lane(r->s->cache, job->l->layer, r->kv_head);
    for (size_t i = 0; i < MN__AHEAD && r->begin + i * MN__PAGE_TOKENS < r->end; i++)
        out[i] = mn__lane_pages(lane)[r->begin / MN__PAGE_TOKENS + i];
}

/* A block of a run for the heads of its group: their queries lie D apart, one pass over K and V
 * serves all of them. next: the keys that this thread reads after the values. */
static void run_block(const mn__attn_job *job, const run *r, mn__attn_thread *th, size_t slot0,
                      const void *const *next)
{
    const mn__attn *a = job->a;
    const mn__lane *lane = mn__cache_lane(r->s->cache, job->l->layer, r->kv_head);
    size_t D = job->l->head_dim, G = job->l->n_head / job->l->n_kv_head, n = r->kv_head,
           n_tok = r->end - slot0 < MN__ATTN_SLOTS ? r->end - slot0 : MN__ATTN_SLOTS;
    const void *wide[MN__ATTN_PAGES], *values[MN__AHEAD] = {0};
    const void *const *page = mn__attn_pages(a, th, r->s->cache, lane, slot0, n_tok, wide);
    size_t part =
        MN__PAGE_TOKENS * D * (a->lim.kv_type == MN__KV_F32 ? sizeof(float) : sizeof(mn_bf16));
    for (size_t i = 0; i < MN__AHEAD && i * MN__PAGE_TOKENS < n_tok; i++)
        values[i] = (const char *)page[i] + part;
    for (size_t g = 0; g < G; g++) {
        th->lo[g] = r->first > slot0 ? (int32_t)(r->first - slot0) : 0;
        th->hi[g] = (int32_t)n_tok;
    }
    if (a->lim.kv_type == MN__KV_F32) {
        const float *q = job->qkv + r->s->row0 * mn__attn_qkv_ld(job->l) + n * G * D;
        a->kern->qk_f32(th->s, MN__ATTN_LD, q, D, G, page, n_tok, D, values);
        a->kern->softmax_f32(th->p, MN__ATTN_LD, th->s, MN__ATTN_LD, G, n_tok, th->lo, th->hi,
                             job->l->scale, th->m, th->l, th->corr);
        a->kern->pv_f32(th->o, D, th->corr, th->p, MN__ATTN_LD, G, page, n_tok, D, next);
    } else {
        const mn_bf16 *q = a->q + (r->s->row0 * job->l->n_head + n * G) * D;
        a->kern->qk_bf16(th->s, MN__ATTN_LD, q, D, G, page, n_tok, D, values);
        a->kern->softmax_bf16(th->p, MN__ATTN_LD, th->s, MN__ATTN_LD, G, n_tok, th->lo, th->hi,
                              job->l->scale, th->m, th->l, th->corr);
        a->kern->pv_bf16(th->o, D, th->corr, th->p, MN__ATTN_LD, G, page, n_tok, D, next);
    }
}

/* next: the run that this thread takes after r, or one without a sequence. */
static void do_run(const mn__attn_job *job, const run *r, const run *next, mn__attn_thread *th)
{
    size_t D = job->l->head_dim, G = job->l->n_head / job->l->n_kv_head;
    for (size_t g = 0; g < G; g++) {
        th->m[g] = -INFINITY;
        th->l[g] = 0;
    }
    memset(th->o, 0, G * D * sizeof(float));
    for (size_t slot0 = r->begin; slot0 < r->end; slot0 += MN__ATTN_SLOTS) {
        const void *keys[MN__AHEAD];
        run rest = *r;
        rest.begin = slot0 + MN__ATTN_SLOTS;
        keys_of(job, rest.begin < r->end ? &rest : next, keys);
        run_block(job, r, th, slot0, keys);
    }
    for (size_t g = 0; g < G; g++) {
        float *part = part_at(job, r->s->row0, r->kv_head * G + g, r->index);
        part[0] = th->m[g];
        part[1] = th->l[g];
        memcpy(part + 2, th->o + g * D, D * sizeof(float));
    }
}

void mn__attn_decode(const mn__crew *crew, const mn__attn_job *job)
{
    mn__attn_thread *th = &job->a->thread[crew->thread];
    size_t item = 0;
    run mine = {0}; /* found, and done once the next one is known */
    for (size_t i = 0; i < job->n_seq; i++) {
        const mn__attn_seq *s = &job->seq[i];
        for (size_t n = 0; s->decode && n < job->l->n_kv_head; n++) {
            size_t first, last, slot0 = seen(job, s, n, &first, &last);
            for (size_t x = 0; slot0 + x * MN__ATTN_RUN < last; x++) {
                size_t begin = slot0 + x * MN__ATTN_RUN,
                       end = begin + MN__ATTN_RUN < last ? begin + MN__ATTN_RUN : last;
                if (item++ % (size_t)crew->n_thread != (size_t)crew->thread) continue;
                const run r = {s, n, x, begin, end, first};
                if (mine.s) do_run(job, &mine, &r, th);
                mine = r;
            }
        }
    }
    if (mine.s) do_run(job, &mine, &(run){0}, th);
}

static void merge_head(const mn__attn_job *job, const mn__attn_seq *s, size_t h)
{
    size_t D = job->l->head_dim, first, last,
           slot0 = seen(job, s, h / (job->l->n_head / job->l->n_kv_head), &first, &last);
    size_t n_run = (last - slot0 + MN__ATTN_RUN - 1) / MN__ATTN_RUN;
    float m = -INFINITY, l = 0, *o = job->out->decode->f32 + s->row0 * job->out->decode->ld + h * D;
    for (size_t x = 0; x < n_run; x++) m = fmaxf(m, part_at(job, s->row0, h, x)[0]);
    memset(o, 0, D * sizeof(float));
    for (size_t x = 0; x < n_run; x++) {
        const float *part = part_at(job, s->row0, h, x);
        float w = expf(part[0] - m);
        l += w * part[1];
        for (size_t c = 0; c < D; c++) o[c] += w * part[2 + c];
    }
    for (size_t c = 0; c < D; c++) o[c] /= l;
    job->a->lse[s->row0 * job->l->n_head + h] = m + logf(l);
}

void mn__attn_merge(const mn__crew *crew, const mn__attn_job *job)
{
    size_t item = 0;
    for (size_t i = 0; i < job->n_seq; i++)
        for (size_t h = 0; job->seq[i].decode && h < job->l->n_head; h++)
            if (item++ % (size_t)crew->n_thread == (size_t)crew->thread)
                merge_head(job, &job->seq[i], h);
}
