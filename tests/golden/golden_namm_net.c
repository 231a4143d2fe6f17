/* golden_namm_net.c: kinds of a NAMM's networks: `bam_scorer`, `mlp_scorer`, `flat_params`.
 * Networks run in their exact form. Tolerance: 2e-5, or 1e-5 of the value. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "golden/golden.h"
#include "policy/namm_net.h"

enum { TOKENS_MAX = 1 << 16, HEADS_MAX = 1 << 10 };

static bool is_near(golden *g, const char *what, const double *want, const float *found, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char at[96];
        snprintf(at, sizeof at, "%s %zu", what, i);
        if (!golden_near(g, at, want[i], (double)found[i], fmax(2e-5, 1e-5 * fabs(want[i]))))
            return false;
    }
    return true;
}

/* 0, 1, false or true. */
static bool read_flag(golden *g, const json_t *obj, const char *name, bool *out)
{
    const json_t *v = json_object_get(obj, name);
    if (!json_is_boolean(v) && !json_is_integer(v))
        return golden_fail(g, "`%s`: true or false wanted", name);
    *out = json_is_true(v) || json_integer_value(v) != 0;
    return true;
}

static bool read_check(golden *g, const mn__namm_net *net)
{
    mn_diag diag = {""};
    return mn__namm_net_check(net, &diag) == MN_OK || golden_fail(g, "%s", diag.text);
}

/* A block of numbers as floats; owned by the caller. */
static float *read_floats(golden *g, const json_t *obj, const char *name, const size_t *shape)
{
    size_t n = 1;
    for (const size_t *s = shape; *s; s++) n *= *s;
    double *x = golden_numbers(g, obj, name, shape, false);
    float *out = x ? malloc(n * sizeof *out) : NULL;
    for (size_t i = 0; out && i < n; i++) out[i] = (float)x[i];
    free(x);
    return out;
}

/* Parameters as the library takes them: a network whose file leaves out the last bias has a zero.
 */
static float *read_params(golden *g, const json_t *obj, const mn__namm_net *net, bool no_last_bias)
{
    size_t n = 0, wanted = mn__namm_net_params(net);
    if (!golden_size(g, obj, "n_params", 1, SIZE_MAX / 64, &n)) return NULL;
    if (n != wanted - no_last_bias) {
        golden_fail(g, "`n_params`: %zu wanted of this shape, %zu found", wanted - no_last_bias, n);
        return NULL;
    }
    const size_t shape[] = {n, 0};
    float *x = read_floats(g, obj, "params", shape), *more = x;
    if (x && no_last_bias) more = realloc(x, wanted * sizeof *x);
    if (more && no_last_bias) more[n] = 0;
    return more;
}

/* One lane's forward pass. */
typedef struct pass {
    mn__namm_net net;
    size_t n_lane, n;
    float *param, *x;
    uint8_t *valid; /* or NULL */
    float *score, *attention;
} pass;

static bool run(golden *g, const pass *p, size_t lane)
{
    struct mn__kern kern;
    float *scratch = mn__alloc(MN_MEM_OTHER, mn__namm_net_scratch(&p->net, p->n) * sizeof *scratch);
    if (!scratch) return golden_fail(g, "out of memory");
    mn__kern_init(&kern, golden_level());
    mn__namm_net_run(&p->net, &kern, p->param, p->x + lane * p->n * p->net.n_in, p->n, p->valid,
                     p->score, p->attention, scratch);
    mn__free(scratch);
    return true;
}

static void drop(pass *p)
{
    free(p->param);
    free(p->x);
    free(p->valid);
    free(p->score);
    free(p->attention);
}

/* ---- bam_scorer ---- */

static bool read_bam_net(golden *g, const json_t *o, mn__namm_net *net)
{
    *net = (mn__namm_net){.head = MN__NAMM_BAM, .exact = true};
    return golden_size(g, o, "emb_dim", 1, MN__NAMM_WIDTH_MAX, &net->n_in) &&
           golden_size(g, o, "hidden_dim", 1, MN__NAMM_WIDTH_MAX, &net->hidden) &&
           golden_size(g, o, "num_heads", 1, MN__NAMM_WIDTH_MAX, &net->n_head) &&
           read_flag(g, o, "attn_bias", &net->bias) && read_flag(g, o, "mult", &net->mult) &&
           read_check(g, net);
}

/* Fields that name the only form there is. */
static bool read_form(golden *g, const json_t *o, bool *no_last_bias)
{
    const json_t *masking = json_object_get(o, "masking"), *depth = json_object_get(o, "mlp_depth");
    bool residual = true, bias = true;
    if (masking && strcmp(json_is_string(masking) ? json_string_value(masking) : "", "backward"))
        return golden_fail(g, "`masking`: backward wanted");
    if (depth && json_integer_value(depth) != 1)
        return golden_fail(g, "`mlp_depth`: 1 wanted, another number found");
    if ((json_object_get(o, "residual") && !read_flag(g, o, "residual", &residual)) ||
        (json_object_get(o, "mlp_bias") && !read_flag(g, o, "mlp_bias", &bias)))
        return false;
    *no_last_bias = !bias;
    return residual || golden_fail(g, "`residual`: true wanted");
}

/* Rows that see no key have nothing that a file could say. */
static size_t first_blind(const pass *p)
{
    size_t n = p->n;
    while (p->valid && n > 0 && !p->valid[n - 1]) n--;
    return n;
}

static bool compare_bam(golden *g, const pass *p, const double *attention, const double *score)
{
    size_t n_out = p->net.mult ? 2 * p->net.n_in : p->net.n_in, n = first_blind(p);
    for (size_t lane = 0; lane < p->n_lane; lane++) {
        char what[64];
        if (!run(g, p, lane)) return false;
        snprintf(what, sizeof what, "head %zu: attention output", lane);
        if (!is_near(g, what, attention + lane * p->n * n_out, p->attention, n * n_out))
            return false;
        snprintf(what, sizeof what, "head %zu: score", lane);
        if (!is_near(g, what, score + lane * p->n, p->score, n)) return false;
    }
    return true;
}

static bool bam(golden *g, pass *p)
{
    const json_t *o = g->root;
    bool no_last_bias = false;
    if (!golden_fields(g, o, "",
                       "kind case oracle seed note emb_dim hidden_dim num_heads attn_bias mult "
                       "residual masking mlp_depth mlp_bias n_params params kv_heads n_tokens "
                       "token_mask embeddings attention_output scores") ||
        !read_bam_net(g, o, &p->net) || !read_form(g, o, &no_last_bias) ||
        !golden_size(g, o, "kv_heads", 1, HEADS_MAX, &p->n_lane) ||
        !golden_size(g, o, "n_tokens", 1, TOKENS_MAX, &p->n))
        return false;
    size_t n_out = p->net.mult ? 2 * p->net.n_in : p->net.n_in;
    const size_t rows[] = {p->n_lane, p->n, p->net.n_in, 0}, out[] = {p->n_lane, p->n, n_out, 0},
                 list[] = {p->n_lane, p->n, 0}, mask[] = {p->n, 0};
    p->param = read_params(g, o, &p->net, no_last_bias);
    p->x = read_floats(g, o, "embeddings", rows);
    p->score = calloc(p->n, sizeof *p->score);
    p->attention = calloc(p->n * n_out, sizeof *p->attention);
    double *valid = golden_numbers(g, o, "token_mask", mask, false),
           *attention = golden_numbers(g, o, "attention_output", out, false),
           *score = golden_numbers(g, o, "scores", list, false);
    p->valid = valid ? malloc(p->n) : NULL;
    for (size_t i = 0; p->valid && i < p->n; i++) p->valid[i] = valid[i] != 0;
    bool ok = p->param && p->x && p->score && p->attention && p->valid && attention && score &&
              compare_bam(g, p, attention, score);
    free(valid);
    free(attention);
    free(score);
    return ok;
}

bool golden_bam_scorer(golden *g)
{
    pass p = {0};
    bool ok = bam(g, &p);
    drop(&p);
    return ok;
}

/* ---- mlp_scorer ---- */

static bool read_mlp_net(golden *g, const json_t *v, mn__namm_net *net)
{
    *net = (mn__namm_net){.head = MN__NAMM_MLP};
    return golden_size(g, v, "emb_dim", 1, MN__NAMM_WIDTH_MAX, &net->n_in) &&
           golden_size(g, v, "hidden_dim", 1, MN__NAMM_WIDTH_MAX, &net->hidden) &&
           golden_size(g, v, "depth", 1, MN__NAMM_DEPTH_MAX, &net->depth) &&
           read_flag(g, v, "bias", &net->bias) &&
           read_flag(g, v, "residual_first", &net->residual_first) &&
           read_flag(g, v, "residual", &net->residual) && read_check(g, net);
}

/* The form that the formula means: what the paper's code makes of depths above 2 is passed over. */
static bool mlp_variant(golden *g, const json_t *v, pass *p)
{
    if (!golden_fields(g, v, "a variant",
                       "depth bias residual_first residual emb_dim hidden_dim n_params params "
                       "embeddings scores_reference scores_intended reference_equals_intended") ||
        !read_mlp_net(g, v, &p->net))
        return false;
    const size_t rows[] = {p->n_lane, p->n, p->net.n_in, 0}, list[] = {p->n_lane, p->n, 0};
    p->param = read_params(g, v, &p->net, false);
    p->x = read_floats(g, v, "embeddings", rows);
    p->score = calloc(p->n, sizeof *p->score);
    double *score = golden_numbers(g, v, "scores_intended", list, false);
    bool ok = p->param && p->x && p->score && score;
    for (size_t lane = 0; ok && lane < p->n_lane; lane++) {
        char what[64];
        snprintf(what, sizeof what, "depth %zu, head %zu: score", p->net.depth, lane);
        ok = run(g, p, lane) && is_near(g, what, score + lane * p->n, p->score, p->n);
    }
    free(score);
    return ok;
}

bool golden_mlp_scorer(golden *g)
{
    const json_t *variants = json_object_get(g->root, "variants");
    size_t n_lane, n;
    if (!golden_fields(g, g->root, "", "kind case oracle seed note kv_heads n_tokens variants") ||
        !golden_size(g, g->root, "kv_heads", 1, HEADS_MAX, &n_lane) ||
        !golden_size(g, g->root, "n_tokens", 1, TOKENS_MAX, &n))
        return false;
    if (!json_array_size(variants)) return golden_fail(g, "`variants`: a list is wanted");
    for (size_t i = 0; i < json_array_size(variants); i++) {
        pass p = {.n_lane = n_lane, .n = n};
        bool ok = mlp_variant(g, json_array_get(variants, i), &p);
        drop(&p);
        if (!ok) return false;
    }
    return true;
}

/* ---- flat_params ---- */

typedef struct tensor {
    const char *name;
    size_t at, n_in, n_out; /* n_in 0: a bias that this shape does not have */
} tensor;

static bool check_offset(golden *g, const json_t *offsets, const tensor *t)
{
    const json_t *o = json_object_get(offsets, t->name);
    size_t at, size;
    const size_t pair[] = {2, 0};
    if (!t->n_in && (!o || json_is_null(o))) return true;
    if (!golden_fields(g, o, t->name, "offset size shape") ||
        !golden_size(g, o, "offset", 0, SIZE_MAX / 2, &at) ||
        !golden_size(g, o, "size", 0, SIZE_MAX / 2, &size))
        return false;
    double *shape = golden_numbers(g, o, "shape", pair, false);
    bool same = shape && at == t->at && size == t->n_in * t->n_out && shape[0] == (double)t->n_in &&
                shape[1] == (double)t->n_out;
    free(shape);
    return same || golden_fail(g, "%s: [%zu, %zu] at %zu found", t->name, t->n_in, t->n_out, t->at);
}

/* params[i] = i, so an entry is the place it is read from. */
static bool check_entries(golden *g, const json_t *tensors, const tensor *t)
{
    const json_t *rows = json_object_get(tensors, t->name), *row = json_array_get(rows, 0);
    const size_t flat[] = {t->n_out, 0}, shape[] = {t->n_in, t->n_out, 0};
    if (!t->n_in) return !rows || json_is_null(rows) || golden_fail(g, "%s: none found", t->name);
    bool is_flat = t->n_in == 1 && !json_is_array(row);
    double *index = golden_numbers(g, tensors, t->name, is_flat ? flat : shape, false);
    bool ok = index != NULL;
    for (size_t i = 0; ok && i < t->n_in * t->n_out; i++)
        ok = golden_near(g, t->name, index[i], (double)(t->at + i), 0);
    free(index);
    return ok;
}

static bool flat_variant(golden *g, const json_t *v)
{
    static const char *const names[] = {"W_qkv", "b_qkv", "W_o", "b_o", "W_m", "b_m"};
    mn__namm_net net;
    mn__namm_layer layer[MN__NAMM_DEPTH_MAX];
    const json_t *offsets = json_object_get(v, "offsets"),
                 *tensors = json_object_get(v, "tensors_of_indices");
    size_t n = 0;
    if (!golden_fields(g, v, "a variant",
                       "emb_dim hidden_dim num_heads attn_bias mult n_params offsets "
                       "tensors_of_indices") ||
        !read_bam_net(g, v, &net) || !golden_size(g, v, "n_params", 1, SIZE_MAX / 2, &n) ||
        !golden_fields(g, offsets, "offsets", "W_qkv b_qkv W_o b_o W_m b_m") ||
        (tensors &&
         !golden_fields(g, tensors, "tensors_of_indices", "W_qkv b_qkv W_o b_o W_m b_m")))
        return false;
    if (n != mn__namm_net_params(&net))
        return golden_fail(g, "`n_params`: %zu wanted, %zu found", n, mn__namm_net_params(&net));
    mn__namm_layers(&net, layer);
    for (size_t i = 0; i < 6; i++) {
        const mn__namm_layer *l = &layer[i / 2];
        tensor t = {names[i], l->at, l->n_in, l->n_out};
        if (i % 2) {
            t.at += l->n_in * l->n_out;
            t.n_in = l->bias;
        }
        if (!check_offset(g, offsets, &t) || (tensors && !check_entries(g, tensors, &t)))
            return false;
    }
    return true;
}

bool golden_flat_params(golden *g)
{
    const json_t *variants = json_object_get(g->root, "variants");
    if (!golden_fields(g, g->root, "", "kind case oracle seed note variants")) return false;
    if (!json_array_size(variants)) return golden_fail(g, "`variants`: a list is wanted");
    for (size_t i = 0; i < json_array_size(variants); i++)
        if (!flat_variant(g, json_array_get(variants, i))) return false;
    return true;
}
