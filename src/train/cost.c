/* cost.c: parameters by what layers declare, work by what a dry pass over them multiplies. */
#include "train/cost.h"

#include <string.h>

#include "base/cpu.h"
#include "base/diag.h"
#include "base/team.h"
#include "lm/learner.h"

/* Bytes that the optimiser keeps of a row (last step, whether it was read), and of a shuffled cell.
 */
enum { ROW_BYTES = 5, CELL_BYTES = 4 };
/* At which MemoryFormer's paper counts a block. */
#define CLAIM_LENGTH 2048.0

const char *mn_cost_part_name(mn_cost_part part)
{
    static const char *const names[] = {
#define X(name, text) [MN_COST_##name] = text,
        MN_COST_PART_MAP(X)
#undef X
    };
    return names[part];
}

/* ---- parameters ---- */

static bool ends(const char *name, const char *end)
{
    const size_t n = strlen(name), m = strlen(end);
    return n >= m && !strcmp(name + n - m, end);
}

static mn_cost_part part_of(const mn__param *p)
{
    if (p->row) return MN_COST_TABLES;
    if (p->n_dim == 1) return MN_COST_NORMS;
    if (!strcmp(p->name, "embedding") || !strcmp(p->name, "head")) return MN_COST_EMBEDDING;
    if (strstr(p->name, ".mixer.")) return MN_COST_ATTENTION;
    if (strstr(p->name, ".ffn.")) return MN_COST_FEED_FORWARD;
    return ends(p->name, ".keys") ? MN_COST_KEYS : MN_COST_MEMORY;
}

/* Of one token. Rows that are looked up are counted where they are summed. */
static double active_of(const mn__config *c, const mn__param *p)
{
    const double n = (double)mn__param_size(p);
    if (p->row) return 0;
    if (!strcmp(p->name, "embedding") && !c->model_tied) return (double)c->model_width;
    if (c->model_arch == MN__ARCH_MOE && p->n_dim == 3 && p->dim[0] == c->experts_n)
        return n / (double)c->experts_n * (double)c->experts_keep;
    return n;
}

static void count_params(const mn__learner *l, mn_cost *out)
{
    for (size_t i = 0; i < l->list.n; i++) {
        const mn__param *p = l->list.at[i];
        if (p->group == MN__PARAM_STATE) continue;
        mn_cost_row *row = &out->counted[part_of(p)];
        row->params += (double)mn__param_size(p);
        row->active += active_of(&l->config, p);
        if (p->row && l->config.train_update != MN__UPDATE_DENSE)
            out->rows_bytes += ROW_BYTES * (double)mn__param_size(p) / (double)p->row;
    }
}

/* Cells that a memory shuffles. */
static void count_shuffles(const mn__learner *l, mn_cost *out)
{
    for (size_t k = 0; k < l->memories.n; k++) {
        if (l->config.model_arch == MN__ARCH_ULTRAMEM)
            out->rows_bytes += CELL_BYTES * (double)l->memory[k].ultramem.self.search.n_cell;
        if (l->config.model_arch == MN__ARCH_ULTRAMEM_V2)
            out->rows_bytes += CELL_BYTES * (double)l->memory[k].v2.self.search.n_cell;
    }
}

/* ---- work ---- */

static mn__shape shape_of(const mn__config *c)
{
    return (mn__shape){c->train_batch, c->train_length};
}

/* Where the work of one layer goes. */
typedef struct place {
    mn_cost_part weights, pairs, keys;
} place;

/* One layer forward, dry, per token. */
static void count_layer(const mn__learner *l, mn__layer *layer, place at, mn_cost *out)
{
    const mn__shape s = shape_of(&l->config);
    const double n_token = (double)s.n_seq * (double)s.len;
    mn__tape tape = {0};
    mn__tally tally = {{0}};
    const mn__env env = {.tape = &tape, .tally = &tally};
    mn__real *x = mn__take_reals(&env, s.n_seq * s.len * l->lm.width),
             *y = mn__take_reals(&env, s.n_seq * s.len * l->lm.width);
    layer->ops->forward(layer, &env, s, x, y, false);
    out->counted[at.weights].flops += 2 * tally.n[MN__WORK_WEIGHTS] / n_token;
    out->counted[at.pairs].flops += 2 * tally.n[MN__WORK_PAIRS] / n_token;
    out->counted[at.keys].flops += 2 * tally.n[MN__WORK_KEYS] / n_token;
    out->counted[MN_COST_TABLES].flops += 2 * tally.n[MN__WORK_ROWS] / n_token;
    out->counted[MN_COST_TABLES].active += tally.n[MN__WORK_ROWS] / n_token;
}

static void count_head(const mn__learner *l, mn_cost *out)
{
    const mn__head head = {l->lm.width, l->lm.n_vocab, l->lm.tied ? &l->lm.embedding : &l->lm.head};
    mn__tape tape = {0};
    mn__tally tally = {{0}};
    const mn__env env = {.tape = &tape, .tally = &tally};
    mn__head_logits(&head, &env, 1, mn__take_reals(&env, l->lm.width),
                    mn__take_reals(&env, l->lm.n_vocab));
    out->counted[MN_COST_EMBEDDING].flops += 2 * tally.n[MN__WORK_WEIGHTS];
}

static void count_forward(const mn__learner *l, mn_cost *out)
{
    const place mixer = {MN_COST_ATTENTION, MN_COST_PAIRS, MN_COST_KEYS},
                ffn = {MN_COST_FEED_FORWARD, MN_COST_PAIRS, MN_COST_KEYS},
                memory = {MN_COST_MEMORY, MN_COST_PAIRS, MN_COST_KEYS};
    for (size_t i = 0; i < l->lm.n_block; i++) {
        count_layer(l, &l->mixer[i].layer, mixer, out);
        count_layer(l, &l->ffn[i].layer, ffn, out);
    }
    for (size_t k = 0; k < l->memories.n; k++) count_layer(l, &l->memory[k].layer, memory, out);
    count_head(l, out);
    for (int i = 0; i < MN_COST_PARTS; i++) out->train_forward += out->counted[i].flops;
}

/* A whole pass of a training: what it multiplies, and how long its tape is. */
static mn_status count_pass(mn__learner *l, mn__team *team, mn_cost *out, mn_diag *diag)
{
    const mn__shape s = shape_of(&l->config);
    mn__tape tape = {0};
    mn__tally tally = {{0}};
    const mn__env env = {.team = team, .tape = &tape, .tally = &tally};
    int32_t *token = mn__tape_take(&tape, s.n_seq * s.len, sizeof *token);
    const mn__lm_batch b = {s, token, token, 1};
    mn__learner_loss(l, &env, &b, true, NULL);
    if (tape.peak == SIZE_MAX)
        return mn__fail(diag, MN_ERANGE, "a pass of %zu x %zu tokens is larger than any memory",
                        s.n_seq, s.len);
    out->pass_bytes = (double)tape.peak;
    for (int i = 0; i < MN__WORK_KINDS; i++)
        out->train_backward += 2 * tally.n[i] / ((double)s.n_seq * (double)s.len);
    out->train_backward -= out->train_forward;
    return MN_OK;
}

mn_status mn__cost_make(const mn__config *config, mn__team *team, mn_cost *out, mn_diag *diag)
{
    mn__learner *l;
    mn_status st = mn__learner_sketch(&l, config, diag);
    if (st != MN_OK) return st;
    *out = (mn_cost){0};
    mn__cost_formula(config, out->formula);
    count_params(l, out);
    count_shuffles(l, out);
    count_forward(l, out);
    const double bytes = (double)l->n_w * sizeof(mn__real);
    out->weights_bytes = bytes + (double)l->n_state * sizeof(mn__real);
    out->gradients_bytes = bytes;
    out->moments_bytes = 2 * bytes;
    st = count_pass(l, team, out, diag);
    mn__learner_free(l);
    return st;
}

/* ---- for the caller ---- */

static void put_choice(const mn__config *c, size_t at, char *out, size_t cap)
{
    for (size_t i = 0; i < mn__config_count(); i++)
        if (mn__config_at(i)->kind == MN__CONFIG_IS_CHOICE && mn__config_at(i)->at == at)
            mn__config_value(c, mn__config_at(i), out, cap);
}

static void describe(const mn__config *c, mn_cost *out)
{
    static const double batch[MN_COST_BATCHES] = {1, 8, 64};
    put_choice(c, offsetof(mn__config, model_arch), out->arch, sizeof out->arch);
    put_choice(c, offsetof(mn__config, model_mixer), out->mixer, sizeof out->mixer);
    out->n_block = c->model_blocks;
    out->width = c->model_width;
    out->length = c->train_length;
    out->batch = c->train_batch;
    out->passes = c->train_passes;
    for (int i = 0; i < MN_COST_BATCHES; i++) out->decode[i] = mn__cost_decode(c, batch[i]);
    if (c->model_arch == MN__ARCH_MEMORYFORMER)
        out->claims = mn__cost_former_claims(c, CLAIM_LENGTH);
}

mn_status mn_cost_plan(const char *config, const char *const *set, size_t n_set, int n_thread,
                       mn_cost *out, mn_diag *diag)
{
    mn_status st;
    mn__config c;
    mn__team *team = NULL;
    MN_TRY(mn__config_load(&c, config, set, n_set, diag));
    const size_t vocab = c.model_vocab;
    const bool has_end = c.train_steps || c.train_tokens;
    if (!vocab) c.model_vocab = MN_COST_VOCAB;
    if (!has_end) c.train_steps = 1; /* a cost needs no length of training */
    MN_TRY(mn__config_check(&c, diag));
    if (n_thread <= 0) n_thread = c.train_threads ? (int)c.train_threads : mn__cpu_count();
    team = mn__team_new(n_thread);
    if (!team) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for threads"));
    MN_TRY(mn__cost_make(&c, team, out, diag));
    describe(&c, out);
    out->n_vocab = vocab;
    out->n_step = has_end ? c.train_steps : 0;
done:
    mn__team_free(team);
    return st;
}
