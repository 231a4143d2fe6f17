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

/* Slots [begin, end) of one lane for the heads of its group; begin is a multiple of a page. */
static void run_part(const mn__attn_job *job, const mn__attn_seq *s, size_t n, size_t run,
                     const size_t range[3], mn__attn_thread *th)
{
    const mn__attn *a = job->a;
    const mn__lane *lane = mn__cache_lane(s->cache, job->l->layer, n);
    size_t D = job->l->head_dim, G = job->l->n_head / job->l->n_kv_head, begin = range[0],
           end = range[1], first = range[2];
    for (size_t g = 0; g < G; g++) {
        th->m[g] = -INFINITY;
        th->l[g] = 0;
    }
    memset(th->o, 0, G * D * sizeof(float));
    for (size_t slot0 = begin; slot0 < end; slot0 += MN__ATTN_SLOTS) {
        const void *wide[MN__ATTN_PAGES];
        size_t n_tok = end - slot0 < MN__ATTN_SLOTS ? end - slot0 : MN__ATTN_SLOTS;
        const void *const *page = mn__attn_pages(a, th, s->cache, lane, slot0, n_tok, wide);
        for (size_t g = 0; g < G; g++) {
            th->lo[g] = first > slot0 ? (int32_t)(first - slot0) : 0;
            th->hi[g] = (int32_t)n_tok;
        }
        /* the group's queries lie D apart: one pass over K and V for all of them */
        if (a->lim.kv_type == MN__KV_F32) {
            const float *q = job->qkv + s->row0 * mn__attn_qkv_ld(job->l) + n * G * D;
            a->kern->qk_f32(th->s, MN__ATTN_LD, q, D, G, page, n_tok, D);
            a->kern->softmax_f32(th->p, MN__ATTN_LD, th->s, MN__ATTN_LD, G, n_tok, th->lo, th->hi,
                                 job->l->scale, th->m, th->l, th->corr);
            a->kern->pv_f32(th->o, D, th->corr, th->p, MN__ATTN_LD, G, page, n_tok, D);
        } else {
            const mn_bf16 *q = a->q + (s->row0 * job->l->n_head + n * G) * D;
            a->kern->qk_bf16(th->s, MN__ATTN_LD, q, D, G, page, n_tok, D);
            a->kern->softmax_bf16(th->p, MN__ATTN_LD, th->s, MN__ATTN_LD, G, n_tok, th->lo, th->hi,
                                  job->l->scale, th->m, th->l, th->corr);
            a->kern->pv_bf16(th->o, D, th->corr, th->p, MN__ATTN_LD, G, page, n_tok, D);
        }
    }
    for (size_t g = 0; g < G; g++) {
        float *part = part_at(job, s->row0, n * G + g, run);
        part[0] = th->m[g];
        part[1] = th->l[g];
        memcpy(part + 2, th->o + g * D, D * sizeof(float));
    }
}

void mn__attn_decode(const mn__crew *crew, const mn__attn_job *job)
{
    mn__attn_thread *th = &job->a->thread[crew->thread];
    size_t item = 0;
    for (size_t i = 0; i < job->n_seq; i++) {
        const mn__attn_seq *s = &job->seq[i];
        for (size_t n = 0; s->decode && n < job->l->n_kv_head; n++) {
            size_t first, last, slot0 = seen(job, s, n, &first, &last);
            for (size_t run = 0; slot0 + run * MN__ATTN_RUN < last; run++) {
                size_t begin = slot0 + run * MN__ATTN_RUN,
                       end = begin + MN__ATTN_RUN < last ? begin + MN__ATTN_RUN : last;
                if (item++ % (size_t)crew->n_thread != (size_t)crew->thread) continue;
                run_part(job, s, n, run, (const size_t[3]){begin, end, first}, th);
            }
        }
    }
}

static void merge_head(const mn__attn_job *job, const mn__attn_seq *s, size_t h)
{
    size_t D = job->l->head_dim, first, last,
           slot0 = seen(job, s, h / (job->l->n_head / job->l->n_kv_head), &first, &last);
    size_t n_run = (last - slot0 + MN__ATTN_RUN - 1) / MN__ATTN_RUN;
    float m = -INFINITY, l = 0, *o = job->out->decode->f32 + s->row0 * job->out->decode->ld + h * D;
    for (size_t run = 0; run < n_run; run++) m = fmaxf(m, part_at(job, s->row0, h, run)[0]);
    memset(o, 0, D * sizeof(float));
    for (size_t run = 0; run < n_run; run++) {
        const float *part = part_at(job, s->row0, h, run);
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
