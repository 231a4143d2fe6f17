/* attention_show.c: the second sweep, for policies that want to see attention. With each row's
 * log-sum-exp known, a block of probabilities is exp(score - lse): one more product of queries and
 * keys, and no memory. A policy sees the sum over the heads that share keys, or each of them if it
 * asks to. Threads take runs of columns, rows come in the order of the text in hops of 16, so that
 * a policy may sum or transform over time without locks. Ref: spec of eviction policies, section
 * 2. */
#include "nn/attention_internal.h"

typedef struct strip {
    const mn__attn_seq *s;
    mn__lane *lane;
    size_t n, slot0, n_slot;
} strip;

/* Probabilities of rows [r0, r0 + n_row) of the step's new tokens, at most a tile, for one head of
 * the group, into p [n_row][LD]. */
static void make_probs(const mn__attn_job *job, const strip *st, size_t r0, size_t n_row, size_t g,
                       const mn__attn_thread *th, const void *const *page, float *p)
{
    const mn__attn *a = job->a;
    size_t H = job->l->n_head, h = st->n * (H / job->l->n_kv_head) + g, row = st->s->row0 + r0;
    mn__attn_thread into = *th;
    into.s = p;
    for (size_t r = 0; r < n_row; r++) {
        size_t last = st->lane->n + r0 + r + 1;
        last = last > st->slot0 ? last - st->slot0 : 0;
        th->lo[r] = 0;
        th->hi[r] = (int32_t)(last < st->n_slot ? last : st->n_slot);
        th->m[r] = a->lse[(row + r) * H + h];
    }
    mn__attn_scores(job, &into, row, n_row, h, page, st->n_slot);
    a->kern->probs(p, MN__ATTN_LD, n_row, st->n_slot, th->lo, th->hi, job->l->scale, th->m);
}

static void add_rows(const struct mn__kern *kern, float *sum, const float *p, size_t n_row,
                     size_t n)
{
    for (size_t r = 0; r < n_row; r++, sum += MN__ATTN_LD, p += MN__ATTN_LD)
        kern->add(sum, sum, p, n);
}

static void observe(mn__observe_fn *to, const strip *st, const mn__seen *seen)
{
    size_t size = st->s->scorer->slot_bytes; /* an onlooker alone keeps nothing in the slots */
    to(st->s->scorer, seen, size ? st->lane->state.data + st->slot0 * size : NULL);
}

/* Rows up to the end of the hop that row r0 is in. */
static size_t hop_rows(const mn__attn_seq *s, size_t r0)
{
    size_t n = MN__ATTN_HOP - (size_t)((s->cache->n_seen + (int64_t)r0) % MN__ATTN_HOP);
    return n < s->n_row - r0 ? n : s->n_row - r0;
}

/* Two hops are multiplied at once, which fills the tiles, and shown one after the other; one, where
 * each head is to be seen. */
static size_t show_hops(const mn__attn_job *job, const strip *st, size_t r0,
                        const mn__attn_thread *th, const void *const *page)
{
    const mn__attn_seq *s = st->s;
    const struct mn__scorer_ops *ops = s->scorer->ops;
    size_t G = job->l->n_head / job->l->n_kv_head, first = hop_rows(s, r0),
           second = r0 + first < s->n_row && !s->scorer->wants_heads ? hop_rows(s, r0 + first) : 0;
    mn__seen seen = {.cache = s->cache,
                     .layer = job->l->layer,
                     .head = st->n,
                     .n_group = G,
                     .token0 = s->cache->n_seen + (int64_t)r0,
                     .n_row = first,
                     .slot0 = st->slot0,
                     .n_slot = st->n_slot,
                     .ld = MN__ATTN_LD};
    for (size_t g = 0; g < G; g++) {
        float *p = g ? th->s : th->sum;
        make_probs(job, st, r0, first + second, g, th, page, p);
        seen.i_group = g;
        seen.p = p;
        if (s->scorer->wants_heads) observe(ops->observe_head, st, &seen);
        if (g && ops->observe) add_rows(job->a->kern, th->sum, p, first + second, st->n_slot);
    }
    seen.i_group = 0;
    seen.p = th->sum;
    if (ops->observe) observe(ops->observe, st, &seen);
    seen.token0 += (int64_t)first;
    seen.n_row = second;
    seen.p += first * MN__ATTN_LD;
    if (ops->observe && second) observe(ops->observe, st, &seen);
    return first + second;
}

/* Rows from r0 on that nobody asks for. */
static size_t rows_unasked(const mn__attn_seq *s, size_t r0)
{
    size_t stride = s->scorer->show_stride, left = s->n_row - r0;
    uint64_t token = (uint64_t)s->cache->n_seen + r0, run = MN__SHOW_ROWS * stride;
    if (mn__is_shown(stride, (int64_t)token)) return 0;
    uint64_t n = run - token % run;
    return n < left ? (size_t)n : left;
}

static void show_strip(const mn__attn_job *job, const strip *st, const mn__attn_thread *th)
{
    const mn__attn_seq *s = st->s;
    size_t r0 = 0;
    const void *wide[MN__ATTN_PAGES];
    const void *const *page =
        mn__attn_pages(job->a, th, s->cache, st->lane, st->slot0, st->n_slot, wide);
    if (st->slot0 > st->lane->n)
        r0 = st->slot0 - st->lane->n; /* rows before see none of these slots */
    while (r0 < s->n_row) {
        r0 += rows_unasked(s, r0);
        if (r0 < s->n_row) r0 += show_hops(job, st, r0, th, page);
    }
}

void mn__attn_show(const mn__crew *crew, const mn__attn_job *job)
{
    size_t at = 0, item = mn__team_claim(crew);
    mn__tiles_begin(job->a->kern);
    for (size_t i = 0; i < job->n_seq; i++) {
        const mn__attn_seq *s = &job->seq[i];
        if (!s->scorer || !(s->scorer->needs & MN__NEED_COLUMNS)) continue;
        for (size_t n = 0; n < job->l->n_kv_head; n++) {
            strip st = {.s = s, .lane = mn__cache_lane(s->cache, job->l->layer, n), .n = n};
            size_t end = st.lane->n + s->n_row;
            for (st.slot0 = 0; st.slot0 < end; st.slot0 += MN__ATTN_SLOTS) {
                st.n_slot = end - st.slot0 < MN__ATTN_SLOTS ? end - st.slot0 : MN__ATTN_SLOTS;
                if (at++ != item) continue;
                show_strip(job, &st, &job->a->thread[crew->thread]);
                item = mn__team_claim(crew);
            }
        }
    }
    mn__tiles_end(job->a->kern);
}
