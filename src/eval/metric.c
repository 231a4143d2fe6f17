/* metric.c: the registry, and the way from bytes and gold answers to one score. */
#include "eval/metric.h"

#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "eval/metric_internal.h"

enum { OVER_ONE, OVER_ALL };

typedef struct metric_kind {
    mn__metric_info info;
    mn__metric_fn *score;
    mn__words_kind words;
} metric_kind;

static const metric_kind kinds[] = {
#define MN_METRIC(name, function, over, words, meaning, source) \
    {{#name, meaning, source, OVER_##over == OVER_ALL}, mn__score_##function, MN__WORDS_##words},
#include "eval/metrics.def"
#undef MN_METRIC
};
enum { N_KIND = sizeof kinds / sizeof kinds[0] };

struct mn__metric {
    const metric_kind *kind;
    mn__words *words;
};

size_t mn__metric_count(void)
{
    return N_KIND;
}

const mn__metric_info *mn__metric_at(size_t i)
{
    return &kinds[i].info;
}

/* What people call them. */
static const char *full_name(const char *name)
{
    static const char *const alias[][2] = {{"f1", "qa_f1"}, {"em", "exact"}, {"rouge", "rouge_l"}};
    for (size_t i = 0; i < sizeof alias / sizeof *alias; i++)
        if (!strcmp(name, alias[i][0])) return alias[i][1];
    return name;
}

static const metric_kind *find_kind(const char *name)
{
    name = full_name(name);
    for (size_t i = 0; i < N_KIND; i++)
        if (strcmp(kinds[i].info.name, name) == 0) return &kinds[i];
    return NULL;
}

static mn_status unknown(const char *name, mn_diag *diag)
{
    const char *names[N_KIND + 1];
    for (size_t i = 0; i < N_KIND; i++) names[i] = kinds[i].info.name;
    names[N_KIND] = NULL;
    const char *near = mn__nearest(name, names);
    if (near) return mn__fail(diag, MN_EUSAGE, "no metric '%s'; did you mean %s?", name, near);
    return mn__fail(diag, MN_EUSAGE, "no metric '%s'; the list is in docs/metrics.md", name);
}

mn_status mn__metric_open(mn__metric **out, const char *name, const char *dictionary, mn_diag *diag)
{
    mn_status st = MN_OK;
    const metric_kind *kind = find_kind(name);
    *out = NULL;
    if (!kind) return unknown(name, diag);
    mn__metric *m = mn__alloc_zero(MN_MEM_OTHER, sizeof *m);
    if (!m) return mn__fail(diag, MN_ENOMEM, "no memory for metric %s", name);
    m->kind = kind;
    if (kind->words != MN__WORDS_NONE) {
        st = mn__words_open(&m->words, kind->words, dictionary, diag);
        if (st != MN_OK) mn__diag_prefix(diag, "metric %s", name);
    }
    if (st != MN_OK) {
        mn__metric_close(m);
        return st;
    }
    *out = m;
    return MN_OK;
}

void mn__metric_close(mn__metric *m)
{
    if (!m) return;
    mn__words_close(m->words);
    mn__free(m);
}

/* Limits, and everything to code points. */
static mn_status read_texts(mn__scoring *x, const char *output, size_t n_output)
{
    const mn__gold *gold = x->gold;
    if (gold->n_answer == 0) return mn__fail(x->diag, MN_EINPUT, "no gold answer");
    mn__piece *answers = mn__scratch_take(x->scratch, gold->n_answer, sizeof *answers);
    if (!answers) return MN_ENOMEM;
    x->answers = answers;
    for (size_t i = 0; i <= gold->n_answer; i++) {
        bool last = i == gold->n_answer;
        const char *text = last ? output : gold->answers[i];
        size_t n = last ? n_output : strlen(text);
        if (n > MN__METRIC_TEXT_MAX)
            return mn__fail(x->diag, MN_ERANGE, "%s of %zu bytes; at most %d are compared",
                            last ? "output" : "gold answer", n, MN__METRIC_TEXT_MAX);
        mn_status st = mn__piece_read(x->scratch, text, n, last ? &x->output : &answers[i]);
        if (st != MN_OK) return st;
    }
    return MN_OK;
}

/* The best over the gold answers, each in a scratch of its own. */
static mn_status score_each(mn__scoring *x, mn__metric_fn *fn, double *best)
{
    *best = 0.0;
    for (size_t i = 0; i < x->gold->n_answer; i++) {
        mn__scratch scratch = {0};
        mn__scoring one = *x;
        double score = 0.0;
        one.scratch = &scratch;
        one.answer = x->answers[i];
        mn_status st = fn(&one, &score);
        mn__scratch_free(&scratch);
        if (st != MN_OK) return st;
        if (score > *best) *best = score;
    }
    return MN_OK;
}

mn_status mn__metric_score(const mn__metric *m, const mn__gold *gold, const char *output,
                           size_t n_output, double *score, mn_diag *diag)
{
    mn__scratch scratch = {0};
    mn__scoring x = {.scratch = &scratch,
                     .words = m->words,
                     .gold = gold,
                     .name = m->kind->info.name,
                     .diag = diag};
    double best = 0.0;
    mn_status st = read_texts(&x, output, n_output);
    if (st == MN_OK)
        st = m->kind->info.all_answers ? m->kind->score(&x, &best)
                                       : score_each(&x, m->kind->score, &best);
    mn__scratch_free(&scratch);
    if (st == MN_ENOMEM) return mn__fail(diag, st, "metric %s: out of memory", x.name);
    if (st != MN_OK) {
        mn__diag_prefix(diag, "metric %s", x.name);
        return st;
    }
    *score = best;
    return MN_OK;
}
