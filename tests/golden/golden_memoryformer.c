/* golden_memoryformer.c: kinds `memoryformer_block` and `memoryformer_lm`: layers put together as
 * the published code does, with all gradients. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden/golden_layer.h"
#include "layer/lm.h"
#include "layer/memory_ffn.h"
#include "layer/mixer.h"

enum { SIZE_LIMIT = 1 << 16, LAYER_LIMIT = 64 };
static const golden_tolerance near = {.abs = 2e-5, .rel = 1e-4};

typedef struct sizes {
    size_t batch, seq, d, heads, n_table, n_bit, n_extra, n_rot;
    double base, rms_eps, mid_eps;
} sizes;

static bool read_sizes(golden *g, const json_t *dims, sizes *s)
{
    *s = (sizes){.base = 10000, .rms_eps = 1e-8, .mid_eps = 1e-5};
    bool ok = golden_size(g, dims, "batch", 1, SIZE_LIMIT, &s->batch) &&
              golden_size(g, dims, "seq", 1, SIZE_LIMIT, &s->seq) &&
              golden_size(g, dims, "d", 1, SIZE_LIMIT, &s->d) &&
              golden_size(g, dims, "heads", 1, s->d, &s->heads) &&
              golden_size(g, dims, "K", 1, SIZE_LIMIT, &s->n_table) &&
              golden_size(g, dims, "tau", 1, MN__MEMORY_BITS, &s->n_bit) &&
              golden_size(g, dims, "extra_bit", 0, MN__MEMORY_BITS, &s->n_extra) &&
              golden_size(g, dims, "rotary_dims", 0, s->d / s->heads, &s->n_rot);
    const struct {
        const char *name;
        double *to;
    } more[] = {{"rotary_base", &s->base}, {"rms_eps", &s->rms_eps}, {"mid_ln_eps", &s->mid_eps}};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        if (json_object_get(dims, more[i].name))
            ok = ok && golden_real(g, dims, more[i].name, more[i].to);
    return ok;
}

typedef struct layers {
    mn__mixer mixer;
    mn__memory_ffn ffn;
} layers;

static bool make_block(golden *g, const sizes *s, layers *l, mn__block *block)
{
    mn_diag diag = {""};
    const mn__mixer_sizes mix = {.width = s->d,
                                 .heads = {s->heads, s->heads, s->d / s->heads},
                                 .rotary = {s->n_rot, s->base},
                                 .n_table = s->n_table,
                                 .n_bit = s->n_bit,
                                 .temperature = 1};
    const mn__memory_ffn_sizes ffn = {
        .n_table = s->n_table, .n_bit = s->n_bit, .n_extra = s->n_extra, .temperature = 1};
    if (mn__mixer_init(&l->mixer, &mix, &diag) != MN_OK ||
        mn__memory_ffn_init(&l->ffn, &ffn, &diag) != MN_OK)
        return golden_fail(g, "%s", diag.text);
    l->ffn.norm.eps = (float)s->mid_eps;
    *block = (mn__block){.width = s->d, .mixer = &l->mixer.layer, .ffn = &l->ffn.layer};
    for (size_t i = 0; i < 2; i++)
        mn__norm_init(&block->norm[i], MN__NORM_RMS_OUTSIDE, s->d, s->rms_eps);
    return true;
}

/* The file's names of a block's parameters, in the order that `to` gets them. */
enum { N_PARAM = 14 };
static const char *const param_name[N_PARAM] = {
    "norm1_scale",   "q_tables",    "q_bias",      "k_tables",    "k_bias",
    "v_tables",      "v_bias",      "norm2_scale", "ffn1_tables", "ffn1_bias",
    "mid_ln_weight", "mid_ln_bias", "ffn2_tables", "ffn2_bias"};

static void list_params(layers *l, mn__block *block, mn__param *to[N_PARAM])
{
    mn__memory_share *s = l->mixer.memory.share;
    mn__param *all[N_PARAM] = {&block->norm[0].rms.scale,
                               &s[0].tables,
                               &s[0].bias,
                               &s[1].tables,
                               &s[1].bias,
                               &s[2].tables,
                               &s[2].bias,
                               &block->norm[1].rms.scale,
                               &l->ffn.in.share[0].tables,
                               &l->ffn.in.share[0].bias,
                               &l->ffn.norm.scale,
                               &l->ffn.norm.bias,
                               &l->ffn.out.share[0].tables,
                               &l->ffn.out.share[0].bias};
    memcpy(to, all, sizeof all);
}

static bool load_block(golden *g, const json_t *params, layers *l, mn__block *block)
{
    mn__param *p[N_PARAM];
    bool ok = true;
    list_params(l, block, p);
    for (size_t i = 0; ok && i < N_PARAM; i++) ok = golden_rig_load(g, params, param_name[i], p[i]);
    return ok;
}

static bool compare_norm(golden *g, const json_t *norms, const char *name, const mn__param *p)
{
    double sum = 0, want;
    for (size_t i = 0; i < mn__param_size(p); i++) sum += (double)p->g[i] * (double)p->g[i];
    if (!golden_real(g, norms, name, &want)) return false;
    return golden_near(g, name, want, sqrt(sum), near.abs + near.rel * fabs(want));
}

static bool compare_sums(golden *g, const json_t *sums, const char *name, const mn__param *p)
{
    const size_t width = p->dim[2];
    float *sum = calloc(width, sizeof *sum);
    double *exact = calloc(width, sizeof *exact);
    bool ok = sum && exact;
    for (size_t i = 0; ok && i < mn__param_size(p); i++) exact[i % width] += (double)p->g[i];
    for (size_t c = 0; ok && c < width; c++) sum[c] = (float)exact[c];
    ok = ok && golden_compare(g, sums, name, sum, width, near);
    free(sum);
    free(exact);
    return ok;
}

/* Gradients as far as obj has them: whole, or of tables as norms and sums. */
static bool compare_block(golden *g, const json_t *obj, layers *l, mn__block *block)
{
    const json_t *grads = json_object_get(obj, "grads"),
                 *norms = json_object_get(obj, "table_grad_norms"),
                 *sums = json_object_get(obj, "table_grad_sum_over_rows");
    mn__param *p[N_PARAM];
    list_params(l, block, p);
    for (size_t i = 0; i < N_PARAM; i++) {
        const char *name = param_name[i];
        bool whole = json_object_get(grads, name), normed = json_object_get(norms, name);
        if (!whole && !normed) return golden_fail(g, "no gradient of `%s` in the file", name);
        if (whole && !golden_compare(g, grads, name, p[i]->g, mn__param_size(p[i]), near))
            return false;
        if (normed && !compare_norm(g, norms, name, p[i])) return false;
        if (json_object_get(sums, name) && !compare_sums(g, sums, name, p[i])) return false;
    }
    return true;
}

/* ---- memoryformer_block ---- */

typedef struct replay {
    sizes s;
    layers l;
    mn__block block;
    float *x, *y, *dy, *dx;
} replay;

static void pass(const mn__env *env, void *arg)
{
    replay *r = arg;
    const mn__shape s = {r->s.batch, r->s.seq};
    mn__block_forward(&r->block, env, s, r->x, r->y, true);
    mn__block_backward(&r->block, env, s, r->dy, r->dx);
}

/* What lies between, as far as it is kept. */
static bool compare_inside(golden *g, const replay *r)
{
    const json_t *inter = json_object_get(g->root, "inter");
    const size_t n = r->s.batch * r->s.seq, size = n * r->s.d;
    return golden_compare(g, inter, "norm1", r->l.mixer.saved.memory.x, size, near) &&
           golden_compare(g, inter, "attn_out", r->l.mixer.saved.heads, size, near) &&
           golden_compare(g, inter, "norm2", r->l.ffn.in_saved.x, size, near) &&
           golden_compare(g, inter, "ffn1", r->l.ffn.norm_saved.x, n * r->l.ffn.norm.width, near) &&
           golden_compare(g, inter, "mid_ln", r->l.ffn.out_saved.x, n * r->l.ffn.norm.width, near);
}

static bool compare_outside(golden *g, replay *r)
{
    const size_t size = r->s.batch * r->s.seq * r->s.d;
    return compare_inside(g, r) && golden_compare(g, g->root, "y", r->y, size, near) &&
           golden_compare(g, g->root, "grad_x", r->dx, size, near) &&
           compare_block(g, g->root, &r->l, &r->block);
}

bool golden_memoryformer_block(golden *g)
{
    replay *r = calloc(1, sizeof *r);
    golden_rig rig = {.w = NULL};
    if (!r) return golden_fail(g, "out of memory");
    bool ok =
        golden_fields(g, g->root, "",
                      "kind case dims min_abs_hash_input params x inter y grad_y grad_x grads "
                      "table_grad_norms table_grad_sum_over_rows note") &&
        read_sizes(g, json_object_get(g->root, "dims"), &r->s) &&
        make_block(g, &r->s, &r->l, &r->block);
    if (ok) {
        const size_t shape[] = {r->s.batch, r->s.seq, r->s.d, 0},
                     size = shape[0] * shape[1] * shape[2];
        mn__block_declare(&r->block, &rig.list, "block");
        r->x = golden_floats(g, g->root, "x", shape);
        r->dy = golden_floats(g, g->root, "grad_y", shape);
        r->y = calloc(size, sizeof *r->y);
        r->dx = calloc(size, sizeof *r->dx);
        ok = r->x && r->dy && r->y && r->dx && golden_rig_bind(g, &rig) &&
             load_block(g, json_object_get(g->root, "params"), &r->l, &r->block) &&
             golden_rig_run(g, &rig, pass, r) && compare_outside(g, r);
    }
    free(r->x);
    free(r->y);
    free(r->dy);
    free(r->dx);
    free(r);
    golden_rig_fini(&rig);
    return ok;
}

/* ---- memoryformer_lm ---- */

typedef struct lm_replay {
    sizes s;
    size_t n_layer;
    layers l[LAYER_LIMIT];
    mn__block block[LAYER_LIMIT];
    mn__lm lm;
    int32_t *token, *target;
    float *logits;
    mn__nll loss;
} lm_replay;

static void lm_pass(const mn__env *env, void *arg)
{
    lm_replay *r = arg;
    const mn__shape s = {r->s.batch, r->s.seq};
    const mn__lm_batch b = {s, r->token, r->target, 1.0 / (double)(s.n_seq * s.len)};
    mn__lm_logits(&r->lm, env, s, r->token, r->logits);
    r->loss = mn__lm_loss(&r->lm, env, &b, true, NULL);
}

/* tokens [batch][seq + 1]: the first seq are read, the last seq are to be said. */
static bool read_tokens(golden *g, lm_replay *r)
{
    const size_t n = r->s.seq;
    double *t = golden_numbers(g, g->root, "tokens", (const size_t[]){r->s.batch, n + 1, 0}, false);
    r->token = calloc(r->s.batch * n, sizeof *r->token);
    r->target = calloc(r->s.batch * n, sizeof *r->target);
    bool ok = t && r->token && r->target;
    for (size_t i = 0; ok && i < r->s.batch * (n + 1); i++)
        if (!(t[i] >= 0 && t[i] < (double)r->lm.n_vocab))
            ok = golden_fail(g, "`tokens`: %g is none of %zu", t[i], r->lm.n_vocab);
    for (size_t i = 0; ok && i < r->s.batch * n; i++) {
        r->token[i] = (int32_t)t[i / n * (n + 1) + i % n];
        r->target[i] = (int32_t)t[i / n * (n + 1) + i % n + 1];
    }
    free(t);
    return ok;
}

static bool make_lm(golden *g, lm_replay *r, mn__params *list)
{
    const json_t *dims = json_object_get(g->root, "dims");
    if (!golden_fields(g, g->root, "",
                       "kind case dims min_abs_hash_input tokens embedding final_norm_scale head "
                       "blocks logits loss grad_embedding grad_final_norm_scale grad_head note") ||
        !read_sizes(g, dims, &r->s) ||
        !golden_size(g, dims, "layers", 1, LAYER_LIMIT, &r->n_layer) ||
        !golden_size(g, dims, "vocab", 1, SIZE_LIMIT, &r->lm.n_vocab))
        return false;
    for (size_t i = 0; i < r->n_layer; i++)
        if (!make_block(g, &r->s, &r->l[i], &r->block[i])) return false;
    r->lm.width = r->s.d;
    r->lm.n_block = r->n_layer;
    r->lm.block = r->block;
    mn__norm_init(&r->lm.norm, MN__NORM_RMS_OUTSIDE, r->s.d, r->s.rms_eps);
    mn__lm_declare(&r->lm, list);
    return true;
}

static bool load_lm(golden *g, lm_replay *r)
{
    const json_t *blocks = json_object_get(g->root, "blocks");
    bool ok = golden_rig_load(g, g->root, "embedding", &r->lm.embedding) &&
              golden_rig_load(g, g->root, "head", &r->lm.head) &&
              golden_rig_load(g, g->root, "final_norm_scale", &r->lm.norm.rms.scale);
    for (size_t i = 0; ok && i < r->n_layer; i++)
        ok = load_block(g, json_object_get(json_array_get(blocks, i), "params"), &r->l[i],
                        &r->block[i]);
    return ok;
}

static bool compare_lm(golden *g, lm_replay *r)
{
    const json_t *blocks = json_object_get(g->root, "blocks");
    const size_t n = r->s.batch * r->s.seq, table = r->lm.n_vocab * r->s.d;
    double want;
    bool ok =
        golden_compare(g, g->root, "logits", r->logits, n * r->lm.n_vocab, near) &&
        golden_real(g, g->root, "loss", &want) &&
        golden_near(g, "loss", want, r->loss.sum / (double)r->loss.n, near.abs + near.rel * want) &&
        golden_compare(g, g->root, "grad_embedding", r->lm.embedding.g, table, near) &&
        golden_compare(g, g->root, "grad_head", r->lm.head.g, table, near) &&
        golden_compare(g, g->root, "grad_final_norm_scale", r->lm.norm.rms.scale.g, r->s.d, near);
    for (size_t i = 0; ok && i < r->n_layer; i++)
        ok = compare_block(g, json_array_get(blocks, i), &r->l[i], &r->block[i]);
    return ok;
}

bool golden_memoryformer_lm(golden *g)
{
    lm_replay *r = calloc(1, sizeof *r);
    if (!r) return golden_fail(g, "out of memory");
    bool ok = true;
    /* Once with all activations kept, once with blocks run again. */
    for (int again = 0; ok && again < 2; again++) {
        golden_rig rig = {.w = NULL};
        *r = (lm_replay){.lm = {.recompute = again}};
        ok = make_lm(g, r, &rig.list) && golden_rig_bind(g, &rig) && load_lm(g, r) &&
             read_tokens(g, r);
        r->logits = ok ? calloc(r->s.batch * r->s.seq * r->lm.n_vocab, sizeof *r->logits) : NULL;
        ok = ok && r->logits && golden_rig_run(g, &rig, lm_pass, r) && compare_lm(g, r);
        free(r->token);
        free(r->target);
        free(r->logits);
        golden_rig_fini(&rig);
    }
    free(r);
    return ok;
}
