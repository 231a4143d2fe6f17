/* summary_load.c: one run's records become a table of prompts by arms. */
#include "eval/summary_internal.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"

enum { MAX_KEPT = 1 << 20 }; /* heads of all layers */

struct loader {
    mn__sheet *sheet;
    mn__summary_memory *memory;
    int64_t prompt_key; /* of the prompt before; 0: none */
    mn_diag *diag;
};

static mn_status no_memory(mn_diag *diag)
{
    return mn__fail(diag, MN_ENOMEM, "no memory for the table of a run's records");
}

/* ---- names become numbers ---- */

static mn_status add_family(struct loader *l, const char *name, uint32_t *out)
{
    mn__sheet *s = l->sheet;
    for (size_t i = 0; i < s->n_family; i++)
        if (!strcmp(s->family[i], name)) {
            *out = (uint32_t)i;
            return MN_OK;
        }
    if (MN__GROW(s->family, s->n_family, s->cap_family) != MN_OK) return no_memory(l->diag);
    s->family[s->n_family] = mn__summary_text(l->memory, name);
    if (!s->family[s->n_family]) return no_memory(l->diag);
    *out = (uint32_t)s->n_family++;
    return MN_OK;
}

/* Records come by task: a new one is the last. */
static mn_status add_task(struct loader *l, const mn__store_prompt *p)
{
    mn_status st;
    mn__sheet *s = l->sheet;
    if (s->n_task > 0 && !strcmp(s->task[s->n_task - 1].name, p->task)) return MN_OK;
    if (MN__GROW(s->task, s->n_task, s->cap_task) != MN_OK) return no_memory(l->diag);
    mn__sheet_task *t = &s->task[s->n_task];
    *t = (mn__sheet_task){.name = mn__summary_text(l->memory, p->task), .metric = ""};
    MN_TRY(add_family(l, p->family, &t->i_family));
    t->family = s->family[t->i_family];
    if (!t->name) return no_memory(l->diag);
    s->n_task++;
done:
    return st;
}

static mn_status find_arm(struct loader *l, const mn__store_record *r, size_t *out)
{
    mn__sheet *s = l->sheet;
    for (size_t i = 0; i < s->n_arm; i++)
        if (!strcmp(s->arm[i].policy, r->policy) && !strcmp(s->arm[i].budget, r->budget)) {
            *out = i;
            return MN_OK;
        }
    if (MN__GROW(s->arm, s->n_arm, s->cap_arm) != MN_OK) return no_memory(l->diag);
    mn__sheet_arm *a = &s->arm[s->n_arm];
    *a = (mn__sheet_arm){.policy = mn__summary_text(l->memory, r->policy),
                         .budget = mn__summary_text(l->memory, r->budget),
                         .acts = mn__summary_text(l->memory, r->acts)};
    if (!a->policy || !a->budget || !a->acts) return no_memory(l->diag);
    *out = s->n_arm++;
    return MN_OK;
}

/* ---- JSON in columns ---- */

static double number_of(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static mn_status read_facts(struct loader *l, const mn__store_prompt *p, mn__sheet_prompt *out,
                            bool *cut)
{
    json_t *facts = json_loads(p->facts, 0, NULL);
    mn_status st = MN_OK;
    if (!json_is_object(facts))
        st = mn__fail(l->diag, MN_EINPUT, "%s %s: its facts are not a JSON object", p->task,
                      p->source_id);
    out->depth = number_of(facts, "depth");
    out->length = number_of(facts, "length");
    *cut = number_of(facts, "cut_tokens") > 0;
    json_decref(facts);
    return st;
}

static size_t widest(const json_t *kept)
{
    size_t n_head = 0, i;
    json_t *layer;
    json_array_foreach(kept, i, layer)
    {
        if (!json_is_array(layer) && !json_is_null(layer)) return 0;
        if (json_array_size(layer) > n_head) n_head = json_array_size(layer);
    }
    return n_head;
}

static bool shape_kept(mn__sheet_kept *k, const json_t *kept, mn_status *st)
{
    size_t n_layer = json_array_size(kept), n_head = widest(kept);
    if (n_layer == 0 || n_head == 0 || n_head > MAX_KEPT / n_layer) return false;
    if (k->token) return n_layer == k->n_layer && n_head == k->n_head;
    k->token = mn__alloc_array(MN_MEM_OTHER, n_layer * n_head, 2 * sizeof *k->token);
    if (!k->token) {
        *st = MN_ENOMEM;
        return false;
    }
    k->share = k->token + n_layer * n_head;
    memset(k->token, 0, n_layer * n_head * 2 * sizeof *k->token);
    k->n_layer = n_layer;
    k->n_head = n_head;
    return true;
}

static bool sum_kept(mn__sheet_kept *k, const json_t *kept, uint32_t n_token)
{
    for (size_t i = 0; i < k->n_layer; i++) {
        const json_t *layer = json_array_get(kept, i);
        for (size_t h = 0; h < k->n_head; h++) {
            const json_t *v = json_array_get(layer, h); /* NULL beyond its end */
            if (v && !json_is_number(v)) return false;
            double n = v ? json_number_value(v) : NAN;
            k->token[i * k->n_head + h] += n;
            k->share[i * k->n_head + h] += n / n_token;
        }
    }
    k->n++;
    return true;
}

static mn_status read_kept(struct loader *l, const mn__store_prompt *p, const mn__store_record *r,
                           mn__sheet_kept *k)
{
    mn_status st = MN_OK;
    if (!r->kept || p->n_token == 0) return MN_OK;
    json_t *kept = json_loads(r->kept, 0, NULL);
    if (!json_is_array(kept) || !shape_kept(k, kept, &st) || !sum_kept(k, kept, p->n_token))
        st = st == MN_ENOMEM
                 ? no_memory(l->diag)
                 : mn__fail(l->diag, MN_EINPUT,
                            "%s %s, %s: what it kept is not a table of layers by heads, or not one "
                            "of the same size as its other prompts'",
                            p->task, p->source_id, r->policy);
    json_decref(kept);
    return st;
}

/* ---- measurements ---- */

static void add_value(mn__cell *c, mn__cell_value which, double value)
{
    if (!isfinite(value)) return;
    c->value[which] += value;
    c->count[which]++;
}

/* An answer's tokens: their mean and sum, unless one is not finite. */
static void add_tokens(mn__cell *c, mn__cell_value mean, const float *x, size_t n)
{
    const int sum_at = MN__CELL_NLL_SUM - MN__CELL_NLL, n_at = MN__CELL_NLL_TOKENS - MN__CELL_NLL;
    _Static_assert(MN__CELL_KL_SUM - MN__CELL_KL == MN__CELL_NLL_SUM - MN__CELL_NLL &&
                       MN__CELL_KL_TOKENS - MN__CELL_KL == MN__CELL_NLL_TOKENS - MN__CELL_NLL,
                   "both measures keep one order");
    double sum = 0;
    if (!x || n == 0) return;
    for (size_t i = 0; i < n; i++) sum += (double)x[i];
    if (!isfinite(sum)) return;
    add_value(c, mean, sum / (double)n);
    add_value(c, (mn__cell_value)(mean + sum_at), sum);
    add_value(c, (mn__cell_value)(mean + n_at), (double)n);
}

static void add_record(mn__cell *c, const mn__store_record *r)
{
    c->n_ok++;
    add_value(c, MN__CELL_SCORE, r->score);
    add_tokens(c, MN__CELL_NLL, r->nll, r->n_gold);
    add_tokens(c, MN__CELL_KL, r->kl, r->n_gold);
    if (r->gold_bytes > 0) add_value(c, MN__CELL_GOLD_BYTES, (double)r->gold_bytes);
    add_value(c, MN__CELL_SHARE_ANSWER, r->share_answer);
    add_value(c, MN__CELL_SHARE_PROMPT, r->share_prompt);
    add_value(c, MN__CELL_KV_BYTES, (double)r->kv_bytes);
    add_value(c, MN__CELL_POLICY_BYTES, (double)r->policy_bytes);
    add_value(c, MN__CELL_PEAK_BYTES, (double)r->peak_bytes);
    add_value(c, MN__CELL_PREFILL_S, r->prefill_s);
    add_value(c, MN__CELL_DECODE_S, r->decode_s);
    add_value(c, MN__CELL_GENERATED, r->n_generated);
}

static mn_status add_prompt(struct loader *l, int64_t key, const mn__store_prompt *p)
{
    mn_status st;
    bool cut;
    mn__sheet *s = l->sheet;
    if (key == l->prompt_key) return MN_OK;
    if (s->n_prompt == UINT32_MAX || MN__GROW(s->prompt, s->n_prompt, s->cap_prompt) != MN_OK)
        return no_memory(l->diag);
    MN_TRY(add_task(l, p));
    MN_TRY(read_facts(l, p, &s->prompt[s->n_prompt], &cut));
    s->n_cut += cut;
    s->prompt[s->n_prompt].task = (uint32_t)s->n_task - 1;
    s->prompt[s->n_prompt].n_token = p->n_token;
    s->n_prompt++;
    l->prompt_key = key;
done:
    return st;
}

/* Seeds of one prompt and arm follow each other. */
static mn_status find_cell(struct loader *l, size_t arm, mn__cell **out)
{
    mn__sheet *s = l->sheet;
    uint32_t prompt = (uint32_t)s->n_prompt - 1;
    mn__cell *last = s->n_cell > 0 ? &s->cell[s->n_cell - 1] : NULL;
    if (!last || last->prompt != prompt || last->arm != arm) {
        if (MN__GROW(s->cell, s->n_cell, s->cap_cell) != MN_OK) return no_memory(l->diag);
        last = &s->cell[s->n_cell++];
        *last = (mn__cell){.arm = (uint32_t)arm, .prompt = prompt};
    }
    *out = last;
    return MN_OK;
}

/* ---- prompts that could not be asked ---- */

static mn_status add_left(struct loader *l, const mn__store_prompt *p, const char *why)
{
    mn_status st;
    mn__sheet *s = l->sheet;
    mn__sheet_prompt facts;
    bool cut;
    MN_TRY(read_facts(l, p, &facts, &cut));
    for (size_t i = 0; i < s->n_left; i++) {
        mn__left_line *x = &s->left[i];
        bool same = x->length == facts.length || (isnan(x->length) && isnan(facts.length));
        if (strcmp(x->task, p->task) || !same) continue;
        x->n++;
        return MN_OK;
    }
    if (MN__GROW(s->left, s->n_left, s->cap_left) != MN_OK) return no_memory(l->diag);
    s->left[s->n_left] = (mn__left_line){.task = mn__summary_text(l->memory, p->task),
                                         .why = mn__summary_text(l->memory, why),
                                         .length = facts.length,
                                         .n = 1};
    if (!s->left[s->n_left].task || !s->left[s->n_left].why) return no_memory(l->diag);
    s->n_left++;
done:
    return st;
}

static mn_status visit(void *ctx, int64_t key, const mn__store_prompt *p, const mn__store_record *r)
{
    struct loader *l = ctx;
    mn_status st;
    size_t arm = 0, n_mark = strlen(MN__STORE_LEFT_OUT);
    mn__cell *cell = NULL;
    if (!strncmp(r->status, MN__STORE_LEFT_OUT, n_mark)) return add_left(l, p, r->status + n_mark);
    MN_TRY(add_prompt(l, key, p));
    MN_TRY(find_arm(l, r, &arm));
    MN_TRY(find_cell(l, arm, &cell));
    l->sheet->n_record++;
    if (strcmp(r->status, "ok")) {
        cell->n_failed++;
        l->sheet->n_failed++;
        return MN_OK;
    }
    add_record(cell, r);
    mn__sheet_task *task = &l->sheet->task[l->sheet->n_task - 1];
    if (r->metric && !*task->metric) {
        task->metric = mn__summary_text(l->memory, r->metric);
        if (!task->metric) return no_memory(l->diag);
    }
    MN_TRY(read_kept(l, p, r, &l->sheet->arm[arm].kept));
done:
    return st;
}

/* ---- the order of a report ---- */

static int rank_of_acts(const mn__sheet_arm *a)
{
    if (!strcmp(a->policy, "full")) return 0;
    if (!strcmp(a->policy, "empty")) return 1;
    return !strcmp(a->acts, "never") ? 2 : !strcmp(a->acts, "end") ? 3 : 4;
}

/* Shares, then tokens, then bytes, the larger first. */
static int by_budget(const char *a, const char *b)
{
    static const char kinds[] = "%\0GMK"; /* the zero: no unit, tokens */
    char *end_a, *end_b;
    double x = strtod(a, &end_a), y = strtod(b, &end_b);
    const char *kind_a = memchr(kinds, *end_a, sizeof kinds - 1);
    const char *kind_b = memchr(kinds, *end_b, sizeof kinds - 1);
    if (kind_a != kind_b) return !kind_a || (kind_b && kind_a > kind_b) ? 1 : -1;
    return x != y ? (x < y) - (x > y) : strcmp(a, b);
}

static int by_place(const void *x, const void *y)
{
    const mn__sheet_arm *a = *(mn__sheet_arm *const *)x, *b = *(mn__sheet_arm *const *)y;
    int rank = rank_of_acts(a) - rank_of_acts(b);
    if (rank) return rank;
    int budget = by_budget(a->budget, b->budget);
    return budget ? budget : strcmp(a->policy, b->policy);
}

/* Arms into their order, cells after them. */
static mn_status order_arms(mn__sheet *s, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__sheet_arm **order = mn__alloc_array(MN_MEM_OTHER, s->n_arm, sizeof *order);
    mn__sheet_arm *sorted = mn__alloc_array(MN_MEM_OTHER, s->n_arm, sizeof *sorted);
    uint32_t *place = mn__alloc_array(MN_MEM_OTHER, s->n_arm, sizeof *place);
    if (!order || !sorted || !place) MN_TRY(no_memory(diag));
    for (size_t i = 0; i < s->n_arm; i++) order[i] = &s->arm[i];
    qsort(order, s->n_arm, sizeof *order, by_place);
    for (size_t i = 0; i < s->n_arm; i++) {
        sorted[i] = *order[i];
        place[order[i] - s->arm] = (uint32_t)i;
    }
    for (size_t i = 0; i < s->n_cell; i++) s->cell[i].arm = place[s->cell[i].arm];
    mn__sheet_arm *unsorted = s->arm;
    s->arm = sorted;
    sorted = unsorted;
done:
    mn__free(order);
    mn__free(sorted);
    mn__free(place);
    return st;
}

static void take_means(mn__cell *c)
{
    for (int k = 0; k < MN__CELL_COUNT; k++)
        c->value[k] = c->count[k] > 0 ? c->value[k] / c->count[k] : NAN;
}

static mn_status lay_out(mn__sheet *s, mn_diag *diag)
{
    size_t n;
    s->at = mn__mul_size(s->n_arm, s->n_prompt, &n)
                ? mn__alloc_array(MN_MEM_OTHER, n, sizeof *s->at)
                : NULL;
    if (!s->at) return no_memory(diag);
    for (size_t i = 0; i < n; i++) s->at[i] = NULL;
    for (size_t i = 0; i < s->n_cell; i++) {
        mn__cell *c = &s->cell[i];
        take_means(c);
        s->at[c->arm * s->n_prompt + c->prompt] = c;
    }
    for (size_t i = s->n_arm; i-- > 0;) { /* the first of either */
        if (rank_of_acts(&s->arm[i]) == 0) s->full = i;
        if (rank_of_acts(&s->arm[i]) == 1) s->empty = i;
    }
    return MN_OK;
}

/* The full cache's divergence from itself need not be measured. */
static void know_full(mn__sheet *s)
{
    for (size_t i = 0; i < s->n_cell; i++) {
        mn__cell *c = &s->cell[i];
        if (c->arm != s->full || c->n_ok == 0) continue;
        c->value[MN__CELL_KL] = c->value[MN__CELL_KL_SUM] = 0;
        c->value[MN__CELL_KL_TOKENS] = c->value[MN__CELL_NLL_TOKENS];
    }
}

mn_status mn__sheet_load(mn__sheet *out, mn__store *s, int64_t run, mn__summary_memory *memory,
                         mn_diag *diag)
{
    mn_status st;
    *out = (mn__sheet){.full = SIZE_MAX, .empty = SIZE_MAX};
    struct loader l = {.sheet = out, .memory = memory, .diag = diag};
    MN_TRY(mn__store_each_record(s, &(mn__store_query){.run = run}, visit, &l, diag));
    MN_TRY(order_arms(out, diag));
    MN_TRY(lay_out(out, diag));
    know_full(out);
done:
    return st;
}

void mn__sheet_free(mn__sheet *s)
{
    for (size_t i = 0; i < s->n_arm; i++) mn__free(s->arm[i].kept.token);
    mn__free(s->prompt);
    mn__free(s->task);
    mn__free(s->family);
    mn__free(s->arm);
    mn__free(s->cell);
    mn__free(s->at);
    mn__free(s->left);
    *s = (mn__sheet){0};
}

bool mn__sheet_has(const mn__sheet *s, mn__sheet_part part, size_t prompt)
{
    uint32_t task = s->prompt[prompt].task;
    if (part.level == MN__LEVEL_TASK) return task == part.which;
    return part.level == MN__LEVEL_ALL || s->task[task].i_family == part.which;
}
