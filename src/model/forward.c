/* forward.c: embed -> [norm -> q,k,v -> attention over the lanes -> out -> norm -> gated ffn] x L
 * -> norm -> logits. One parallel region a step: every function here runs on all threads of the
 * crew, rows or outputs split among them, and a barrier stands wherever one op reads what another
 * wrote. Decode rows come first and take the dots, prefill rows the wide product. Letters: R rows
 * of the step, C width, H heads, N KV heads, D head size, F feed-forward, V vocabulary. */
#include "model/forward_internal.h"

#include <math.h>
#include <string.h>

#include "base/diag.h"

static size_t up32(size_t n)
{
    return (n + 31) & ~(size_t)31;
}

/* ---- workspace ---- */

static bool wide_is_bf16(const mn_model *m)
{
    return !m->reads_by_dots && mn__product_is_bf16(&m->kern);
}

static mn__rows take_rows(mn__arena *ar, const mn_model *m, bool decode, size_t n_row, size_t n_in)
{
    mn__rows r = {.decode = decode, .n_in = n_in, .ld = up32(n_in)};
    if (!decode && m->reads_by_dots)
        r.q8 = mn__arena_take(ar, n_row * mn__q8_row_bytes(n_in));
    else if (!decode && wide_is_bf16(m))
        r.bf16 = mn__arena_take(ar, n_row * r.ld * sizeof(mn_bf16));
    else
        r.f32 = mn__arena_take(ar, n_row * r.ld * sizeof(float));
    return r;
}

static void take_phase(mn__phase_rows *p, mn__arena *ar, const mn_model *m, bool decode,
                       size_t n_row)
{
    if (m->lm) { /* its layers have their own ways into products */
        p->attn = take_rows(ar, m, decode, n_row, m->n_head * m->head_dim);
        return;
    }
    p->in = take_rows(ar, m, decode, n_row, m->n_embd);
    p->attn = take_rows(ar, m, decode, n_row, m->n_head * m->head_dim);
    p->hidden = take_rows(ar, m, decode, n_row, m->n_ff);
    if (!decode && m->reads_by_dots) /* heads come one by one */
        p->attn.f32 = mn__arena_take(ar, n_row * p->attn.ld * sizeof(float));
}

static void lay_out(mn__forward *f, mn__arena *ar)
{
    const mn_model *m = f->m;
    size_t R = f->lim.max_prefill_row + f->lim.max_decode_row, C = m->n_embd;
    f->x = mn__arena_take(ar, R * C * sizeof(float));
    f->y = mn__arena_take(ar, R * C * sizeof(float));
    f->qkv = mn__arena_take(ar, R * (m->n_head + 2 * m->n_kv_head) * m->head_dim * sizeof(float));
    f->cos_sin = mn__arena_take(ar, R * m->rope.n_rot * sizeof(float));
    f->cos_sin_local = mn__arena_take(ar, R * m->rope_local.n_rot * sizeof(float));
    f->norm = mn__arena_take(ar, (size_t)f->lim.n_thread * C * sizeof(float));
    f->out = mn__arena_take(ar, R * C * sizeof(float));
    f->logits = mn__arena_take(ar, f->lim.max_logit_row * m->n_vocab * sizeof(float));
    f->head_dots = take_rows(ar, m, true, f->lim.max_logit_row, C);
    f->head_wide = take_rows(ar, m, false, f->lim.max_logit_row, C);
    if (wide_is_bf16(m)) f->head_rest = take_rows(ar, m, false, f->lim.max_logit_row, C);
    take_phase(&f->decode, ar, m, true, f->lim.max_decode_row);
    take_phase(&f->prefill, ar, m, false, f->lim.max_prefill_row);
    f->aseq = mn__arena_take(ar, R * sizeof *f->aseq);
    if (m->lm) mn__forward_lm_take(f, ar);
}

static mn__attn_limits attn_limits(const mn_model *m, const mn__forward_limits *lim)
{
    return (mn__attn_limits){.max_row = lim->max_prefill_row + lim->max_decode_row,
                             .max_decode_row = lim->max_decode_row,
                             .n_head = m->n_head,
                             .n_kv_head = m->n_kv_head,
                             .head_dim = m->head_dim,
                             .max_slots = lim->max_slots,
                             .kv_type = lim->kv_type,
                             .n_thread = lim->n_thread};
}

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Rows and inputs of the widest product. */
static void product_size(const mn_model *m, const mn__forward_limits *lim, size_t *n_row,
                         size_t *n_in)
{
    *n_row = most(most(lim->max_prefill_row, lim->max_decode_row), lim->max_logit_row);
    *n_in = most(most(m->n_embd, m->n_ff), m->n_head * m->head_dim);
    *n_in = most(*n_in, m->max_in);
}

size_t mn__forward_bytes(const mn_model *m, const mn__forward_limits *lim)
{
    mn__forward f = {.m = m, .lim = *lim};
    mn__arena count = {0};
    mn__attn_limits al = attn_limits(m, lim);
    size_t n_row, n_in;
    lay_out(&f, &count);
    product_size(m, lim, &n_row, &n_in);
    return sizeof f + count.used + mn__attn_bytes(&al) +
           mn__product_bytes(&m->kern, lim->n_thread, n_row, n_in);
}

mn_status mn__forward_new(mn__forward **out, const mn_model *m, const mn__forward_limits *lim,
                          mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__arena count = {0};
    mn__attn_limits al = attn_limits(m, lim);
    size_t n_row, n_in;
    mn__forward *f = mn__alloc_zero(MN_MEM_SCRATCH, sizeof *f);
    *out = NULL;
    if (!f) return mn__fail(diag, MN_ENOMEM, "no memory for a step's workspace");
    f->m = m;
    f->lim = *lim;
    lay_out(f, &count);
    if (mn__arena_init(&f->arena, MN_MEM_SCRATCH, count.used) != MN_OK) {
        st = mn__fail(diag, MN_ENOMEM, "a step's workspace: %zu bytes wanted", count.used);
        goto done;
    }
    lay_out(f, &f->arena);
    product_size(m, lim, &n_row, &n_in);
    MN_TRY(mn__attn_new(&f->attn, &al, &m->kern, diag));
    MN_TRY(mn__product_new(&f->product, &m->kern, lim->n_thread, n_row, n_in, diag));
    *out = f;
    f = NULL;
done:
    mn__forward_free(f);
    return st;
}

void mn__forward_free(mn__forward *f)
{
    if (!f) return;
    mn__attn_free(f->attn);
    mn__product_free(f->product);
    mn__arena_fini(&f->arena);
    mn__free(f);
}

/* ---- the step ---- */

/* Embedding and rotation tables of this thread's rows. */
static void embed(const mn__crew *crew, mn__forward *f)
{
    const mn_model *m = f->m;
    size_t row = 0, C = m->n_embd;
    for (size_t i = 0; i < f->n_seq; i++)
        for (size_t t = 0; t < f->seq[i].n; t++, row++) {
            if (row % (size_t)crew->n_thread != (size_t)crew->thread) continue;
            int64_t pos = f->seq[i].cache->n_seen + (int64_t)t;
            mn__weight_row(&m->embd, (size_t)f->seq[i].token[t], f->x + row * C);
            if (m->embd_scale != 1.0f)
                for (size_t c = 0; c < C; c++) f->x[row * C + c] *= m->embd_scale;
            mn__rope_table(&m->rope, pos, 1, f->cos_sin + row * m->rope.n_rot);
            if (m->rope_local.n_rot)
                mn__rope_table(&m->rope_local, pos, 1,
                               f->cos_sin_local + row * m->rope_local.n_rot);
        }
}

/* x += post(y) where the model has a post-norm, then in = norm(x) for the next product. */
static void norm_rows(const mn__crew *crew, mn__forward *f, mn__phase_rows *p, const float *post,
                      const float *norm)
{
    const mn_model *m = f->m;
    size_t C = m->n_embd;
    float *tmp = f->norm + (size_t)crew->thread * C;
    for (size_t i = (size_t)crew->thread; i < p->n; i += (size_t)crew->n_thread) {
        float *x = f->x + (p->first + i) * C;
        if (post) {
            m->kern.rms_norm(tmp, f->y + (p->first + i) * C, post, C, m->norm_eps);
            m->kern.add(x, x, tmp, C);
        }
        if (!norm) continue;
        m->kern.rms_norm(tmp, x, norm, C, m->norm_eps);
        mn__rows_set(&m->kern, &p->in, i, tmp);
    }
}

static void both_norm(const mn__crew *crew, mn__forward *f, const float *post, const float *norm)
{
    norm_rows(crew, f, &f->decode, post, norm);
    norm_rows(crew, f, &f->prefill, post, norm);
    mn__team_wait(crew);
}

/* Into the residual at once, or into y when a post-norm stands between. */
static void project(const mn__crew *crew, mn__forward *f, const mn__weight *w, bool post,
                    bool hidden)
{
    mn__phase_rows *phase[2] = {&f->decode, &f->prefill};
    size_t C = f->m->n_embd;
    if (!hidden && f->m->reads_by_dots && f->prefill.n) {
        mn__rows_settle(crew, &f->m->kern, &f->prefill.attn);
        mn__team_wait(crew);
    }
    for (int i = 0; i < 2; i++)
        if (phase[i]->n)
            mn__linear(crew, f->product, w, hidden ? &phase[i]->hidden : &phase[i]->attn,
                       (post ? f->y : f->x) + phase[i]->first * C, C, !post);
    mn__team_wait(crew);
}

static void attend(const mn__crew *crew, mn__forward *f, size_t il)
{
    const mn_model *m = f->m;
    const mn__model_layer *l = &m->layer[il];
    mn__phase_rows *phase[2] = {&f->decode, &f->prefill};
    size_t ld = (m->n_head + 2 * m->n_kv_head) * m->head_dim;
    for (int i = 0; i < 2; i++)
        if (phase[i]->n)
            mn__linear_side_by_side(crew, f->product, (const mn__weight *[]){&l->q, &l->k, &l->v},
                                    3, &phase[i]->in, f->qkv + phase[i]->first * ld, ld);
    mn__team_wait(crew);
    mn__attn_layer al = {.layer = il,
                         .n_head = m->n_head,
                         .n_kv_head = m->n_kv_head,
                         .head_dim = m->head_dim,
                         .window = l->window,
                         .scale = m->softmax_scale,
                         .norm_eps = m->norm_eps,
                         .q_norm = l->q_norm,
                         .k_norm = l->k_norm,
                         .rope = l->rope,
                         .cos_sin = l->rope == &m->rope ? f->cos_sin : f->cos_sin_local};
    mn__attn_out out = {
        .decode = &f->decode.attn, .prefill = &f->prefill.attn, .first_prefill = f->prefill.first};
    mn__attention(crew, f->attn, &al, f->aseq, f->n_seq, f->qkv, &out);
}

/* After the last attention only rows that someone wants go on: they move to the front of their
 * phase. */
static void narrow(mn__forward *f)
{
    size_t C = f->m->n_embd, row = 0, n = 0;
    mn__rows *a = &f->prefill.attn;
    for (size_t i = 0; i < f->n_seq; i++) {
        const mn__forward_seq *s = &f->seq[i];
        size_t first = s->want == MN__WANT_ALL ? 0 : s->want == MN__WANT_LAST ? s->n - 1 : s->n;
        for (size_t t = first; !s->decode && t < s->n; t++, n++) {
            size_t from = row + t, to = f->prefill.first + n, at = from - f->prefill.first;
            if (from == to) continue;
            memcpy(f->x + to * C, f->x + from * C, C * sizeof(float));
            if (a->bf16)
                memcpy(a->bf16 + n * a->ld, a->bf16 + at * a->ld, a->ld * sizeof(mn_bf16));
            else
                memcpy(a->f32 + n * a->ld, a->f32 + at * a->ld, a->ld * sizeof(float));
        }
        row += s->n;
    }
    f->prefill.n = f->prefill.in.n_row = f->prefill.attn.n_row = f->prefill.hidden.n_row = n;
    f->n_out = f->decode.n + n;
}

static void run_layer(const mn__crew *crew, mn__forward *f, size_t il)
{
    const mn_model *m = f->m;
    const mn__model_layer *l = &m->layer[il];
    mn__phase_rows *phase[2] = {&f->decode, &f->prefill};
    both_norm(crew, f, il ? m->layer[il - 1].ffn_post_norm : NULL, l->attn_norm);
    attend(crew, f, il);
    if (il + 1 == m->n_layer) {
        if (crew->thread == 0) narrow(f);
        mn__team_wait(crew);
    }
    project(crew, f, &l->o, l->attn_post_norm != NULL, false);
    both_norm(crew, f, l->attn_post_norm, l->ffn_norm);
    for (int i = 0; i < 2; i++)
        if (phase[i]->n)
            mn__linear_glu(crew, f->product, &l->gate, &l->up, &phase[i]->in, m->act,
                           &phase[i]->hidden);
    mn__team_wait(crew);
    project(crew, f, &l->down, l->ffn_post_norm != NULL, true);
}

static void run_step(const mn__crew *crew, void *arg)
{
    mn__forward *f = arg;
    const mn_model *m = f->m;
    embed(crew, f);
    mn__team_wait(crew);
    for (size_t il = 0; il < m->n_layer; il++) run_layer(crew, f, il);
    both_norm(crew, f, m->layer[m->n_layer - 1].ffn_post_norm, NULL);
    for (size_t i = (size_t)crew->thread; i < f->n_out; i += (size_t)crew->n_thread)
        m->kern.rms_norm(f->out + i * m->n_embd, f->x + i * m->n_embd, m->out_norm, m->n_embd,
                         m->norm_eps);
}

static void set_rows(mn__phase_rows *p, size_t first, size_t n)
{
    p->first = first;
    p->n = p->in.n_row = p->attn.n_row = p->hidden.n_row = n;
}

void mn__forward_run(mn__forward *f, mn__team *team, const mn__forward_seq *seq, size_t n_seq)
{
    const mn_model *m = f->m;
    size_t row = 0, n_decode = 0;
    for (size_t i = 0; i < n_seq; i++) {
        f->aseq[i] = (mn__attn_seq){.cache = seq[i].cache,
                                    .scorer = seq[i].scorer,
                                    .row0 = row,
                                    .n_row = seq[i].n,
                                    .decode = seq[i].decode};
        row += seq[i].n;
        if (seq[i].decode) n_decode = row;
    }
    set_rows(&f->decode, 0, n_decode);
    set_rows(&f->prefill, n_decode, row - n_decode);
    f->seq = seq;
    f->n_seq = n_seq;
    f->n_row = row;
    if (m->lm)
        mn__forward_lm_run(f, team);
    else
        mn__team_run(team, run_step, f);
}

/* ---- the head ---- */

/* What bf16 leaves of a row, in bf16 too. */
static void set_rest(mn__forward *f, size_t i, const float *x, float *tmp)
{
    const mn_model *m = f->m;
    m->kern.bf16_to_f32(tmp, f->head_wide.bf16 + i * f->head_wide.ld, m->n_embd);
    for (size_t c = 0; c < m->n_embd; c++) tmp[c] = x[c] - tmp[c];
    mn__rows_set(&m->kern, &f->head_rest, i, tmp);
}

/* Rows of a prompt (mn_session_score) are multiplied as bf16 and as what that leaves of them: near
 * ties between tokens are decided here. */
static void run_head(const mn__crew *crew, void *arg)
{
    mn__forward *f = arg;
    const mn_model *m = f->m;
    mn__rows *rows = f->head_is_dots ? &f->head_dots : &f->head_wide;
    const bool has_rest = !f->head_is_dots && f->head_rest.bf16;
    float *tmp = f->norm + (size_t)crew->thread * m->n_embd;
    size_t begin, end;
    for (size_t i = (size_t)crew->thread; i < f->head_n; i += (size_t)crew->n_thread) {
        const float *x = f->out + (f->head_row + i) * m->n_embd;
        mn__rows_set(&m->kern, rows, i, x);
        if (has_rest) set_rest(f, i, x, tmp);
    }
    mn__team_wait(crew);
    mn__linear(crew, f->product, &m->head, rows, f->logits, m->n_vocab, false);
    if (has_rest) {
        mn__weight head = m->head;
        head.bias = NULL; /* it is in */
        mn__team_wait(crew);
        mn__linear(crew, f->product, &head, &f->head_rest, f->logits, m->n_vocab, true);
    }
    if (m->logit_softcap == 0 && m->logit_scale == 1) return;
    mn__team_wait(crew);
    mn__team_split(crew, f->head_n * m->n_vocab, 64, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        float v = f->logits[i] * m->logit_scale;
        f->logits[i] = m->logit_softcap != 0 ? m->logit_softcap * tanhf(v / m->logit_softcap) : v;
    }
}

float *mn__forward_logits(mn__forward *f, mn__team *team, size_t i, size_t n, bool dots)
{
    f->head_row = i;
    f->head_n = n;
    f->head_is_dots = dots;
    f->head_dots.n_row = f->head_wide.n_row = f->head_rest.n_row = n;
    mn__team_run(team, run_head, f);
    return f->logits;
}
