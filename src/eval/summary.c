/* summary.c: the lines of a report: each arm over all prompts, a family's, a task's. */
#include "eval/summary_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"

/* ---- memory ---- */

enum { CHUNK_BYTES = 1 << 16 };

struct chunk {
    struct chunk *next;
    size_t used, size;
};
_Static_assert(sizeof(struct chunk) % 8 == 0, "what is handed out is aligned for numbers");

struct mn__summary_memory {
    struct chunk *first;
};

void *mn__summary_take(mn__summary_memory *m, size_t bytes)
{
    if (!mn__add_size(bytes, 7, &bytes)) return NULL;
    bytes &= ~(size_t)7;
    if (!m->first || m->first->size - m->first->used < bytes) {
        size_t size = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES, whole;
        struct chunk *c = NULL;
        if (mn__add_size(size, sizeof *c, &whole)) c = mn__alloc(MN_MEM_OTHER, whole);
        if (!c) return NULL;
        *c = (struct chunk){.next = m->first, .size = size};
        m->first = c;
    }
    void *out = (char *)(m->first + 1) + m->first->used;
    m->first->used += bytes;
    return out;
}

const char *mn__summary_text(mn__summary_memory *m, const char *text)
{
    size_t n = strlen(text) + 1;
    char *out = mn__summary_take(m, n);
    return out ? memcpy(out, text, n) : NULL;
}

static mn_status no_memory(mn_diag *diag)
{
    return mn__fail(diag, MN_ENOMEM, "no memory for the summary of a store");
}

/* ---- sums over the prompts of a line ---- */

struct range {
    const mn__sheet *sheet;
    mn__sheet_part part;
    size_t arm;
};

/* The mean of a value, or of its ratio of sums to another of the same cells; NAN: none. */
static double mean_of(const struct range *r, mn__cell_value value)
{
    double sum = 0, n = 0;
    for (size_t i = 0; i < r->sheet->n_prompt; i++) {
        const mn__cell *c = mn__sheet_at(r->sheet, r->arm, i);
        if (!c || isnan(c->value[value]) || !mn__sheet_has(r->sheet, r->part, i)) continue;
        sum += c->value[value];
        n++;
    }
    return n > 0 ? sum / n : NAN;
}

static double most_of(const struct range *r, mn__cell_value value)
{
    double most = NAN;
    for (size_t i = 0; i < r->sheet->n_prompt; i++) {
        const mn__cell *c = mn__sheet_at(r->sheet, r->arm, i);
        if (c && mn__sheet_has(r->sheet, r->part, i)) most = fmax(most, c->value[value]);
    }
    return most;
}

/* Sum of one value over the sum of another, where a cell has both and the other is not 0. */
static double rate_of(const struct range *r, mn__cell_value value, mn__cell_value per)
{
    double sum = 0, n = 0;
    for (size_t i = 0; i < r->sheet->n_prompt; i++) {
        const mn__cell *c = mn__sheet_at(r->sheet, r->arm, i);
        if (!c || !mn__sheet_has(r->sheet, r->part, i)) continue;
        if (isnan(c->value[value]) || !(c->value[per] > 0)) continue;
        sum += c->value[value];
        n += c->value[per];
    }
    return n > 0 ? sum / n : NAN;
}

/* Sums of two values over those of the full cache on the same prompts; `two` may be COUNT: one. */
static double ratio_to_full(const struct range *r, mn__cell_value one, mn__cell_value two)
{
    double sum = 0, full_sum = 0;
    for (size_t i = 0; i < r->sheet->n_prompt; i++) {
        const mn__cell *c = mn__sheet_at(r->sheet, r->arm, i);
        const mn__cell *full = mn__sheet_at(r->sheet, r->sheet->full, i);
        if (!c || !full || !mn__sheet_has(r->sheet, r->part, i)) continue;
        double x = c->value[one], y = full->value[one];
        if (two != MN__CELL_COUNT) x += c->value[two], y += full->value[two];
        if (isnan(x) || isnan(y)) continue;
        sum += x;
        full_sum += y;
    }
    return full_sum > 0 ? sum / full_sum : NAN;
}

/* Each token counts the same: the change of a sum over the answer's tokens. */
static double change_by_token(const struct range *r)
{
    double sum = 0, n = 0;
    for (size_t i = 0; i < r->sheet->n_prompt; i++) {
        const mn__cell *c = mn__sheet_at(r->sheet, r->arm, i);
        const mn__cell *full = mn__sheet_at(r->sheet, r->sheet->full, i);
        if (!c || !full || !mn__sheet_has(r->sheet, r->part, i)) continue;
        double change = c->value[MN__CELL_NLL_SUM] - full->value[MN__CELL_NLL_SUM];
        if (isnan(change)) continue;
        sum += change;
        n += c->value[MN__CELL_NLL_TOKENS];
    }
    return n > 0 ? sum / n : NAN;
}

static size_t count_failed(const struct range *r, size_t *n_ok)
{
    size_t n_failed = 0;
    for (size_t i = 0; i < r->sheet->n_prompt; i++) {
        const mn__cell *c = mn__sheet_at(r->sheet, r->arm, i);
        if (!c || !mn__sheet_has(r->sheet, r->part, i)) continue;
        n_failed += c->n_failed;
        *n_ok += c->n_ok > 0;
    }
    return n_failed;
}

/* ---- tasks: which scores are given as shares of the full cache's ---- */

/* Means of two arms' scores over the prompts that have both; how many. */
static size_t mean_scores(const mn__sheet *s, size_t task, const size_t arm[2], double mean[2])
{
    size_t n = 0;
    double sum[2] = {0, 0};
    for (size_t i = 0; i < s->n_prompt; i++) {
        const mn__cell *a = mn__sheet_at(s, arm[0], i), *b = mn__sheet_at(s, arm[1], i);
        if (s->prompt[i].task != task || !a || !b) continue;
        if (isnan(a->value[MN__CELL_SCORE]) || isnan(b->value[MN__CELL_SCORE])) continue;
        sum[0] += a->value[MN__CELL_SCORE];
        sum[1] += b->value[MN__CELL_SCORE];
        n++;
    }
    for (int k = 0; k < 2; k++) mean[k] = n > 0 ? sum[k] / (double)n : NAN;
    return n;
}

static mn__task_line judge_task(const mn__sheet *s, size_t run, size_t task)
{
    const mn__sheet_task *t = &s->task[task];
    mn__task_line line = {.run = run, .task = t->name, .family = t->family, .metric = t->metric};
    double mean[2];
    line.n = mean_scores(s, task, (size_t[]){s->full, s->empty}, mean);
    line.full = mean[0];
    line.without = mean[1];
    if (line.n == 0) { /* what there is of either alone */
        struct range r = {s, {MN__LEVEL_TASK, task}, s->full};
        line.full = mean_of(&r, MN__CELL_SCORE);
        r.arm = s->empty;
        line.without = mean_of(&r, MN__CELL_SCORE);
    }
    line.why = "";
    if (!*t->metric || !strcmp(t->metric, "nll")) /* see MN__ASKS_TEXT */
        line.why = "no score, likelihood alone";
    else if (isnan(line.full))
        line.why = "no score with the full cache";
    else if (isnan(line.without))
        line.why = "no score without context to compare with";
    else if (line.n < MN__RATIO_MIN_PROMPT)
        line.why = "fewer than 10 prompts";
    else if (line.full - line.without < MN__RATIO_MIN_GAIN - 1e-12)
        line.why = "the full cache is less than 5 points above no context";
    line.counted = !*line.why;
    return line;
}

static double task_ratio(const mn__sheet *s, size_t task, size_t arm)
{
    double mean[2];
    size_t n = mean_scores(s, task, (size_t[]){arm, s->full}, mean);
    return n >= MN__RATIO_MIN_PROMPT && mean[1] > 0 ? mean[0] / mean[1] : NAN;
}

/* ---- lines ---- */

/* Ratios of the tasks of a line that count: their mean, and how many. */
static void fill_ratio(mn__line *line, const struct range *r, const mn__task_line *task)
{
    const mn__sheet *s = r->sheet;
    double sum = 0;
    line->n_ratio = 0;
    for (size_t t = 0; t < s->n_task; t++) {
        bool in = r->part.level == MN__LEVEL_ALL ||
                  r->part.which == (r->part.level == MN__LEVEL_TASK ? t : s->task[t].i_family);
        double ratio = in && task[t].counted ? task_ratio(s, t, r->arm) : NAN;
        if (isnan(ratio)) continue;
        sum += ratio;
        line->n_ratio++;
    }
    line->full_ratio = line->n_ratio > 0 ? sum / (double)line->n_ratio : NAN;
}

static void fill_means(mn__line *line, const struct range *r)
{
    line->score = r->part.level == MN__LEVEL_TASK ? mean_of(r, MN__CELL_SCORE) : NAN;
    line->nll = mean_of(r, MN__CELL_NLL);
    line->nll_byte = rate_of(r, MN__CELL_NLL_SUM, MN__CELL_GOLD_BYTES);
    line->nll_change_token = change_by_token(r);
    line->kl_token = rate_of(r, MN__CELL_KL_SUM, MN__CELL_KL_TOKENS);
    line->kv_share = mean_of(r, MN__CELL_SHARE_ANSWER);
    line->kv_share_papers = mean_of(r, MN__CELL_SHARE_PROMPT);
    line->kv_bytes = mean_of(r, MN__CELL_KV_BYTES);
    line->policy_bytes = mean_of(r, MN__CELL_POLICY_BYTES);
    line->kv_bytes_ratio = ratio_to_full(r, MN__CELL_KV_BYTES, MN__CELL_COUNT);
    line->bytes_ratio = ratio_to_full(r, MN__CELL_KV_BYTES, MN__CELL_POLICY_BYTES);
    line->peak_kv_bytes = mean_of(r, MN__CELL_PEAK_BYTES);
    line->peak_kv_bytes_most = most_of(r, MN__CELL_PEAK_BYTES);
    line->peak_ratio = ratio_to_full(r, MN__CELL_PEAK_BYTES, MN__CELL_COUNT);
    line->prefill_s = mean_of(r, MN__CELL_PREFILL_S);
    line->decode_s = mean_of(r, MN__CELL_DECODE_S);
    line->seconds = line->prefill_s + line->decode_s;
    line->token_rate = rate_of(r, MN__CELL_GENERATED, MN__CELL_DECODE_S);
}

struct maker {
    mn__summary *out;
    const mn__summary_params *params;
    mn_diag *diag;
    size_t cap_run, cap_arm, cap_line, cap_task, cap_pair, cap_needle, cap_kept, cap_left;
};

static mn_status add_line(struct maker *m, const struct range *r, size_t first_arm,
                          const mn__task_line *task)
{
    mn__summary *out = m->out;
    const mn__sheet *s = r->sheet;
    mn__line line = {.level = r->part.level, .arm = first_arm + r->arm};
    line.n_failed = count_failed(r, &line.n);
    if (line.n == 0 && line.n_failed == 0) return MN_OK;
    line.family = line.task = line.metric = "";
    if (r->part.level == MN__LEVEL_FAMILY) line.family = s->family[r->part.which];
    if (r->part.level == MN__LEVEL_TASK) {
        line.task = s->task[r->part.which].name;
        line.family = s->task[r->part.which].family;
        line.metric = s->task[r->part.which].metric;
    }
    fill_ratio(&line, r, task);
    fill_means(&line, r);
    if (MN__GROW(out->line, out->n_line, m->cap_line) != MN_OK) return no_memory(m->diag);
    out->line[out->n_line++] = line;
    return MN_OK;
}

/* The lines' intervals, all at once. */
static mn_status add_intervals(struct maker *m, const mn__sheet *sheet, const struct range *range,
                               size_t first, size_t n)
{
    mn_status st;
    mn__summary_job *job = mn__alloc_array(MN_MEM_OTHER, 2 * n, sizeof *job);
    if (!job) return no_memory(m->diag);
    for (size_t i = 0; i < n; i++) {
        mn__line *line = &m->out->line[first + i];
        job[2 * i] = (mn__summary_job){.sheet = sheet,
                                       .part = range[i].part,
                                       .value = MN__CELL_NLL,
                                       .a = range[i].arm,
                                       .b = sheet->full,
                                       .interval = &line->nll_change};
        job[2 * i + 1] = job[2 * i];
        job[2 * i + 1].value = MN__CELL_KL;
        job[2 * i + 1].b = SIZE_MAX;
        job[2 * i + 1].interval = &line->kl;
        if (sheet->full == SIZE_MAX) job[2 * i].sheet = NULL; /* a change from nothing */
    }
    st = mn__summary_run_jobs(job, 2 * n, m->params, m->diag);
    mn__free(job);
    return st;
}

static mn_status add_lines(struct maker *m, const mn__sheet *s, size_t first_arm,
                           const mn__task_line *task)
{
    const size_t n_which[] = {1, s->n_family, s->n_task};
    size_t first = m->out->n_line, n = 0, cap = 0;
    struct range *range = NULL;
    mn_status st = MN_OK;
    for (mn__level level = MN__LEVEL_ALL; level <= MN__LEVEL_TASK; level++)
        for (size_t arm = 0; arm < s->n_arm; arm++)
            for (size_t which = 0; which < n_which[level]; which++) {
                if (MN__GROW(range, n, cap) != MN_OK) MN_TRY(no_memory(m->diag));
                range[n] = (struct range){s, {level, which}, arm};
                MN_TRY(add_line(m, &range[n], first_arm, task));
                n = m->out->n_line - first;
            }
    MN_TRY(add_intervals(m, s, range, first, n));
done:
    mn__free(range);
    return st;
}

/* ---- runs ---- */

static mn_status add_arms(struct maker *m, const mn__sheet *s, size_t run)
{
    mn__summary *out = m->out;
    for (size_t i = 0; i < s->n_arm; i++) {
        if (MN__GROW(out->arm, out->n_arm, m->cap_arm) != MN_OK) return no_memory(m->diag);
        out->arm[out->n_arm++] =
            (mn__summary_arm){run, s->arm[i].policy, s->arm[i].budget, s->arm[i].acts};
    }
    return MN_OK;
}

static mn_status add_tasks(struct maker *m, const mn__sheet *s, size_t run)
{
    mn__summary *out = m->out;
    for (size_t i = 0; i < s->n_task; i++) {
        if (MN__GROW(out->task, out->n_task, m->cap_task) != MN_OK) return no_memory(m->diag);
        out->task[out->n_task++] = judge_task(s, run, i);
    }
    return MN_OK;
}

static mn_status add_left(struct maker *m, const mn__sheet *s, size_t run)
{
    mn__summary *out = m->out;
    for (size_t i = 0; i < s->n_left; i++) {
        if (MN__GROW(out->left, out->n_left, m->cap_left) != MN_OK) return no_memory(m->diag);
        out->left[out->n_left] = s->left[i];
        out->left[out->n_left++].run = run;
    }
    return MN_OK;
}

static mn_status summarise(struct maker *m, mn__store *store, int64_t key, size_t run)
{
    mn_status st;
    mn__sheet sheet = {0};
    size_t first_arm = m->out->n_arm, first_task = m->out->n_task;
    MN_TRY(mn__sheet_load(&sheet, store, key, m->out->memory, m->diag));
    m->out->run[run].n_prompt = sheet.n_prompt;
    m->out->run[run].n_record = sheet.n_record;
    m->out->run[run].n_failed = sheet.n_failed;
    m->out->run[run].n_cut = sheet.n_cut;
    MN_TRY(add_left(m, &sheet, run));
    MN_TRY(add_arms(m, &sheet, run));
    MN_TRY(add_tasks(m, &sheet, run));
    MN_TRY(add_lines(m, &sheet, first_arm, m->out->task + first_task));
    MN_TRY(mn__summary_add_pairs(m->out, &m->cap_pair, &sheet, first_arm, m->params, m->diag));
    MN_TRY(mn__summary_add_needles(m->out, &m->cap_needle, &sheet, first_arm, m->diag));
    MN_TRY(mn__summary_add_kept(m->out, &m->cap_kept, &sheet, first_arm, m->diag));
done:
    mn__sheet_free(&sheet);
    return st;
}

struct run_keys {
    struct maker *m;
    int64_t *key;
    size_t n, cap;
};

static mn_status note_run(void *ctx, int64_t key, const mn__store_run *about)
{
    struct run_keys *k = ctx;
    mn__summary *out = k->m->out;
    if (MN__GROW(out->run, out->n_run, k->m->cap_run) != MN_OK ||
        MN__GROW(k->key, k->n, k->cap) != MN_OK)
        return no_memory(k->m->diag);
    mn__summary_run *run = &out->run[out->n_run];
    *run = (mn__summary_run){.about = *about};
    mn__store_run_id(run->id, about);
    const char **text[] = {&run->about.created, &run->about.version,       &run->about.git_commit,
                           &run->about.machine, &run->about.model,         &run->about.model_hash,
                           &run->about.evict,   &run->about.chat_template, &run->about.options};
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        *text[i] = mn__summary_text(out->memory, *text[i]);
        if (!*text[i]) return no_memory(k->m->diag);
    }
    k->key[k->n++] = key;
    out->n_run++;
    return MN_OK;
}

static int by_level(const void *x, const void *y)
{
    const mn__line *a = x, *b = y;
    if (a->level != b->level) return (int)a->level - (int)b->level;
    if (a->arm != b->arm) return a->arm < b->arm ? -1 : 1;
    int family = strcmp(a->family, b->family);
    return family ? family : strcmp(a->task, b->task);
}

mn_status mn__summary_make(mn__summary **out, mn__store *s, const mn__summary_params *p,
                           mn_diag *diag)
{
    mn_status st;
    *out = NULL;
    mn__summary *made = mn__alloc_zero(MN_MEM_OTHER, sizeof *made);
    struct maker m = {.out = made, .params = p, .diag = diag};
    struct run_keys keys = {.m = &m};
    if (!made) return no_memory(diag);
    made->memory = mn__alloc_zero(MN_MEM_OTHER, sizeof *made->memory);
    if (!made->memory) MN_TRY(no_memory(diag));
    MN_TRY(mn__store_each_run(s, note_run, &keys, diag));
    for (size_t i = 0; i < keys.n; i++) MN_TRY(summarise(&m, s, keys.key[i], i));
    if (made->n_line == 0) MN_TRY(mn__fail(diag, MN_EINPUT, "no record has been written yet"));
    qsort(made->line, made->n_line, sizeof *made->line, by_level);
    *out = made;
    made = NULL;
done:
    mn__free(keys.key);
    mn__summary_free(made);
    return st;
}

void mn__summary_params_default(mn__summary_params *p)
{
    *p = (mn__summary_params){.n_thread = 0};
    mn__resampling_default(&p->how);
}

static void free_memory(mn__summary_memory *m)
{
    if (!m) return;
    for (struct chunk *c = m->first, *next; c; c = next) {
        next = c->next;
        mn__free(c);
    }
    mn__free(m);
}

void mn__summary_free(mn__summary *s)
{
    if (!s) return;
    free_memory(s->memory);
    mn__free(s->run);
    mn__free(s->arm);
    mn__free(s->line);
    mn__free(s->task);
    mn__free(s->pair);
    mn__free(s->needle);
    mn__free(s->kept);
    mn__free(s->left);
    mn__free(s);
}
