/* compare_file.c: compare.json (compare.h). */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/diag.h"
#include "base/file.h"
#include "base/heap.h"
#include "evolve/compare.h"
#include "evolve/run_state.h"

mn_status mn__compare_init(mn__compare *c, mn_diag *diag)
{
    const size_t n_row = c->p->n_side * c->run->n_prompt;
    c->item = mn__alloc_zero(MN_MEM_OTHER, c->run->n_prompt * sizeof *c->item);
    c->left = mn__alloc_zero(MN_MEM_OTHER, n_row * sizeof *c->left);
    c->rating = mn__alloc_array(MN_MEM_OTHER, n_row, c->p->n_candidate * sizeof *c->rating);
    if (c->item && c->left && c->rating) return MN_OK;
    return mn__fail(diag, MN_ENOMEM, "no memory for %zu candidates on %zu prompts",
                    c->p->n_candidate, c->run->n_prompt);
}

void mn__compare_fini(mn__compare *c)
{
    mn__free(c->item);
    mn__free(c->left);
    mn__free(c->rating);
}

static mn__rating *rating_of(const mn__compare *c, size_t side, size_t prompt)
{
    return c->rating + (side * c->run->n_prompt + prompt) * c->p->n_candidate;
}

/* ---- writing ---- */

static json_t *real(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *text(const char *x)
{
    json_t *s = json_string(x);
    return s ? s : json_string("(not UTF-8)");
}

/* What ratings follow from beside the options of all runs. */
static json_t *settings_json(const mn__compare *c)
{
    const mn_optimizer_params *s = &c->run->search;
    json_t *sides = json_array();
    char *tasks = mn__stage_tasks(c->run->stage, 0);
    for (size_t i = 0; i < c->p->n_side; i++)
        json_array_append_new(sides, json_pack("{s:s,s:s}", "fidelity", c->p->side[i].fidelity,
                                               "loss", mn_evolve_loss_name(c->p->side[i].loss)));
    json_t *doc = json_pack(
        "{s:o,s:I,s:I,s:s,s:I,s:f,s:f,s:s,s:o}", "tasks", text(tasks ? tasks : ""), "candidates",
        (json_int_t)c->p->n_candidate, "prompts", (json_int_t)c->run->n_prompt, "statistic",
        mn_evolve_statistic_name(c->run->statistic), "seed", (json_int_t)s->seed, "sigma", s->sigma,
        "spread", s->spread, "covariance", mn_covariance_name(s->covariance), "sides", sides);
    if (doc && c->run->target_share > 0)
        json_object_set_new(doc, "target_share", json_real(c->run->target_share));
    mn__free(tasks);
    return doc;
}

static json_t *options_json(const mn__compare *c)
{
    return json_loads(c->run->options, 0, NULL);
}

static json_t *numbers(const double *x, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) json_array_append_new(list, real(x[i]));
    return list;
}

/* Rows of prompts that are done: losses, or shares kept. */
static json_t *ratings_json(const mn__compare *c, size_t side, bool is_kept)
{
    json_t *rows = json_array();
    for (size_t k = 0; k < c->n_done[side]; k++) {
        const mn__rating *r = rating_of(c, side, k);
        json_t *row = json_array();
        for (size_t i = 0; i < c->p->n_candidate; i++)
            json_array_append_new(row, real(is_kept ? r[i].kept_share : r[i].loss));
        json_array_append_new(rows, row);
    }
    return rows;
}

static json_t *side_json(const mn__compare *c, size_t i)
{
    json_t *left = json_array();
    for (size_t k = 0; k < c->n_done[i]; k++)
        json_array_append_new(left, json_boolean(c->left[i * c->run->n_prompt + k]));
    return json_pack("{s:s,s:s,s:f,s:f,s:o,s:o,s:o}", "fidelity", c->p->side[i].fidelity, "loss",
                     mn_evolve_loss_name(c->p->side[i].loss), "begin_seconds", c->begin_s[i],
                     "rate_seconds", c->rate_s[i], "left_out", left, "prompt_losses",
                     ratings_json(c, i, false), "prompt_kept", ratings_json(c, i, true));
}

static void add_result(json_t *side, const mn_evolve_side_result *r, const double *loss,
                       const double *kept, size_t n)
{
    json_object_set_new(side, "best", real(r->best));
    json_object_set_new(side, "median", real(r->median));
    json_object_set_new(side, "worst", real(r->worst));
    json_object_set_new(side, "kept_share", real(r->kept_share));
    json_object_set_new(side, "failed", json_integer((json_int_t)r->n_failed));
    json_object_set_new(side, "losses", numbers(loss, n));
    json_object_set_new(side, "kept", numbers(kept, n));
}

static json_t *pairs_json(const mn_evolve_comparison *result)
{
    json_t *list = json_array();
    for (size_t i = 0; i < result->n_pair; i++) {
        const mn_evolve_pair *p = &result->pair[i];
        json_array_append_new(list, json_pack("{s:I,s:I,s:o,s:o,s:o}", "a", (json_int_t)p->a, "b",
                                              (json_int_t)p->b, "rank_correlation", real(p->rho),
                                              "low", real(p->lo), "high", real(p->hi)));
    }
    return list;
}

static json_t *document(const mn__compare *c, const mn_evolve_comparison *result,
                        const double *loss, const double *kept)
{
    const size_t n = c->p->n_candidate;
    json_t *prompts = json_array(), *sides = json_array();
    for (size_t k = 0; c->n_item && k < c->run->n_prompt; k++)
        json_array_append_new(prompts, json_integer((json_int_t)c->item[k]));
    for (size_t i = 0; i < c->p->n_side; i++) {
        json_t *side = side_json(c, i);
        if (result && side) add_result(side, &result->side[i], loss + i * n, kept + i * n, n);
        json_array_append_new(sides, side);
    }
    char rows[17];
    snprintf(rows, sizeof rows, "%016llx", (unsigned long long)c->rows);
    json_t *doc = json_pack("{s:i,s:s,s:o,s:o,s:o,s:o,s:i,s:i,s:o,s:o,s:I,s:s,s:o,s:o,s:b}",
                            "version", 1, "mneme", mn_version(), "commit", text(c->run->commit),
                            "compiler", text(c->run->compiler), "cpu_level", text(c->run->cpu),
                            "cpu", text(mn__cpu_model()), "threads", c->run->n_thread, "ranks",
                            c->run->ranks.n, "settings", settings_json(c), "options",
                            options_json(c), "prompts_there", (json_int_t)c->n_item, "rows", rows,
                            "prompts", prompts, "sides", sides, "done", result != NULL);
    if (doc && result) {
        json_object_set_new(doc, "prompts_that_count", json_integer((json_int_t)result->n_prompt));
        json_object_set_new(doc, "pairs", pairs_json(result));
    }
    return doc;
}

mn_status mn__compare_write(const mn__compare *c, const mn_evolve_comparison *result,
                            const double *loss, const double *kept, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__atomic file = {0};
    json_t *doc = document(c, result, loss, kept);
    if (!doc) return mn__fail(diag, MN_ENOMEM, "%s: no memory to write it", c->path);
    MN_TRY(mn__atomic_open(&file, c->path, diag));
    if (json_dumpf(doc, file.file, JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(17)) &&
        !ferror(file.file))
        MN_TRY(mn__fail(diag, MN_ENOMEM, "%s: no memory to write it", c->path));
    fputc('\n', file.file);
    MN_TRY(mn__atomic_commit(&file, diag)); /* also tells of writes that failed */
done:
    mn__atomic_abort(&file);
    json_decref(doc);
    return st;
}

/* ---- reading ---- */

static bool read_real(const json_t *x, double *out)
{
    *out = json_is_number(x) ? json_number_value(x) : NAN;
    return json_is_number(x) || json_is_null(x);
}

static bool read_row(const json_t *loss, const json_t *kept, mn__rating *out, size_t n)
{
    if (json_array_size(loss) != n || json_array_size(kept) != n) return false;
    for (size_t i = 0; i < n; i++)
        if (!read_real(json_array_get(loss, i), &out[i].loss) ||
            !read_real(json_array_get(kept, i), &out[i].kept_share))
            return false;
    return true;
}

static bool read_side(mn__compare *c, size_t i, const json_t *side)
{
    const json_t *left = json_object_get(side, "left_out"),
                 *loss = json_object_get(side, "prompt_losses"),
                 *kept = json_object_get(side, "prompt_kept");
    const size_t n = json_array_size(loss);
    if (!json_is_array(loss) || n > c->run->n_prompt || json_array_size(kept) != n ||
        json_array_size(left) != n || (n && !c->n_item))
        return false;
    for (size_t k = 0; k < n; k++) {
        c->left[i * c->run->n_prompt + k] = json_is_true(json_array_get(left, k));
        if (!read_row(json_array_get(loss, k), json_array_get(kept, k), rating_of(c, i, k),
                      c->p->n_candidate))
            return false;
    }
    c->n_done[i] = n;
    return read_real(json_object_get(side, "begin_seconds"), &c->begin_s[i]) &&
           read_real(json_object_get(side, "rate_seconds"), &c->rate_s[i]);
}

static bool read_document(mn__compare *c, const json_t *doc)
{
    const json_t *there = json_object_get(doc, "prompts_there"),
                 *rows = json_object_get(doc, "rows"), *prompts = json_object_get(doc, "prompts"),
                 *sides = json_object_get(doc, "sides");
    if (!json_is_integer(there) || json_integer_value(there) < 0 ||
        json_array_size(sides) != c->p->n_side)
        return false;
    c->n_item = (uint64_t)json_integer_value(there);
    c->rows = json_is_string(rows) ? strtoull(json_string_value(rows), NULL, 16) : 0;
    if (json_array_size(prompts) != (c->n_item ? c->run->n_prompt : 0)) return false;
    for (size_t k = 0; k < json_array_size(prompts); k++) {
        const json_t *x = json_array_get(prompts, k);
        if (!json_is_integer(x) || json_integer_value(x) < 0 ||
            json_integer_value(x) >= json_integer_value(there))
            return false;
        c->item[k] = (uint64_t)json_integer_value(x);
    }
    for (size_t i = 0; i < c->p->n_side; i++)
        if (!read_side(c, i, json_array_get(sides, i))) return false;
    return true;
}

mn_status mn__compare_read(mn__compare *c, mn_diag *diag)
{
    mn_status st;
    json_error_t why;
    if (access(c->path, F_OK) && errno == ENOENT) return MN_OK;
    json_t *doc = json_load_file(c->path, 0, &why), *settings = settings_json(c),
           *options = options_json(c);
    if (!doc)
        MN_TRY(mn__fail(diag, MN_EINPUT, "%s: not a whole comparison: %s", c->path, why.text));
    if (!settings || !options) MN_TRY(mn__fail(diag, MN_ENOMEM, "%s: no memory", c->path));
    MN_TRY(mn__run_same(c->path, settings, json_object_get(doc, "settings"), c->run->option_name,
                        diag));
    MN_TRY(
        mn__run_same(c->path, options, json_object_get(doc, "options"), c->run->option_name, diag));
    if (!read_document(c, doc))
        MN_TRY(mn__fail(diag, MN_EINPUT, "%s: ratings of %zu candidates on %zu prompts wanted",
                        c->path, c->p->n_candidate, c->run->n_prompt));
done:
    json_decref(doc);
    json_decref(settings);
    json_decref(options);
    return st;
}
