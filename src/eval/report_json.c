/* report_json.c: a summary as a JSON document. Names are those of the interface that people's
 * scripts read. */
#include "eval/report.h"

#include <math.h>
#include <string.h>

#include "base/heap.h"
#include "text/utf8.h"

/* Writes to an object; once a member found no memory, the document is given up at the end. */
struct writer {
    json_t *at;
    bool failed;
};

static void put(struct writer *w, const char *name, json_t *value)
{
    if (!w->at || !value || json_object_set_new(w->at, name, value) != 0) w->failed = true;
}

json_t *mn__report_text(const char *text, size_t most)
{
    char cut[64] = "";
    size_t n = strlen(text), n_shown = most > 0 && n > most ? most : n;
    if (n_shown < n) snprintf(cut, sizeof cut, " \xe2\x80\xa6 (%zu of %zu bytes)", n_shown, n);
    json_t *whole = n_shown == n ? json_stringn(text, n) : NULL;
    if (whole) return whole;
    mn__utf8_gate gate = {.n_held = 0};
    char *clean = mn__alloc(MN_MEM_OTHER, MN__UTF8_BOUND(n_shown) + MN__UTF8_BOUND(0) + sizeof cut);
    if (!clean) return NULL;
    size_t at = mn__utf8_gate_push(&gate, text, n_shown, clean);
    if (n_shown == n) at += mn__utf8_gate_flush(&gate, clean + at); /* else: a character cut */
    memcpy(clean + at, cut, strlen(cut));
    whole = json_stringn(clean, at + strlen(cut));
    mn__free(clean);
    return whole;
}

static void put_text(struct writer *w, const char *name, const char *text)
{
    put(w, name, mn__report_text(text, 0));
}

json_t *mn__report_real(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static void put_real(struct writer *w, const char *name, double x)
{
    put(w, name, mn__report_real(x));
}

static void put_count(struct writer *w, const char *name, uint64_t n)
{
    put(w, name, json_integer((json_int_t)n));
}

/* name: the mean; name_ci95: [lo, hi], or null where there is one prompt alone. */
static void put_interval(struct writer *w, const char *name, const mn__interval *x)
{
    char ci[64];
    snprintf(ci, sizeof ci, "%s_ci95", name);
    put_real(w, name, x->mean);
    put(w, ci, isfinite(x->lo) && isfinite(x->hi) ? json_pack("[f,f]", x->lo, x->hi) : json_null());
}

/* ---- runs, and what all lines say of theirs ---- */

/* Seeds take 64 bits, and numbers of JSON hold 53. */
static void put_wide(struct writer *w, const char *name, uint64_t x)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)x);
    put_text(w, name, text);
}

/* Where a model lies is nobody's business: its hash tells which it is. */
static const char *file_of(const char *path)
{
    const char *name = strrchr(path, '/');
    return name ? name + 1 : path;
}

static json_t *run_json(const mn__summary_run *r, bool *failed)
{
    struct writer w = {.at = json_object()};
    put_text(&w, "run", r->id);
    put_text(&w, "model", file_of(r->about.model));
    put_text(&w, "model_hash", r->about.model_hash);
    put_text(&w, "evict", r->about.evict);
    put_text(&w, "template", r->about.chat_template);
    put_count(&w, "n_ctx", r->about.n_ctx);
    put_wide(&w, "seed", r->about.seed);
    put_text(&w, "options", r->about.options);
    put_text(&w, "version", r->about.version);
    put_text(&w, "git_commit", r->about.git_commit);
    put_text(&w, "machine", r->about.machine);
    put_text(&w, "created", r->about.created);
    put_count(&w, "n_prompt", r->n_prompt);
    put_count(&w, "n_record", r->n_record);
    put_count(&w, "n_failed", r->n_failed);
    *failed = *failed || w.failed;
    return w.at;
}

static void put_run(struct writer *w, const mn__summary *s, size_t run)
{
    const mn__summary_run *r = &s->run[run];
    put_text(w, "run", r->id);
    put_text(w, "model", file_of(r->about.model));
    put_text(w, "evict", r->about.evict);
    put_text(w, "template", r->about.chat_template);
}

static void put_arm(struct writer *w, const mn__summary *s, size_t arm)
{
    put_run(w, s, s->arm[arm].run);
    put_text(w, "policy", s->arm[arm].policy);
    put_text(w, "budget", s->arm[arm].budget);
    put_text(w, "acts", s->arm[arm].acts);
}

/* ---- lines ---- */

static json_t *line_json(const mn__summary *s, size_t i, bool *failed)
{
    const mn__line *l = &s->line[i];
    struct writer w = {.at = json_object()};
    put_arm(&w, s, l->arm);
    if (l->level != MN__LEVEL_ALL) put_text(&w, "family", l->family);
    if (l->level == MN__LEVEL_TASK) {
        put_text(&w, "task", l->task);
        put_text(&w, "metric", l->metric);
    }
    put_count(&w, "n", l->n);
    put_count(&w, "n_failed", l->n_failed);
    if (l->level == MN__LEVEL_TASK) put_real(&w, "score", l->score);
    put_real(&w, "full_ratio", l->full_ratio);
    if (l->level != MN__LEVEL_TASK) put_count(&w, "n_ratio", l->n_ratio);
    put_real(&w, "nll", l->nll);
    put_real(&w, "nll_byte", l->nll_byte);
    put_interval(&w, "nll_change", &l->nll_change);
    put_count(&w, "n_nll_change", l->nll_change.n_cluster);
    put_interval(&w, "kl", &l->kl);
    put_count(&w, "n_kl", l->kl.n_cluster);
    put_real(&w, "nll_change_token", l->nll_change_token);
    put_real(&w, "kl_token", l->kl_token);
    put_real(&w, "kv_share", l->kv_share);
    put_real(&w, "kv_share_papers", l->kv_share_papers);
    put_real(&w, "kv_bytes", l->kv_bytes);
    put_real(&w, "policy_bytes", l->policy_bytes);
    put_real(&w, "kv_bytes_ratio", l->kv_bytes_ratio);
    put_real(&w, "bytes_ratio", l->bytes_ratio);
    put_real(&w, "peak_kv_bytes", l->peak_kv_bytes);
    put_real(&w, "peak_ratio", l->peak_ratio);
    put_real(&w, "peak_kv_bytes_most", l->peak_kv_bytes_most);
    put_real(&w, "seconds", l->seconds);
    put_real(&w, "prefill_seconds", l->prefill_s);
    put_real(&w, "decode_seconds", l->decode_s);
    put_real(&w, "tokens_per_second", l->token_rate);
    *failed = *failed || w.failed;
    return w.at;
}

static json_t *task_json(const mn__summary *s, size_t i, bool *failed)
{
    const mn__task_line *t = &s->task[i];
    struct writer w = {.at = json_object()};
    put_run(&w, s, t->run);
    put_text(&w, "task", t->task);
    put_text(&w, "family", t->family);
    put_text(&w, "metric", t->metric);
    put_count(&w, "n", t->n);
    put_real(&w, "full", t->full);
    put_real(&w, "without_context", t->without);
    put(&w, "ratio_counts", json_boolean(t->counted));
    put_text(&w, "why_not", t->why);
    *failed = *failed || w.failed;
    return w.at;
}

static json_t *pair_json(const mn__summary *s, size_t i, bool *failed)
{
    const mn__pair_line *p = &s->pair[i];
    struct writer w = {.at = json_object()};
    put_run(&w, s, s->arm[p->a].run);
    put_text(&w, "budget", s->arm[p->a].budget);
    put_text(&w, "a", s->arm[p->a].policy);
    put_text(&w, "b", s->arm[p->b].policy);
    put_text(&w, "measure", mn__measure_name(p->measure));
    put_count(&w, "n", p->difference.n_cluster);
    put_real(&w, "difference", p->difference.mean);
    put(&w, "ci95",
        isfinite(p->difference.lo) ? json_pack("[f,f]", p->difference.lo, p->difference.hi)
                                   : json_null());
    put_real(&w, "p", p->p);
    put_real(&w, "p_holm", p->p_holm);
    *failed = *failed || w.failed;
    return w.at;
}

static json_t *needle_json(const mn__summary *s, size_t i, bool *failed)
{
    const mn__needle_line *n = &s->needle[i];
    struct writer w = {.at = json_object()};
    put_arm(&w, s, n->arm);
    put_text(&w, "task", n->task);
    put_real(&w, "depth", n->depth);
    put_real(&w, "length", n->length);
    put_count(&w, "n", n->n);
    put_real(&w, "score", n->score);
    *failed = *failed || w.failed;
    return w.at;
}

/* [n_layer][n_head]; a layer of which nothing is known is null. */
static json_t *table_json(const mn__kept_line *k, const double *value)
{
    json_t *table = json_array();
    for (size_t i = 0; table && i < k->n_layer; i++) {
        bool known = false;
        json_t *layer = json_array();
        for (size_t h = 0; h < k->n_head; h++) {
            known = known || !isnan(value[i * k->n_head + h]);
            json_array_append_new(layer, mn__report_real(value[i * k->n_head + h]));
        }
        if (!known) {
            json_decref(layer);
            layer = json_null();
        }
        json_array_append_new(table, layer);
    }
    return table;
}

static json_t *kept_json(const mn__summary *s, size_t i, bool *failed)
{
    const mn__kept_line *k = &s->kept[i];
    struct writer w = {.at = json_object()};
    put_arm(&w, s, k->arm);
    put_count(&w, "n", k->n);
    put(&w, "tokens", table_json(k, k->token));
    put(&w, "share", table_json(k, k->share));
    *failed = *failed || w.failed;
    return w.at;
}

/* ---- notes: what a reader should know before believing a table ---- */

struct notes {
    json_t *list;
    bool failed;
};

static void note(struct notes *to, const mn__summary *s, size_t run, const char *what)
{
    struct writer w = {.at = json_object()};
    put_text(&w, "run", s->run[run].id);
    put_text(&w, "evict", s->run[run].about.evict);
    put_text(&w, "note", what);
    if (w.failed || json_array_append_new(to->list, w.at) != 0) to->failed = true;
}

/* Truncation and random choice belong into every table: is either missing at this arm's budget,
 * whose first arm it is? */
static void note_baselines(struct notes *to, const mn__summary *s, size_t arm)
{
    static const char *const wanted[] = {"streaming", "random"};
    const mn__summary_arm *a = &s->arm[arm];
    bool found[2] = {false, false};
    char text[160];
    if (!*a->budget) return;
    for (size_t i = 0; i < s->n_arm; i++) {
        const mn__summary_arm *b = &s->arm[i];
        if (b->run != a->run || strcmp(b->budget, a->budget)) continue;
        if (i < arm) return;
        for (int k = 0; k < 2; k++)
            found[k] = found[k] || !strncmp(b->policy, wanted[k], strlen(wanted[k]));
    }
    for (int k = 0; k < 2; k++) {
        if (found[k]) continue;
        snprintf(text, sizeof text, "At %.40s there is no %s to compare with.", a->budget,
                 k ? "random choice (random)" : "truncation (streaming)");
        note(to, s, a->run, text);
    }
}

static void note_run(struct notes *to, const mn__summary *s, size_t run)
{
    const mn__summary_run *r = &s->run[run];
    bool full = false, uneven = false;
    char text[160];
    for (size_t i = 0; i < s->n_line; i++) {
        const mn__line *l = &s->line[i];
        if (l->level != MN__LEVEL_ALL || s->arm[l->arm].run != run) continue;
        full = full || !strcmp(s->arm[l->arm].policy, "full");
        if (strcmp(s->arm[l->arm].policy, "empty")) /* a prompt may be all context */
            uneven = uneven || l->n < r->n_prompt;
    }
    if (!full) note(to, s, run, "There is no full cache to compare with.");
    if (r->n_failed > 0) {
        snprintf(text, sizeof text, "%zu of %zu records failed and are in no mean.", r->n_failed,
                 r->n_record);
        note(to, s, run, text);
    }
    if (r->n_cut > 0) {
        snprintf(
            text, sizeof text,
            "%zu of %zu prompts lost their middle: they are longer than a context of %u tokens "
            "allows.",
            r->n_cut, r->n_prompt, r->about.n_ctx);
        note(to, s, run, text);
    }
    if (uneven)
        note(to, s, run,
             "Not every policy has every prompt: means stand over different prompts, changes and "
             "pairs over those that both have.");
}

static void note_left_out(struct notes *to, const mn__summary *s, const mn__left_line *l)
{
    char text[800], at[64] = "";
    if (isfinite(l->length)) snprintf(at, sizeof at, " of %.0f tokens", l->length);
    snprintf(text, sizeof text, "%zu %s of %.80s%s left out: %.600s.", l->n,
             l->n == 1 ? "prompt" : "prompts", l->task, at, l->why);
    note(to, s, l->run, text);
}

static json_t *notes_json(const mn__summary *s, bool *failed)
{
    struct notes to = {.list = json_array()};
    for (size_t run = 0; run < s->n_run; run++) note_run(&to, s, run);
    for (size_t i = 0; i < s->n_left; i++) note_left_out(&to, s, &s->left[i]);
    for (size_t i = 0; i < s->n_arm; i++) note_baselines(&to, s, i);
    *failed = *failed || to.failed;
    return to.list;
}

/* ---- the document ---- */

typedef json_t *maker(const mn__summary *s, size_t i, bool *failed);

static json_t *one_run(const mn__summary *s, size_t i, bool *failed)
{
    return run_json(&s->run[i], failed);
}

/* Items [0, n) that are of a level (-1: all) as a list. */
static json_t *list(const mn__summary *s, size_t n, maker *make, int level, bool *failed)
{
    json_t *out = json_array();
    for (size_t i = 0; i < n; i++) {
        if (level >= 0 && s->line[i].level != (mn__level)level) continue;
        if (json_array_append_new(out, make(s, i, failed)) != 0) *failed = true;
    }
    return out;
}

json_t *mn__report_json(const mn__summary *s)
{
    struct writer w = {.at = json_object()};
    bool failed = false;
    put(&w, "version", json_integer(1));
    put(&w, "runs", list(s, s->n_run, one_run, -1, &failed));
    put(&w, "summary", list(s, s->n_line, line_json, MN__LEVEL_ALL, &failed));
    put(&w, "families", list(s, s->n_line, line_json, MN__LEVEL_FAMILY, &failed));
    put(&w, "rows", list(s, s->n_line, line_json, MN__LEVEL_TASK, &failed));
    put(&w, "pairs", list(s, s->n_pair, pair_json, -1, &failed));
    put(&w, "tasks", list(s, s->n_task, task_json, -1, &failed));
    put(&w, "needles", list(s, s->n_needle, needle_json, -1, &failed));
    put(&w, "kept", list(s, s->n_kept, kept_json, -1, &failed));
    put(&w, "notes", notes_json(s, &failed));
    if (!w.failed && !failed) return w.at;
    json_decref(w.at);
    return NULL;
}
