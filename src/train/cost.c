/* cost.c: parameters by what layers declare, work by what a dry pass over them multiplies. */
#include "train/cost.h"

#include <string.h>

#include "base/diag.h"
#include "train/learner.h"

/* Bytes that the optimiser keeps of a row (last step, whether it was read), and of a shuffled cell.
 */
enum { ROW_BYTES = 5, CELL_BYTES = 4 };

const char *mn__cost_part_name(mn__cost_part part)
{
    static const char *const names[] = {[MN__COST_EMBEDDING] = "embedding and head",
                                        [MN__COST_ATTENTION] = "attention",
                                        [MN__COST_PAIRS] = "pairs of positions",
                                        [MN__COST_FFN] = "feed-forward",
                                        [MN__COST_MEMORY] = "memory",
                                        [MN__COST_KEYS] = "keys",
                                        [MN__COST_TABLES] = "tables",
                                        [MN__COST_NORMS] = "norms and biases"};
    return names[part];
}

/* ---- parameters ---- */

static bool ends(const char *name, const char *end)
{
    const size_t n = strlen(name), m = strlen(end);
    return n >= m && !strcmp(name + n - m, end);
}

static mn__cost_part part_of(const mn__param *p)
{
    if (p->row) return MN__COST_TABLES;
    if (p->n_dim == 1) return MN__COST_NORMS;
    if (!strcmp(p->name, "embedding") || !strcmp(p->name, "head")) return MN__COST_EMBEDDING;
    if (strstr(p->name, ".mixer.")) return MN__COST_ATTENTION;
    if (strstr(p->name, ".ffn.")) return MN__COST_FFN;
    return ends(p->name, ".keys") ? MN__COST_KEYS : MN__COST_MEMORY;
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

static void count_params(const mn__learner *l, mn__cost *out)
{
    for (size_t i = 0; i < l->list.n; i++) {
        const mn__param *p = l->list.at[i];
        if (p->group == MN__PARAM_STATE) continue;
        mn__cost_row *row = &out->counted[part_of(p)];
        row->params += (double)mn__param_size(p);
        row->active += active_of(&l->config, p);
        if (p->row && l->config.train_update != MN__UPDATE_DENSE)
            out->memory.rows += ROW_BYTES * (double)mn__param_size(p) / (double)p->row;
    }
}

/* Cells that a memory shuffles. */
static void count_shuffles(const mn__learner *l, mn__cost *out)
{
    for (size_t k = 0; k < l->memories.n; k++) {
        if (l->config.model_arch == MN__ARCH_ULTRAMEM)
            out->memory.rows += CELL_BYTES * (double)l->memory[k].ultramem.self.search.n_cell;
        if (l->config.model_arch == MN__ARCH_ULTRAMEM_V2)
            out->memory.rows += CELL_BYTES * (double)l->memory[k].v2.self.search.n_cell;
    }
}

/* ---- work ---- */

static mn__shape shape_of(const mn__config *c)
{
    return (mn__shape){c->train_batch, c->train_length};
}

/* Where the work of one layer goes. */
typedef struct place {
    mn__cost_part weights, pairs, keys;
} place;

/* One layer forward, dry, per token. */
static void count_layer(const mn__learner *l, mn__layer *layer, place at, mn__cost *out)
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
    out->counted[MN__COST_TABLES].flops += 2 * tally.n[MN__WORK_ROWS] / n_token;
    out->counted[MN__COST_TABLES].active += tally.n[MN__WORK_ROWS] / n_token;
}

static void count_head(const mn__learner *l, mn__cost *out)
{
    const mn__head head = {l->lm.width, l->lm.n_vocab, l->lm.tied ? &l->lm.embedding : &l->lm.head};
    mn__tape tape = {0};
    mn__tally tally = {{0}};
    const mn__env env = {.tape = &tape, .tally = &tally};
    mn__head_logits(&head, &env, 1, mn__take_reals(&env, l->lm.width),
                    mn__take_reals(&env, l->lm.n_vocab));
    out->counted[MN__COST_EMBEDDING].flops += 2 * tally.n[MN__WORK_WEIGHTS];
}

static void count_forward(const mn__learner *l, mn__cost *out)
{
    const place mixer = {MN__COST_ATTENTION, MN__COST_PAIRS, MN__COST_KEYS},
                ffn = {MN__COST_FFN, MN__COST_PAIRS, MN__COST_KEYS},
                memory = {MN__COST_MEMORY, MN__COST_PAIRS, MN__COST_KEYS};
    for (size_t i = 0; i < l->lm.n_block; i++) {
        count_layer(l, &l->mixer[i].layer, mixer, out);
        count_layer(l, &l->ffn[i].layer, ffn, out);
    }
    for (size_t k = 0; k < l->memories.n; k++) count_layer(l, &l->memory[k].layer, memory, out);
    count_head(l, out);
    for (int i = 0; i < MN__COST_PARTS; i++) out->forward += out->counted[i].flops;
}

/* A whole pass of a training: what it multiplies, and how long its tape is. */
static mn_status count_pass(mn__learner *l, mn__team *team, mn__cost *out, mn_diag *diag)
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
    out->memory.tape = (double)tape.peak;
    for (int i = 0; i < MN__WORK_KINDS; i++)
        out->backward += 2 * tally.n[i] / ((double)s.n_seq * (double)s.len);
    out->backward -= out->forward;
    return MN_OK;
}

mn_status mn__cost_make(const mn__config *config, mn__team *team, mn__cost *out, mn_diag *diag)
{
    mn__learner *l;
    mn_status st = mn__learner_sketch(&l, config, diag);
    if (st != MN_OK) return st;
    *out = (mn__cost){0};
    mn__cost_formula(config, out->formula);
    count_params(l, out);
    count_shuffles(l, out);
    count_forward(l, out);
    const double bytes = (double)l->n_w * sizeof(mn__real);
    out->memory.weights = bytes + (double)l->n_state * sizeof(mn__real);
    out->memory.gradients = bytes;
    out->memory.moments = 2 * bytes;
    st = count_pass(l, team, out, diag);
    mn__learner_free(l);
    return st;
}
