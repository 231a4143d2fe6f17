/* golden_lm.c: kind `lm`: OLMo's trunk (RMSNorm, norms of queries and keys, SwiGLU, tied embedding)
 * with memories of all kinds between its blocks: logits, loss, all gradients; once with all
 * activations kept, once with blocks run again. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden/golden_memory.h"
#include "layer/dense_ffn.h"
#include "layer/lm.h"
#include "layer/memory_socket.h"
#include "layer/mixer.h"
#include "layer/table_layers.h"

enum { SIZE_LIMIT = 1 << 12, BLOCK_LIMIT = 16 };
static const char root[] = "transformer.", table[] = "transformer.full_memory_layer.";

typedef union memory {
    mn__layer layer;
    mn__memory_plus_face plus;
    mn__ultramem_face v1;
    mn__ultramem_v2_face v2;
} memory;

typedef struct block {
    mn__mixer mixer;
    mn__dense_ffn ffn;
    mn__memory_socket socket;
} block;

typedef struct replay {
    golden_rig rig;
    mn__lm lm;
    block part[BLOCK_LIMIT];
    mn__block block[BLOCK_LIMIT];
    mn__memories memories;
    mn__insertions insertions;
    memory memory[BLOCK_LIMIT];
    mn__value_pool pool;
    const char *type;
    golden_list list[2 * BLOCK_LIMIT + 2];
    size_t n_list, n_seq, len;
    double eps, theta;
    int32_t *token, *target;
    float *logits;
    mn__nll loss;
} replay;

static bool size_of(golden *g, const char *name, size_t *out)
{
    return golden_size(g, golden_part(g, "config"), name, 1, SIZE_LIMIT, out);
}

/* ---- the trunk ---- */

static bool make_block(golden *g, replay *r, size_t i, size_t n_head, size_t n_hidden)
{
    const size_t width = r->lm.width;
    mn_diag diag = {""};
    block *p = &r->part[i];
    if (width % n_head) return golden_fail(g, "heads do not divide the width");
    const size_t dim = width / n_head;
    const mn__mixer_sizes mix = {.width = width,
                                 .heads = {n_head, n_head, dim},
                                 .rotary = {dim, r->theta},
                                 .has_out = true,
                                 .has_qk_norm = true,
                                 .qk_eps = r->eps};
    const mn__dense_ffn_sizes ffn = {.width = width, .n_hidden = n_hidden, .act = MN__ACT_SWIGLU};
    if (mn__mixer_init(&p->mixer, &mix, &diag) != MN_OK) return golden_fail(g, "%s", diag.text);
    mn__dense_ffn_init(&p->ffn, &ffn);
    mn__memory_socket_init(&p->socket, &p->ffn.layer, i, &r->memories);
    r->block[i] = (mn__block){.width = width, .mixer = &p->mixer.layer, .ffn = &p->socket.layer};
    for (size_t k = 0; k < 2; k++) mn__norm_init(&r->block[i].norm[k], MN__NORM_RMS, width, r->eps);
    return true;
}

static bool make_trunk(golden *g, replay *r)
{
    const json_t *c = golden_part(g, "config"), *tied = json_object_get(c, "weight_tying");
    size_t n_head = 0, n_hidden = 0, both = 0;
    if (!golden_layer_fields(g) ||
        !golden_fields(g, c, "config",
                       "d_model n_heads n_layers mlp_hidden_size ffn_inner vocab batch seq "
                       "rope_theta rms_eps weight_tying mem_type mem_insert_way mem seed "
                       "param_count") ||
        !size_of(g, "d_model", &r->lm.width) || !size_of(g, "n_heads", &n_head) ||
        !golden_size(g, c, "n_layers", 1, BLOCK_LIMIT, &r->lm.n_block) ||
        !size_of(g, "mlp_hidden_size", &both) || !size_of(g, "ffn_inner", &n_hidden) ||
        !size_of(g, "vocab", &r->lm.n_vocab) || !size_of(g, "batch", &r->n_seq) ||
        !size_of(g, "seq", &r->len) || !golden_real(g, c, "rope_theta", &r->theta) ||
        !golden_real(g, c, "rms_eps", &r->eps) || !golden_text(g, c, "mem_type", &r->type))
        return false;
    if (!json_is_true(tied) || both != 2 * n_hidden)
        return golden_fail(g, "a tied embedding and mlp_hidden_size of twice ffn_inner wanted");
    r->lm.tied = true;
    r->lm.block = r->block;
    mn__norm_init(&r->lm.norm, MN__NORM_RMS, r->lm.width, r->eps);
    for (size_t i = 0; i < r->lm.n_block; i++)
        if (!make_block(g, r, i, n_head, n_hidden)) return false;
    return true;
}

/* ---- memories ---- */

static bool mem_size(golden *g, const char *name, size_t *out)
{
    const json_t *mem = json_object_get(golden_part(g, "config"), "mem");
    return golden_size(g, mem, name, 1, SIZE_LIMIT, out);
}

static bool mem_fields(golden *g, const char *more)
{
    char known[160] = "mem_knum mem_kdim mem_vdim mem_knn mem_head ";
    strncat(known, more, sizeof known - strlen(known) - 1);
    return golden_fields(g, json_object_get(golden_part(g, "config"), "mem"), "mem", known);
}

static bool make_plus(golden *g, replay *r, size_t k)
{
    mn__memory_plus *l = &r->memory[k].plus.self;
    mn__pkm *m = &l->memory;
    mn_diag diag = {""};
    *l = (mn__memory_plus){
        .memory = {.width = r->lm.width, .norm = MN__PKM_RMS, .norm_eps = (float)r->eps},
        .swilu = true};
    if (!mem_fields(g, "") || !mem_size(g, "mem_knum", &m->n_key) ||
        !mem_size(g, "mem_kdim", &m->half) || !mem_size(g, "mem_vdim", &m->value_width) ||
        !mem_size(g, "mem_knn", &m->n_keep) || !mem_size(g, "mem_head", &m->n_head))
        return false;
    if (mn__memory_plus_check(l, &diag) != MN_OK) return golden_fail(g, "%s", diag.text);
    if (k) m->values = &r->memory[0].plus.self.memory.own_values; /* one table for all */
    mn__memory_plus_face_init(&r->memory[k].plus);
    return true;
}

static bool make_search(golden *g, const replay *r, mn__tucker_search *s)
{
    s->width = r->lm.width;
    s->rank = s->n_core = 2;
    s->norm_eps = (float)r->eps;
    return mem_size(g, "mem_kdim", &s->half) && mem_size(g, "mem_knn", &s->n_keep) &&
           mem_size(g, "mem_head", &s->n_head);
}

static bool make_v1(golden *g, replay *r, size_t k)
{
    mn__ultramem *l = &r->memory[k].v1.self;
    mn_diag diag = {""};
    l->n_expand = 4;
    if (!mem_fields(g, "") || !make_search(g, r, &l->search) ||
        !mem_size(g, "mem_knum", &l->n_axis) || !mem_size(g, "mem_vdim", &l->value_width))
        return false;
    if (mn__ultramem_init(l, &diag) != MN_OK) return golden_fail(g, "%s", diag.text);
    mn__ultramem_face_init(&r->memory[k].v1);
    return true;
}

static bool make_v2(golden *g, replay *r, size_t k)
{
    mn__ultramem_v2 *l = &r->memory[k].v2.self;
    const json_t *mem = json_object_get(golden_part(g, "config"), "mem");
    mn_diag diag = {""};
    r->pool.n_layer = r->memories.n;
    l->pool = &r->pool;
    l->i_layer = k;
    if (!mem_fields(g, "mem_pre_vdim mem_share_ratio mem_key_expand_time "
                       "mem_q_for_each_tucker_rank") ||
        !make_search(g, r, &l->search) || !mem_size(g, "mem_knum", &r->pool.n_axis) ||
        !mem_size(g, "mem_vdim", &r->pool.value_width) ||
        !mem_size(g, "mem_pre_vdim", &r->pool.pre_width) ||
        !mem_size(g, "mem_key_expand_time", &l->key_expand) ||
        !golden_real(g, mem, "mem_share_ratio", &l->share))
        return false;
    l->search.mode = json_is_true(json_object_get(mem, "mem_q_for_each_tucker_rank"))
                         ? MN__QUERY_PUBLISHED
                         : MN__QUERY_SHARED;
    if (mn__ultramem_v2_init(l, &diag) != MN_OK) return golden_fail(g, "%s", diag.text);
    mn__ultramem_v2_face_init(&r->memory[k].v2);
    return true;
}

static const struct {
    const char *type;
    bool (*make)(golden *g, replay *r, size_t k);
} makers[] = {{"memory_plus", make_plus}, {"ultramem_v1", make_v1}, {"ultramem_v2", make_v2}};

static bool make_memories(golden *g, replay *r)
{
    const char *way;
    mn_diag diag = {""};
    size_t t = 0;
    if (!golden_text(g, golden_part(g, "config"), "mem_insert_way", &way)) return false;
    if (mn__insertions_parse(way, r->lm.n_block, &r->insertions, &diag) != MN_OK)
        return golden_fail(g, "%s", diag.text);
    while (t < 3 && strcmp(r->type, makers[t].type) != 0) t++;
    if (t == 3) return golden_fail(g, "`mem_type`: `%s` is unknown", r->type);
    if (r->insertions.n > BLOCK_LIMIT) return golden_fail(g, "too many memories");
    r->memories.n = r->insertions.n;
    snprintf(r->memories.prefix, sizeof r->memories.prefix, "memory");
    for (size_t k = 0; k < r->memories.n; k++) {
        if (!makers[t].make(g, r, k)) return false;
        r->memories.slot[k] =
            (mn__memory_slot){.memory = &r->memory[k].layer, .at = r->insertions.at[k]};
    }
    if (r->pool.n_layer) mn__value_pool_declare(&r->pool, &r->rig.list, "pool");
    return true;
}

/* ---- names ---- */

static golden_list *next_list(replay *r)
{
    return &r->list[r->n_list++];
}

static void name_block(replay *r, size_t i)
{
    char at[GOLDEN_NAME];
    golden_list *l = next_list(r);
    block *p = &r->part[i];
    snprintf(at, sizeof at, "%sblocks.%zu.", root, i);
    golden_list_add(l, at, "attn_norm.weight", &r->block[i].norm[0].rms.scale);
    golden_list_add(l, at, "ff_norm.weight", &r->block[i].norm[1].rms.scale);
    golden_list_add(l, at, "att_proj.weight", &p->mixer.qkv.weight);
    golden_list_add(l, at, "q_norm.weight", &p->mixer.q_norm.scale);
    golden_list_add(l, at, "k_norm.weight", &p->mixer.k_norm.scale);
    golden_list_add(l, at, "attn_out.weight", &p->mixer.out.weight);
    golden_list_add(l, at, "ff_out.weight", &p->ffn.down.weight);
}

static bool name_memory(golden *g, replay *r, size_t k)
{
    char at[GOLDEN_NAME];
    golden_list *l = next_list(r);
    memory *m = &r->memory[k];
    snprintf(at, sizeof at, "%smem_blocks.%zu.", root, k);
    if (strcmp(r->type, "memory_plus") == 0) {
        mn__pkm *p = &m->plus.self.memory;
        golden_list_add(l, at, "keys", &p->keys);
        golden_list_add(l, at, "query_proj.weight", &p->query_proj.weight);
        golden_list_add(l, at, "query_norm.weight", &p->query_norm.scale);
        golden_list_add(l, at, "values_proj.weight", &m->plus.self.values_proj.weight);
        golden_list_add(l, at, "swilu_projection.weight", &m->plus.self.swilu_proj.weight);
        if (!k) golden_list_add(l, table, "values_for_look_up", p->values);
        return true;
    }
    if (strcmp(r->type, "ultramem_v1") == 0) {
        golden_list_search(l, at, &m->v1.self.search);
        golden_list_add(l, at, "values_for_look_up", m->v1.self.values);
        golden_list_add(l, at, "values_proj.weight", &m->v1.self.values_proj.weight);
        return golden_search_load(g, at, &m->v1.self.search);
    }
    golden_list_search(l, at, &m->v2.self.search);
    golden_list_add(l, at, "values_proj.weight", &m->v2.self.values_proj.weight);
    golden_list_add(l, at, "pre_values_proj.weight", &m->v2.self.pre_values_proj.weight);
    if (!k) {
        golden_list_add(l, table, "values_for_look_up", &r->pool.values);
        golden_list_add(l, table, "pre_values_for_look_up", &r->pool.pre_values);
    }
    return golden_search_load(g, at, &m->v2.self.search);
}

static bool name_all(golden *g, replay *r)
{
    golden_list *l = next_list(r);
    golden_list_add(l, root, "wte.weight", &r->lm.embedding);
    golden_list_add(l, root, "ln_f.weight", &r->lm.norm.rms.scale);
    for (size_t i = 0; i < r->lm.n_block; i++) name_block(r, i);
    for (size_t k = 0; k < r->memories.n; k++)
        if (!name_memory(g, r, k)) return false;
    return true;
}

/* ff_proj is the linear half, then the gated one: two layers of ours. */
static bool load_halves(golden *g, replay *r, size_t i)
{
    mn__param *half[2] = {&r->part[i].ffn.up.weight, &r->part[i].ffn.gate.weight};
    const size_t n = mn__param_size(half[0]), shape[] = {2 * half[0]->dim[0], half[0]->dim[1], 0};
    char name[GOLDEN_NAME];
    snprintf(name, sizeof name, "%sblocks.%zu.ff_proj.weight", root, i);
    float *x = golden_floats(g, golden_part(g, "params"), name, shape);
    for (size_t k = 0; x && k < 2; k++) memcpy(half[k]->w, x + k * n, n * sizeof *x);
    free(x);
    return x != NULL;
}

static bool compare_halves(golden *g, const replay *r, size_t i)
{
    const mn__param *half[2] = {&r->part[i].ffn.up.weight, &r->part[i].ffn.gate.weight};
    const size_t n = mn__param_size(half[0]);
    char name[GOLDEN_NAME];
    float *x = calloc(2 * n, sizeof *x);
    snprintf(name, sizeof name, "%sblocks.%zu.ff_proj.weight", root, i);
    for (size_t k = 0; x && k < 2; k++) memcpy(x + k * n, half[k]->g, n * sizeof *x);
    bool ok = x ? golden_compare(g, golden_part(g, "grads"), name, x, 2 * n, golden_grad)
                : golden_fail(g, "out of memory");
    free(x);
    return ok;
}

static bool load(golden *g, replay *r)
{
    bool ok = true;
    for (size_t i = 0; ok && i < r->n_list; i++)
        ok = golden_ties_load(g, golden_part(g, "params"), r->list[i].tie, r->list[i].n);
    for (size_t i = 0; ok && i < r->lm.n_block; i++) ok = load_halves(g, r, i);
    return ok;
}

static bool read_ids(golden *g, replay *r)
{
    const size_t n = r->n_seq * r->len, shape[] = {r->n_seq, r->len, 0};
    double *id = golden_numbers(g, golden_part(g, "inputs"), "ids", shape, false);
    r->token = calloc(n, sizeof *r->token);
    r->target = calloc(n, sizeof *r->target);
    r->logits = calloc(n * r->lm.n_vocab, sizeof *r->logits);
    bool ok = id && r->token && r->target && r->logits;
    for (size_t i = 0; ok && i < n; i++) {
        if (!(id[i] >= 0 && id[i] < (double)r->lm.n_vocab))
            ok = golden_fail(g, "`ids`: %g is none of %zu", id[i], r->lm.n_vocab);
        r->token[i] = (int32_t)id[i];
        r->target[i] = i % r->len + 1 < r->len ? (int32_t)id[i + 1] : -1;
    }
    free(id);
    return ok;
}

/* ---- the run ---- */

static void pass(const mn__env *env, void *arg)
{
    replay *r = arg;
    const mn__shape s = {r->n_seq, r->len};
    const mn__lm_batch b = {s, r->token, r->target, 1.0 / (double)(s.n_seq * (s.len - 1))};
    const size_t mark = mn__tape_mark(env->tape);
    mn__memories_begin(&r->memories, env, s.n_seq * s.len, r->lm.width, true);
    mn__lm_logits(&r->lm, env, s, r->token, r->logits);
    r->loss = mn__lm_loss(&r->lm, env, &b, true, NULL);
    mn__tape_cut(env->tape, mark);
}

/* Every gradient that the file has is one of ours, or of a norm that its code drops. */
static bool compare(golden *g, replay *r)
{
    const json_t *grads = golden_part(g, "grads");
    size_t n_named = r->lm.n_block;
    bool ok = golden_floats_out(g, "logits", r->logits, r->n_seq * r->len * r->lm.n_vocab) &&
              golden_scalar(g, "loss", r->loss.sum / (double)r->loss.n);
    for (size_t i = 0; ok && i < r->n_list; i++) {
        ok = golden_ties_compare(g, grads, r->list[i].tie, r->list[i].n);
        n_named += r->list[i].n;
    }
    for (size_t i = 0; ok && i < r->lm.n_block; i++) ok = compare_halves(g, r, i);
    for (size_t k = 0; ok && strcmp(r->type, "memory_plus") == 0 && k < r->memories.n; k++) {
        char name[GOLDEN_NAME];
        snprintf(name, sizeof name, "%smem_blocks.%zu.keys_norm.weight", root, k);
        ok = golden_is_zero(g, grads, name, r->memory[k].plus.self.memory.half);
        n_named++;
    }
    if (ok && json_object_size(grads) != n_named)
        return golden_fail(g, "`grads`: %zu wanted, %zu found", n_named, json_object_size(grads));
    return ok;
}

static void drop(replay *r)
{
    for (size_t k = 0; k < r->memories.n; k++) {
        if (strcmp(r->type, "ultramem_v1") == 0) mn__ultramem_fini(&r->memory[k].v1.self);
        if (strcmp(r->type, "ultramem_v2") == 0) mn__ultramem_v2_fini(&r->memory[k].v2.self);
    }
    free(r->token);
    free(r->target);
    free(r->logits);
    golden_rig_fini(&r->rig);
}

bool golden_lm(golden *g)
{
    bool ok = true;
    for (int again = 0; ok && again < 2; again++) {
        replay *r = calloc(1, sizeof *r);
        if (!r) return golden_fail(g, "out of memory");
        r->lm.recompute = again;
        ok = make_trunk(g, r) && make_memories(g, r);
        if (ok) mn__lm_declare(&r->lm, &r->rig.list);
        ok = ok && golden_rig_bind(g, &r->rig) && name_all(g, r) && load(g, r) && read_ids(g, r) &&
             golden_rig_run(g, &r->rig, pass, r) && compare(g, r);
        drop(r);
        free(r);
    }
    return ok;
}
