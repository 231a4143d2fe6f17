/* learner.c: config -> layers -> parameters. */
#include "lm/learner.h"

#include <math.h>

#include "base/diag.h"
#include "base/heap.h"

/* UltraMem's and Memory+'s own norms. */
#define MEMORY_EPS 1e-5f
/* First values of the pool in the published code. */
#define CODE_STD 0.02
/* Of batch statistics of queries. */
#define MOMENTUM 0.1f

static double std_out(const mn__config *c)
{
    return c->model_std / sqrt(2 * (double)c->model_blocks);
}

/* ---- blocks ---- */

static mn_status make_mixer(mn__learner *l, size_t i, mn_diag *diag)
{
    const mn__config *c = &l->config;
    const size_t dim = c->model_width / c->model_heads;
    const bool is_former = c->model_arch == MN__ARCH_MEMORYFORMER && c->lookup_attention;
    const mn__mixer_sizes s = {
        .width = c->model_width,
        .heads = {c->model_heads, c->model_kv_heads, dim},
        .kind = (mn__mix_kind)c->model_mixer,
        .rotary = {(size_t)(c->model_rotary_share * (double)dim) / 2 * 2, c->model_rotary_base},
        .has_bias = c->model_bias,
        .std_in = c->model_std,
        .std_out = std_out(c),
        .cut = c->model_cut,
        .has_out = c->model_out,
        .has_qk_norm = c->model_qk_norm,
        .qk_eps = c->model_norm_eps,
        .n_table = is_former ? c->lookup_tables : 0,
        .n_bit = is_former ? c->lookup_bits : 0,
        .score = (mn__memory_score)c->lookup_score,
        .temperature = c->lookup_temperature,
        .n_feature = c->model_features,
        .eps = c->model_feature_eps,
        .context = c->model_context,
        .block = c->model_mix_block,
        .n_slot = c->model_mix_slots,
    };
    return mn__mixer_init(&l->mixer[i], &s, diag);
}

static void make_dense(const mn__config *c, mn__dense_ffn *f)
{
    const mn__dense_ffn_sizes s = {.width = c->model_width,
                                   .n_hidden = c->model_hidden,
                                   .act = (mn__activation)c->model_activation,
                                   .has_bias = c->model_bias,
                                   .std_in = c->model_std,
                                   .std_out = std_out(c),
                                   .cut = c->model_cut};
    mn__dense_ffn_init(f, &s);
}

static mn_status make_experts(const mn__config *c, mn__moe_face *f, mn_diag *diag)
{
    f->self = (mn__moe){.width = c->model_width,
                        .inner = c->experts_inner,
                        .n_expert = c->experts_n,
                        .n_keep = c->experts_keep,
                        .gelu = (mn__activation)c->model_activation == MN__ACT_GELU,
                        .renormalise = c->experts_renormalise,
                        .balance = c->experts_balance,
                        .z = c->experts_z,
                        .loss_share = 1 / (double)c->train_passes,
                        .n_layer = c->model_blocks,
                        .n_block = c->model_blocks,
                        .std = c->model_std};
    const mn_status st = mn__moe_check(&f->self, diag);
    if (st == MN_OK) mn__moe_face_init(f);
    return st;
}

static mn_status make_ffn(mn__learner *l, size_t i, mn_diag *diag)
{
    const mn__config *c = &l->config;
    mn__any_ffn *f = &l->ffn[i];
    if (c->model_arch == MN__ARCH_MOE) return make_experts(c, &f->moe, diag);
    if (c->model_arch == MN__ARCH_MEMORYFORMER)
        return mn__memory_ffn_init(
            &f->memory,
            &(mn__memory_ffn_sizes){.n_table = c->lookup_tables,
                                    .n_bit = c->lookup_bits,
                                    .n_extra = c->lookup_extra_bits,
                                    .score = (mn__memory_score)c->lookup_score,
                                    .temperature = c->lookup_temperature,
                                    .std = c->lookup_std},
            diag);
    if (c->model_arch == MN__ARCH_LOOKUP_FFN)
        return mn__lookup_ffn_init(
            &f->lookup,
            &(mn__lookup_ffn_sizes){.width = c->model_width,
                                    .n_table = c->lookup_tables,
                                    .n_bit = c->lookup_bits,
                                    .is_bh4 = c->lookup_projection == MN__PROJECTION_BH4,
                                    .block = c->lookup_bh4_block,
                                    .std_in = c->model_std,
                                    .std_tables = c->lookup_std,
                                    .score = (mn__memory_score)c->lookup_score,
                                    .temperature = c->lookup_temperature},
            diag);
    make_dense(c, &f->dense);
    return MN_OK;
}

static mn_status make_block(mn__learner *l, size_t i, mn_diag *diag)
{
    mn_status st;
    const mn__config *c = &l->config;
    MN_TRY(make_mixer(l, i, diag));
    MN_TRY(make_ffn(l, i, diag));
    mn__memory_socket_init(&l->socket[i], &l->ffn[i].layer, i, &l->memories);
    l->block[i] = (mn__block){.parallel = c->model_parallel,
                              .width = c->model_width,
                              .mixer = &l->mixer[i].layer,
                              .ffn = &l->socket[i].layer};
    for (size_t j = 0; j < 2; j++)
        mn__norm_init(&l->block[i].norm[j], (mn__norm_kind)c->model_norm, c->model_width,
                      c->model_norm_eps);
done:
    return st;
}

/* ---- memories ---- */

static mn__pkm pkm_of(const mn__config *c)
{
    return (mn__pkm){.width = c->model_width,
                     .value_width = c->memory_value_width,
                     .n_head = c->memory_heads,
                     .n_key = c->memory_keys,
                     .half = c->memory_key_width,
                     .n_keep = c->memory_keep,
                     .norm = (mn__pkm_norm)c->memory_query_norm,
                     .norm_eps = MEMORY_EPS,
                     .momentum = MOMENTUM,
                     .norm_keys = c->memory_key_norm};
}

/* Cells are shuffled alike in every start of the same seed, so checkpoints need not tell how. */
static mn__tucker_search search_of(const mn__learner *l, size_t k)
{
    const mn__config *c = &l->config;
    return (mn__tucker_search){.width = c->model_width,
                               .n_head = c->memory_heads,
                               .half = c->memory_key_width,
                               .rank = c->memory_rank,
                               .n_core = c->memory_cores,
                               .n_keep = c->memory_keep,
                               .two_quadrant = c->memory_two_quadrant,
                               .norm_eps = MEMORY_EPS,
                               .balance = c->memory_balance,
                               .core = c->memory_core,
                               .core_margin = c->memory_core_margin,
                               .loss_share = 1 / (double)c->train_passes,
                               .shuffle_seed = c->train_seed + k,
                               .bare = l->is_sketch};
}

static mn_status make_pkm(mn__learner *l, size_t k, mn_diag *diag)
{
    mn__pkm_face *f = &l->memory[k].pkm;
    f->self = pkm_of(&l->config);
    if (k && l->config.memory_share_values) f->self.values = &l->memory[0].pkm.self.own_values;
    const mn_status st = mn__pkm_check(&f->self, diag);
    if (st == MN_OK) mn__pkm_face_init(f);
    return st;
}

static mn_status make_plus(mn__learner *l, size_t k, mn_diag *diag)
{
    const mn__config *c = &l->config;
    mn__memory_plus_face *f = &l->memory[k].plus;
    f->self = (mn__memory_plus){.memory = pkm_of(c),
                                .swilu = c->memory_swilu,
                                .project = c->memory_value_width != c->model_width,
                                .gate = c->memory_gate};
    if (k && c->memory_share_values)
        f->self.memory.values = &l->memory[0].plus.self.memory.own_values;
    const mn_status st = mn__memory_plus_check(&f->self, diag);
    if (st == MN_OK) mn__memory_plus_face_init(f);
    return st;
}

static mn_status make_ultramem(mn__learner *l, size_t k, mn_diag *diag)
{
    const mn__config *c = &l->config;
    mn__ultramem_face *f = &l->memory[k].ultramem;
    f->self = (mn__ultramem){.search = search_of(l, k),
                             .value_width = c->memory_value_width,
                             .n_axis = c->memory_keys,
                             .n_expand = c->memory_expand,
                             .first = (mn__first_values)c->memory_first,
                             .n_block = c->model_blocks};
    if (k && c->memory_share_values) f->self.values = &l->memory[0].ultramem.self.own_values;
    const mn_status st = mn__ultramem_init(&f->self, diag);
    if (st == MN_OK) mn__ultramem_face_init(f);
    return st;
}

static mn_status make_v2(mn__learner *l, size_t k, mn_diag *diag)
{
    const mn__config *c = &l->config;
    mn__ultramem_v2_face *f = &l->memory[k].v2;
    f->self = (mn__ultramem_v2){.search = search_of(l, k),
                                .pool = &l->pool,
                                .i_layer = k,
                                .share = c->memory_share,
                                .key_expand = c->memory_key_expand,
                                .gelu = c->memory_gelu,
                                .first = (mn__first_values)c->memory_first};
    f->self.search.mode = (mn__query_mode)c->memory_query;
    const mn_status st = mn__ultramem_v2_init(&f->self, diag);
    if (st == MN_OK) mn__ultramem_v2_face_init(f);
    return st;
}

static void make_pool(mn__learner *l)
{
    const mn__config *c = &l->config;
    l->pool = (mn__value_pool){.n_layer = l->memories.n,
                               .n_axis = c->memory_keys,
                               .value_width = c->memory_value_width,
                               .n_part = c->memory_cores,
                               .pre_width = c->memory_pre_width,
                               .std = CODE_STD};
    if ((mn__first_values)c->memory_first == MN__FIRST_PAPER)
        l->pool.std = mn__ultramem_v2_std(&l->pool, c->model_hidden, c->model_blocks,
                                          c->memory_keep * c->memory_heads);
}

static mn_status make_memories(mn__learner *l, mn_diag *diag)
{
    mn_status (*make)(mn__learner *, size_t, mn_diag *);
    switch ((mn__arch_kind)l->config.model_arch) {
    case MN__ARCH_PKM: make = make_pkm; break;
    case MN__ARCH_MEMORY_PLUS: make = make_plus; break;
    case MN__ARCH_ULTRAMEM: make = make_ultramem; break;
    case MN__ARCH_ULTRAMEM_V2: make = make_v2; break;
    default: return MN_OK;
    }
    mn__insertions at;
    mn_status st = mn__insertions_parse(l->config.memory_insert, l->config.model_blocks, &at, diag);
    if (st != MN_OK) return st;
    l->memory = mn__alloc_zero(MN_MEM_WEIGHTS, (at.n + 1) * sizeof *l->memory);
    if (!l->memory) return mn__fail(diag, MN_ENOMEM, "no memory for layers");
    l->memories = (mn__memories){.n = at.n, .prefix = "memory"};
    make_pool(l);
    for (size_t k = 0; k < at.n && st == MN_OK; k++) {
        st = make(l, k, diag);
        l->memories.slot[k] = (mn__memory_slot){.memory = &l->memory[k].layer, .at = at.at[k]};
    }
    return st;
}

/* ---- parameters ---- */

static mn_status make_layers(mn__learner *l, mn_diag *diag)
{
    mn_status st;
    const mn__config *c = &l->config;
    const size_t n = c->model_blocks;
    l->block = mn__alloc_zero(MN_MEM_WEIGHTS, n * sizeof *l->block);
    l->mixer = mn__alloc_zero(MN_MEM_WEIGHTS, n * sizeof *l->mixer);
    l->ffn = mn__alloc_zero(MN_MEM_WEIGHTS, n * sizeof *l->ffn);
    l->socket = mn__alloc_zero(MN_MEM_WEIGHTS, n * sizeof *l->socket);
    if (!l->block || !l->mixer || !l->ffn || !l->socket)
        MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for layers"));
    MN_TRY(make_memories(l, diag));
    for (size_t i = 0; i < n; i++) MN_TRY(make_block(l, i, diag));
    l->lm = (mn__lm){.n_vocab = c->model_vocab,
                     .width = c->model_width,
                     .n_block = n,
                     .tied = c->model_tied,
                     .recompute = c->train_recompute,
                     .std = c->model_std,
                     .cut = c->model_cut,
                     .block = l->block};
    mn__norm_init(&l->lm.norm, (mn__norm_kind)c->model_norm, c->model_width, c->model_norm_eps);
    mn__lm_declare(&l->lm, &l->list);
    if (c->model_arch == MN__ARCH_ULTRAMEM_V2 && l->memories.n)
        mn__value_pool_declare(&l->pool, &l->list, "pool");
    if (l->list.st != MN_OK)
        MN_TRY(mn__fail(diag, l->list.st, "parameters of %zu blocks cannot be listed", n));
done:
    return st;
}

static mn_status make_arrays(mn__learner *l, bool has_gradients, mn_diag *diag)
{
    l->n_w = mn__params_size(&l->list, false);
    l->n_state = mn__params_size(&l->list, true);
    l->w = mn__alloc_zero(MN_MEM_WEIGHTS, l->n_w * sizeof *l->w);
    l->state = mn__alloc_zero(MN_MEM_WEIGHTS, l->n_state * sizeof *l->state);
    if (has_gradients) l->g = mn__alloc_zero(MN_MEM_GRAD, l->n_w * sizeof *l->g);
    if (!l->w || !l->state || (has_gradients && !l->g))
        return mn__fail(diag, MN_ENOMEM, "a model of %zu parameters%s is refused: no memory",
                        l->n_w, has_gradients ? " and their gradients" : "");
    mn__params_bind(&l->list, l->w, l->g, l->state);
    return MN_OK;
}

static void fill_own(mn__layer *layer, uint64_t seed)
{
    if (layer->ops->fill) layer->ops->fill(layer, seed);
}

static void fill(mn__learner *l, mn__team *team)
{
    const uint64_t seed = l->config.train_seed;
    mn__params_fill(&l->list, team, seed);
    for (size_t i = 0; i < l->lm.n_block; i++) {
        fill_own(&l->mixer[i].layer, seed);
        fill_own(&l->ffn[i].layer, seed);
    }
    for (size_t k = 0; k < l->memories.n; k++) fill_own(&l->memory[k].layer, seed);
    mn__learner_refresh(l);
}

mn_status mn__learner_layers(mn__learner **out, const mn__config *config, mn_diag *diag)
{
    *out = NULL;
    mn__learner *l = mn__alloc_zero(MN_MEM_WEIGHTS, sizeof *l);
    if (!l) return mn__fail(diag, MN_ENOMEM, "no memory for a model");
    l->config = *config;
    const mn_status st = make_layers(l, diag);
    if (st == MN_OK)
        *out = l;
    else
        mn__learner_free(l);
    return st;
}

static mn_status make(mn__learner **out, const mn__config *config, bool has_gradients,
                      mn__learner_part part, mn__team *team, mn_diag *diag)
{
    mn_status st;
    mn__learner *l = NULL;
    *out = NULL;
    MN_TRY(mn__learner_layers(&l, config, diag));
    if (part.n > 1) mn__params_split(&l->list, part.rank, part.n);
    MN_TRY(make_arrays(l, has_gradients, diag));
    fill(l, team);
    *out = l;
    return MN_OK;
done:
    mn__learner_free(l);
    return st;
}

mn_status mn__learner_new(mn__learner **out, const mn__config *config, bool has_gradients,
                          mn__team *team, mn_diag *diag)
{
    return make(out, config, has_gradients, (mn__learner_part){0, 1}, team, diag);
}

mn_status mn__learner_new_part(mn__learner **out, const mn__config *config, mn__learner_part part,
                               mn__team *team, mn_diag *diag)
{
    return make(out, config, true, part, team, diag);
}

mn_status mn__learner_sketch(mn__learner **out, const mn__config *config, mn_diag *diag)
{
    /* As a dry tape hands out: addresses that nobody touches, for what asks whether there are any.
     */
    mn__real *const nowhere = (mn__real *)(uintptr_t)sizeof(mn__real);
    mn_status st;
    *out = NULL;
    mn__learner *l = mn__alloc_zero(MN_MEM_WEIGHTS, sizeof *l);
    if (!l) return mn__fail(diag, MN_ENOMEM, "no memory for a model");
    l->config = *config;
    l->is_sketch = true;
    MN_TRY(make_layers(l, diag));
    l->n_w = mn__params_size(&l->list, false);
    l->n_state = mn__params_size(&l->list, true);
    mn__params_bind(&l->list, nowhere, nowhere, nowhere);
    *out = l;
    return MN_OK;
done:
    mn__learner_free(l);
    return st;
}

void mn__learner_free(mn__learner *l)
{
    if (!l) return;
    for (size_t k = 0; l->memory && k < l->memories.n; k++) {
        if (l->config.model_arch == MN__ARCH_ULTRAMEM)
            mn__ultramem_fini(&l->memory[k].ultramem.self);
        if (l->config.model_arch == MN__ARCH_ULTRAMEM_V2)
            mn__ultramem_v2_fini(&l->memory[k].v2.self);
    }
    mn__params_fini(&l->list);
    mn__free(l->block);
    mn__free(l->mixer);
    mn__free(l->ffn);
    mn__free(l->socket);
    mn__free(l->memory);
    mn__free(l->w);
    mn__free(l->g);
    mn__free(l->state);
    mn__free(l->settled);
    mn__free(l);
}

/* ---- passes ---- */

size_t mn__learner_bytes(const mn__learner *l)
{
    const size_t per_block =
        sizeof *l->block + sizeof *l->mixer + sizeof *l->ffn + sizeof *l->socket;
    size_t bytes = sizeof *l + l->lm.n_block * per_block + l->list.room * sizeof *l->list.at +
                   l->n_settled * sizeof *l->settled;
    for (size_t k = 0; k < l->memories.n; k++) {
        bytes += sizeof *l->memory;
        if (l->config.model_arch == MN__ARCH_ULTRAMEM)
            bytes += l->memory[k].ultramem.self.search.n_cell * sizeof(uint32_t);
        if (l->config.model_arch == MN__ARCH_ULTRAMEM_V2)
            bytes += l->memory[k].v2.self.search.n_cell * sizeof(uint32_t);
    }
    return bytes;
}

mn_status mn__learner_settle(mn__learner *l, mn_diag *diag)
{
    mn__tape tape = {0};
    const mn__env env = {.tape = &tape};
    size_t n = 0, at = 0;
    for (size_t k = 0; k < l->memories.n; k++)
        n += mn__table_layer_settle(&l->memory[k].layer, &env, NULL);
    l->n_settled = n;
    if (!n) return MN_OK;
    l->settled = mn__alloc_array(MN_MEM_WEIGHTS, n, sizeof *l->settled);
    if (!l->settled || mn__tape_reserve(&tape, sizeof(mn__real)) != MN_OK) /* none is taken */
        return mn__fail(diag, MN_ENOMEM, "no memory for %zu values of keys", n);
    for (size_t k = 0; k < l->memories.n; k++)
        at += mn__table_layer_settle(&l->memory[k].layer, &env, l->settled + at);
    mn__tape_fini(&tape);
    return MN_OK;
}

void mn__learner_refresh(const mn__learner *l)
{
    for (size_t k = 0; k < l->memories.n; k++) mn__table_layer_refresh(&l->memory[k].layer);
}

mn__nll mn__learner_loss(mn__learner *l, const mn__env *env, const mn__lm_batch *b, bool backward,
                         double *aux)
{
    const size_t mark = mn__tape_mark(env->tape);
    mn__memories_begin(&l->memories, env, b->shape.n_seq * b->shape.len, l->lm.width, backward);
    const mn__nll loss = mn__lm_loss(&l->lm, env, b, backward, NULL);
    mn__tape_cut(env->tape, mark);
    if (!aux) return loss;
    *aux = 0; /* after backward: blocks that are run again know theirs only then */
    for (size_t i = 0; i < l->lm.n_block; i++)
        *aux += l->block[i].mixer->aux + l->block[i].ffn->aux;
    return loss;
}

void mn__learner_logits(mn__learner *l, const mn__env *env, mn__shape s, const int32_t *token,
                        mn__real *logits)
{
    const size_t mark = mn__tape_mark(env->tape);
    mn__memories_begin(&l->memories, env, s.n_seq * s.len, l->lm.width, false);
    mn__lm_logits(&l->lm, env, s, token, logits);
    mn__tape_cut(env->tape, mark);
}
