/* report_records.c: every prompt and what each policy made of it, for the page to leaf through.
 * Written while the store is read: nothing is held. One list a prompt,
 *   [run, task, id, file, language, tokens, hash, gold, facts, records]
 * and one a record: [arm, seed, status (0: ok), score, nll, kl, tokens of the gold answer, tokens
 * written, seconds of reading, of writing, output]. Runs and arms are numbers in the summary. */
#include "eval/report.h"

#include <math.h>
#include <string.h>

#include "base/diag.h"
#include "base/page.h"

enum { MAX_OUTPUT = 6000, MAX_GOLD = 2000 }; /* bytes that the page shows */

struct pages {
    FILE *to;
    const mn__summary *s;
    size_t run, first_arm, n_arm;
    int64_t prompt_key; /* of the prompt that is open; 0: none */
    bool any;           /* prompt was written */
    mn_diag *diag;
};

static mn_status put(struct pages *p, json_t *value)
{
    bool done = value && mn__page_put_json(p->to, value);
    json_decref(value);
    return done ? MN_OK : mn__fail(p->diag, MN_ENOMEM, "no memory for a prompt of the report");
}

static json_t *text(const char *value, size_t most)
{
    return value ? mn__report_text(value, most) : json_null();
}

/* A list of answers whose texts are kept short. */
static json_t *gold_of(const char *gold)
{
    json_t *list = json_loads(gold, 0, NULL), *out = json_array(), *v;
    size_t i;
    json_array_foreach(list, i, v)
    {
        if (i == 16) break;
        json_array_append_new(out, json_is_string(v) ? text(json_string_value(v), MAX_GOLD)
                                                     : json_incref(v));
    }
    if (!json_is_array(list)) json_array_append_new(out, text(gold, MAX_GOLD));
    json_decref(list);
    return out;
}

static json_t *facts_of(const char *facts)
{
    json_t *out = strlen(facts) <= MAX_OUTPUT ? json_loads(facts, 0, NULL) : NULL;
    return out ? out : text(facts, MAX_GOLD);
}

static mn_status open_prompt(struct pages *p, int64_t key, const mn__store_prompt *prompt)
{
    char hash[20];
    if (key == p->prompt_key) {
        fputc(',', p->to);
        return MN_OK;
    }
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)prompt->hash);
    if (p->prompt_key) fputs("]]", p->to);
    fputs(p->any ? ",\n" : "\n", p->to);
    p->any = true;
    p->prompt_key = key;
    const struct {
        json_t *value;
    } part[] = {{json_integer((json_int_t)p->run)},
                {text(prompt->task, 0)},
                {text(prompt->source_id, 0)},
                {text(prompt->source_file, 0)},
                {text(prompt->language, 0)},
                {json_integer(prompt->n_token)},
                {json_string(hash)},
                {gold_of(prompt->gold)},
                {facts_of(prompt->facts)}};
    mn_status st = MN_OK;
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        fputc(i ? ',' : '[', p->to);
        mn_status one = put(p, part[i].value);
        if (one != MN_OK) st = one;
    }
    fputs(",[", p->to);
    return st;
}

static size_t find_arm(const struct pages *p, const mn__store_record *r)
{
    for (size_t i = p->first_arm; i < p->first_arm + p->n_arm; i++)
        if (!strcmp(p->s->arm[i].policy, r->policy) && !strcmp(p->s->arm[i].budget, r->budget))
            return i;
    return p->first_arm;
}

static double mean_of(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; x && i < n; i++) sum += (double)x[i];
    return x && n > 0 ? sum / (double)n : NAN;
}

static mn_status show_record(void *ctx, int64_t key, const mn__store_prompt *prompt,
                             const mn__store_record *r)
{
    struct pages *p = ctx;
    char seed[24];
    if (!strncmp(r->status, MN__STORE_LEFT_OUT, strlen(MN__STORE_LEFT_OUT))) return MN_OK;
    mn_status st = open_prompt(p, key, prompt);
    if (st != MN_OK) return st;
    if (ferror(p->to)) return mn__fail(p->diag, MN_EIO, "the page cannot be written");
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)r->seed);
    const bool ok = !strcmp(r->status, "ok");
    const double nll = mean_of(r->nll, r->n_gold), kl = mean_of(r->kl, r->n_gold);
    return put(p, json_pack("[I,s,o,o,o,o,I,I,o,o,o]", (json_int_t)find_arm(p, r), seed,
                            ok ? json_integer(0) : text(r->status, MAX_GOLD),
                            mn__report_real(r->score), mn__report_real(nll), mn__report_real(kl),
                            (json_int_t)r->n_gold, (json_int_t)r->n_generated,
                            mn__report_real(r->prefill_s), mn__report_real(r->decode_s),
                            text(r->output, MAX_OUTPUT)));
}

struct search {
    const char *id;
    int64_t key;
};

static mn_status match_run(void *ctx, int64_t key, const mn__store_run *run)
{
    struct search *f = ctx;
    char id[17];
    mn__store_run_id(id, run);
    if (!strcmp(id, f->id)) f->key = key;
    return MN_OK;
}

mn_status mn__report_records(FILE *to, const mn__summary *s, mn__store *store, mn_diag *diag)
{
    mn_status st = MN_OK;
    struct pages p = {.to = to, .s = s, .diag = diag};
    fputc('[', to);
    for (p.run = 0; p.run < s->n_run; p.run++) {
        struct search found = {.id = s->run[p.run].id, .key = -1};
        MN_TRY(mn__store_each_run(store, match_run, &found, diag));
        p.first_arm += p.n_arm;
        p.n_arm = 0;
        while (p.first_arm + p.n_arm < s->n_arm && s->arm[p.first_arm + p.n_arm].run == p.run)
            p.n_arm++;
        p.prompt_key = 0;
        MN_TRY(mn__store_each_record(store, &(mn__store_query){.run = found.key}, show_record, &p,
                                     diag));
        if (p.prompt_key) fputs("]]", to);
    }
    fputs("\n]", to);
done:
    return st;
}
