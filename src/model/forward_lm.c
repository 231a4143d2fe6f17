/* forward_lm.c: a step of layers that train (arch_mneme.c): embed -> [norm -> mixer -> norm ->
 * feed-forward and memories] x L -> norm. Layers run on the team by themselves, op by op; softmax
 * attention is the engine's, over lanes, and the other kinds carry a state in the cache. Decode
 * rows and prefill rows are passes of their own, for they take different products. */
#include <string.h>

#include "layer/ops.h"
#include "model/forward_internal.h"

enum { ROW_GRAIN = 8 };

/* Rows [first, first + n) of the step, all of one phase. */
typedef struct pass {
    mn__forward *f;
    mn__env env;
    size_t first, n, il;
    mn__rows *attn; /* of softmax attention */
    size_t skip;    /* its rows before those of this pass */
} pass;

static float *rows_of(const pass *p, float *all, size_t width)
{
    return all + p->first * width;
}

/* Where memory k's output waits. */
static float *pending_of(const pass *p, size_t k)
{
    const size_t R = p->f->lim.max_prefill_row + p->f->lim.max_decode_row, C = p->f->m->n_embd;
    return p->f->lm.pending + (k * R + p->first) * C;
}

static bool is_softmax(const mn_model *m)
{
    return m->config->model_mixer == MN__MIX_SOFTMAX;
}

/* ---- before and behind attention ---- */

static void enter_block(const pass *p)
{
    const mn__learner *l = p->f->m->lm;
    const size_t C = p->f->m->n_embd, mark = mn__tape_mark(p->env.tape);
    float *a = rows_of(p, p->f->lm.a, C);
    mn__norm_forward(&l->block[p->il].norm[0], &p->env, p->n, rows_of(p, p->f->x, C), a, NULL);
    mn__mixer_project(&l->mixer[p->il], &p->env, p->n, a,
                      rows_of(p, p->f->qkv, mn__mixer_packed(&l->mixer[p->il])));
    mn__tape_cut(p->env.tape, mark);
}

static void run_ffn(const pass *p, const float *x, float *y)
{
    const mn__learner *l = p->f->m->lm;
    mn__any_ffn *ffn = &l->ffn[p->il];
    if (l->config.model_arch == MN__ARCH_MOE)
        mn__moe_infer(&ffn->moe.self, &p->env, p->n, x, y);
    else
        ffn->layer.ops->forward(&ffn->layer, &p->env, (mn__shape){1, p->n}, x, y, false);
}

static void run_memory(const pass *p, size_t k, const float *x, float *y)
{
    const mn__learner *l = p->f->m->lm;
    const mn__any_memory *memory = &l->memory[k];
    switch ((mn__arch_kind)l->config.model_arch) {
    case MN__ARCH_PKM: mn__pkm_forward(&memory->pkm.self, &p->env, p->n, x, y, NULL); break;
    case MN__ARCH_MEMORY_PLUS:
        mn__memory_plus_forward(&memory->plus.self, &p->env, p->n, x, y, NULL);
        break;
    case MN__ARCH_ULTRAMEM:
        mn__ultramem_forward(&memory->ultramem.self, &p->env, p->n, x, y, NULL);
        break;
    case MN__ARCH_ULTRAMEM_V2:
        mn__ultramem_v2_forward(&memory->v2.self, &p->env, p->n, x, y, NULL);
        break;
    default: break;
    }
}

/* z: what the mixer made. The stream goes on in y. */
static void leave_block(const pass *p)
{
    const mn__learner *l = p->f->m->lm;
    const mn__block *block = &l->block[p->il];
    const size_t C = p->f->m->n_embd, size = p->n * C, mark = mn__tape_mark(p->env.tape);
    float *x = rows_of(p, p->f->x, C), *y = rows_of(p, p->f->y, C), *z = rows_of(p, p->f->lm.z, C),
          *a = rows_of(p, p->f->lm.a, C);
    mn__each_add(&p->env, z, x, size);
    mn__norm_forward(&block->norm[1], &p->env, p->n, block->parallel ? x : z, a, NULL);
    run_ffn(p, a, y);
    for (size_t k = 0; k < l->memories.n; k++) {
        const mn__insertion *at = &l->memories.slot[k].at;
        if (at->from == p->il) run_memory(p, k, a, pending_of(p, k));
        if (at->to == p->il) mn__each_add(&p->env, y, pending_of(p, k), size);
    }
    mn__each_add(&p->env, y, z, size);
    mn__tape_cut(p->env.tape, mark);
}

/* ---- attention ---- */

typedef struct attending {
    mn__forward *f;
    size_t il;
} attending;

static void attend(const mn__crew *crew, void *arg)
{
    const attending *t = arg;
    mn__forward *f = t->f;
    const mn_model *m = f->m;
    const mn__mixer *l = &m->lm->mixer[t->il];
    const mn__attn_layer al = {.layer = t->il,
                               .n_head = m->n_head,
                               .n_kv_head = m->n_kv_head,
                               .head_dim = m->head_dim,
                               .scale = m->softmax_scale,
                               .norm_eps = m->norm_eps,
                               .q_norm = l->sizes.has_qk_norm ? l->q_norm.scale.w : NULL,
                               .k_norm = l->sizes.has_qk_norm ? l->k_norm.scale.w : NULL,
                               .rope = &m->rope,
                               .cos_sin = f->cos_sin};
    const mn__attn_out out = {
        .decode = &f->decode.attn, .prefill = &f->prefill.attn, .first_prefill = f->prefill.first};
    mn__attention(crew, f->attn, &al, f->aseq, f->n_seq, f->qkv, &out);
}

static void widen_rows(void *arg, size_t begin, size_t end, int thread)
{
    const pass *p = arg;
    const mn__rows *r = p->attn;
    const size_t width = p->f->m->n_head * p->f->m->head_dim;
    (void)thread;
    for (size_t i = begin; i < end; i++) {
        float *to = rows_of(p, p->f->lm.heads, width) + i * width;
        if (r->bf16)
            p->env.kern->bf16_to_f32(to, r->bf16 + (p->skip + i) * r->ld, width);
        else
            memcpy(to, r->f32 + (p->skip + i) * r->ld, width * sizeof *to);
    }
}

/* One sequence after the other: each has a state of its own. */
static void carry(const pass *p)
{
    mn__forward *f = p->f;
    const mn_model *m = f->m;
    const mn__mixer *l = &m->lm->mixer[p->il];
    const size_t ld = mn__mixer_packed(l), width = m->n_head * m->head_dim;
    size_t row = 0;
    for (size_t i = 0; i < f->n_seq; i++) {
        const mn__forward_seq *s = &f->seq[i];
        const size_t n_state = s->cache->shape.state_bytes / sizeof(float) / m->n_layer;
        const mn__carried carried = {.state = s->cache->state + p->il * n_state,
                                     .past = (size_t)s->cache->n_seen,
                                     .room = n_state};
        if (row >= p->first && row < p->first + p->n)
            mn__mixer_continue(l, &p->env, s->n, f->qkv + row * ld, &carried,
                               f->lm.heads + row * width);
        row += s->n;
    }
}

static void finish_mixer(const pass *p)
{
    mn__forward *f = p->f;
    const mn_model *m = f->m;
    const size_t mark = mn__tape_mark(p->env.tape);
    pass rows = *p;
    if (is_softmax(m)) mn__each(&p->env, p->n, ROW_GRAIN, widen_rows, &rows);
    mn__mixer_finish(&m->lm->mixer[p->il], &p->env, p->n,
                     rows_of(p, f->lm.heads, m->n_head * m->head_dim),
                     rows_of(p, f->lm.z, m->n_embd));
    mn__tape_cut(p->env.tape, mark);
}

/* ---- the step ---- */

static void embed_rows(void *arg, size_t begin, size_t end, int thread)
{
    mn__forward *f = arg;
    const mn_model *m = f->m;
    size_t row = 0;
    (void)thread;
    for (size_t i = 0; i < f->n_seq; i++)
        for (size_t t = 0; t < f->seq[i].n; t++, row++) {
            if (row < begin || row >= end) continue;
            mn__weight_row(&m->embd, (size_t)f->seq[i].token[t], f->x + row * m->n_embd);
            mn__rope_table(&m->rope, f->seq[i].cache->n_seen + (int64_t)t, 1,
                           f->cos_sin + row * m->rope.n_rot);
        }
}

/* Rows of a sequence that go on to the head, from which one. */
static size_t first_wanted(const mn__forward_seq *s)
{
    if (s->decode || s->want == MN__WANT_ALL) return 0;
    return s->want == MN__WANT_LAST ? s->n - 1 : s->n;
}

/* After the last attention only rows that someone wants go on, where a prompt is read alone. */
static void narrow(pass *p)
{
    const mn__forward *f = p->f;
    if (p->il + 1 < f->m->n_layer || f->n_seq != 1) return;
    p->skip = first_wanted(&f->seq[0]);
    p->first += p->skip;
    p->n -= p->skip;
}

static void run_block(mn__forward *f, mn__team *team, pass *phase, size_t n_phase, size_t il)
{
    attending t = {f, il};
    for (size_t i = 0; i < n_phase; i++) {
        phase[i].il = il;
        enter_block(&phase[i]);
    }
    if (is_softmax(f->m)) mn__team_run(team, attend, &t);
    for (size_t i = 0; i < n_phase; i++) {
        if (!is_softmax(f->m)) carry(&phase[i]);
        narrow(&phase[i]);
        if (!phase[i].n) continue;
        finish_mixer(&phase[i]);
        leave_block(&phase[i]);
    }
    float *swap = f->x;
    f->x = f->y;
    f->y = swap;
}

/* The last norm of the rows that someone wants. */
static void collect(mn__forward *f, const mn__env *env)
{
    const size_t C = f->m->n_embd;
    size_t row = 0;
    f->n_out = 0;
    for (size_t i = 0; i < f->n_seq; i++) {
        const mn__forward_seq *s = &f->seq[i];
        const size_t first = first_wanted(s);
        mn__norm_forward(&f->m->lm->lm.norm, env, s->n - first, f->x + (row + first) * C,
                         f->out + f->n_out * C, NULL);
        f->n_out += s->n - first;
        row += s->n;
    }
}

void mn__forward_lm_run(mn__forward *f, mn__team *team)
{
    const mn_model *m = f->m;
    mn__tape tape = {.data = f->lm.tape, .size = f->lm.tape_size};
    const mn__env env = {
        .team = team, .kern = &m->kern, .tape = &tape, .product = f->product, .decode = true};
    pass phase[2];
    size_t n_phase = 0;
    if (f->decode.n)
        phase[n_phase++] = (pass){.f = f, .env = env, .n = f->decode.n, .attn = &f->decode.attn};
    if (f->prefill.n) {
        phase[n_phase] = (pass){.f = f,
                                .env = env,
                                .first = f->prefill.first,
                                .n = f->prefill.n,
                                .attn = &f->prefill.attn};
        phase[n_phase++].env.decode = false;
    }
    mn__team_each(team, f->n_row, ROW_GRAIN, embed_rows, f);
    for (size_t il = 0; il < m->n_layer; il++) run_block(f, team, phase, n_phase, il);
    collect(f, &env);
}

/* ---- workspace ---- */

/* What layers take from the tape in one pass over n rows. Nothing is touched, so that one address
 * stands for all arrays. */
static size_t measure(const mn_model *m, const mn__forward_limits *lim, size_t n, bool decode)
{
    mn__tape dry = {0};
    mn__forward f = {.m = m, .lim = *lim};
    float *any = mn__tape_take(&dry, 1, sizeof *any);
    const size_t mark = mn__tape_mark(&dry);
    pass p = {.f = &f, .n = n};
    p.env = (mn__env){.kern = &m->kern, .tape = &dry, .n_thread = lim->n_thread, .decode = decode};
    f.x = f.y = f.qkv = f.lm.a = f.lm.z = f.lm.heads = f.lm.pending = any;
    const mn__carried carried = {.state = any,
                                 .room = mn__mixer_state(&m->lm->mixer[0], lim->max_slots)};
    for (p.il = 0; n && p.il < m->n_layer; p.il++) {
        enter_block(&p);
        if (!is_softmax(m)) mn__mixer_continue(&m->lm->mixer[p.il], &p.env, n, any, &carried, any);
        mn__tape_cut(&dry, mark);
        mn__mixer_finish(&m->lm->mixer[p.il], &p.env, n, any, any);
        mn__tape_cut(&dry, mark);
        leave_block(&p);
    }
    return dry.peak;
}

void mn__forward_lm_take(mn__forward *f, mn__arena *ar)
{
    const mn_model *m = f->m;
    const size_t R = f->lim.max_prefill_row + f->lim.max_decode_row, C = m->n_embd;
    f->lm.a = mn__arena_take(ar, R * C * sizeof(float));
    f->lm.z = mn__arena_take(ar, R * C * sizeof(float));
    f->lm.heads = mn__arena_take(ar, R * m->n_head * m->head_dim * sizeof(float));
    f->lm.pending = mn__arena_take(ar, m->lm->memories.n * R * C * sizeof(float));
    if (!f->lm.tape_size) {
        const size_t prefill = measure(m, &f->lim, f->lim.max_prefill_row, false),
                     decode = measure(m, &f->lim, f->lim.max_decode_row, true);
        f->lm.tape_size = prefill > decode ? prefill : decode;
    }
    f->lm.tape = mn__arena_take(ar, f->lm.tape_size);
}
