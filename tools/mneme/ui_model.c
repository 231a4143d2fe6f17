/* ui_model.c: options to models and sessions. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "find_namm.h"
#include "pull.h"
#include "ui.h"

mn_status ui_open_model(const args *a, bool vocab_only, mn_model **out, mn_diag *diag)
{
    static const char *const rules[] = {"model", "none", "linear", "ntk", "yarn", NULL},
                             *const products[] = {"auto", "wide", NULL};
    mn_status st = MN_OK;
    mn_model_params p;
    char path[PATH_MAX];
    double factor, base;
    int rule, product;
    size_t limit;
    const char *name = args_has(a, OPT_MODEL) ? a->value[OPT_MODEL] : "smollm2";
    mn_model_params_default(&p);
    MN_TRY(args_choice(a, OPT_ROPE_SCALING, rules, 0, &rule, diag));
    MN_TRY(args_choice(a, OPT_PRODUCT, products, MN_PRODUCT_AUTO, &product, diag));
    MN_TRY(args_float(a, OPT_ROPE_FACTOR, 0, 1, 1e4, &factor, diag));
    MN_TRY(args_float(a, OPT_ROPE_BASE, 0, 1, 1e12, &base, diag));
    if (args_has(a, OPT_MEM_LIMIT)) {
        MN_TRY(ui_bytes(a->value[OPT_MEM_LIMIT], "mem-limit", &limit, diag));
        mn_mem_set_limit(limit);
    }
    MN_TRY(pull_resolve(name, args_has(a, OPT_OFFLINE), args_has(a, OPT_QUIET), path, sizeof path,
                        diag));
    p.cpu = args_has(a, OPT_CPU) ? a->value[OPT_CPU] : "auto";
    p.rope_scaling = (mn_rope_scaling)rule;
    p.rope_factor = (float)factor;
    p.rope_base = (float)base;
    p.vocab_only = vocab_only;
    p.pack = !args_has(a, OPT_NO_PACK);
    p.product = (mn_product)product;
    MN_TRY(mn_model_open(out, path, &p, diag));
done:
    return st;
}

static mn_status read_pins(const args *a, mn_session_params *out, mn_diag *diag)
{
    enum { PIN_MAX = 256 };
    static mn_pin pin[PIN_MAX];
    if (a->n_pin > PIN_MAX)
        return mn__fail(diag, MN_EUSAGE, "--pin: at most %d spans, %zu given", PIN_MAX, a->n_pin);
    for (size_t i = 0; i < a->n_pin; i++) {
        char *end = NULL, *end2 = NULL;
        errno = 0;
        long long b = strtoll(a->pin[i], &end, 10),
                  e = *end == ':' ? strtoll(end + 1, &end2, 10) : 0;
        if (end == a->pin[i] || *end != ':' || end2 == end + 1 || *end2 || errno || b < 0 || e <= b)
            return mn__fail(diag, MN_EUSAGE, "--pin: A:B with 0 <= A < B wanted, '%s' found",
                            a->pin[i]);
        pin[i] = (mn_pin){b, e};
    }
    out->pin = pin;
    out->n_pin = a->n_pin;
    return MN_OK;
}

mn_status ui_session_params(const args *a, mn_session_params *out, mn_diag *diag)
{
    static const char *const kv[] = {"bf16", "f32", "q8", NULL}, *const positions[] = {
                                                                     "auto", "absolute", "compact",
                                                                     NULL};
    mn_status st = MN_OK;
    size_t threads, seed;
    int kv_type, pos;
    mn_session_params_default(out);
    if (args_has(a, OPT_POLICY)) out->policy = a->value[OPT_POLICY];
    if (args_has(a, OPT_BUDGET)) out->budget = a->value[OPT_BUDGET];
    MN_TRY(args_size(a, OPT_CTX, 0, 1, (size_t)1 << 27, &out->n_ctx, diag));
    MN_TRY(args_size(a, OPT_CHUNK, out->chunk, 1, 8192, &out->chunk, diag));
    MN_TRY(args_size(a, OPT_THREADS, 0, 1, 1024, &threads, diag));
    MN_TRY(args_size(a, OPT_SEED, 0, 0, SIZE_MAX - 1, &seed, diag));
    MN_TRY(args_choice(a, OPT_KV_TYPE, kv, MN_KV_BF16, &kv_type, diag));
    MN_TRY(args_choice(a, OPT_POSITIONS, positions, MN_POSITIONS_AUTO, &pos, diag));
    MN_TRY(read_pins(a, out, diag));
    out->n_thread = (int)threads;
    out->seed = seed;
    out->kv_type = (mn_kv_type)kv_type;
    out->positions = (mn_positions)pos;
    MN_TRY(mn_policy_check(out->policy, diag));
    if (!strcmp(out->policy, "full") && out->budget && strchr(out->budget, '%'))
        ui_note(a, "policy full keeps everything: --budget %s has no effect", out->budget);
done:
    return st;
}

mn_status ui_find_namm(const args *a, const mn_model *m, mn_session_params *p, char **room,
                       mn_diag *diag)
{
    bool tells = true;
    mn_status st = find_namm(a, m, p->policy, &tells, room, diag);
    if (st != MN_OK) return st;
    p->policy = *room;
    if (args_has(a, OPT_BUDGET) || !scores_by_namm(p->policy, strlen(p->policy))) return MN_OK;
    bool needs;
    st = mn_policy_needs_budget(p->policy, &needs, diag);
    if (st != MN_OK || !needs) return st;
    p->budget = "25%"; /* what those that are shipped were fitted and evolved for */
    ui_note(a, "namm: --budget %s, as none was given", p->budget);
    return MN_OK;
}

static mn_status read_grammar(const char *path, char **out, mn_diag *diag)
{
    enum { GRAMMAR_MAX = 1 << 20 };
    FILE *f = fopen(path, "rb");
    if (!f) return mn__fail(diag, MN_EINPUT, "%s: %s", path, strerror(errno));
    char *text = *out = calloc(1, GRAMMAR_MAX);
    size_t n = text ? fread(text, 1, GRAMMAR_MAX - 1, f) : 0;
    int reason = ferror(f) ? errno : 0;
    bool whole = fgetc(f) == EOF && (!text || memchr(text, 0, n) == NULL);
    fclose(f);
    if (!text) return mn__fail(diag, MN_ENOMEM, "%s: no memory to read it", path);
    if (reason) return mn__fail(diag, MN_EINPUT, "%s: %s", path, strerror(reason));
    return whole ? MN_OK
                 : mn__fail(diag, MN_EINPUT, "%s: a grammar is text of less than 1 MiB", path);
}

mn_status ui_sampler_params(const args *a, mn_sampler_params *out, char **grammar, mn_diag *diag)
{
    mn_status st = MN_OK;
    double temp, top_p, min_p, repeat, dry;
    size_t top_k, seed;
    mn_sampler_params_default(out);
    MN_TRY(args_float(a, OPT_TEMPERATURE, 0, 0, 100, &temp, diag));
    MN_TRY(args_size(a, OPT_TOP_K, (size_t)out->top_k, 0, INT_MAX, &top_k, diag));
    MN_TRY(args_float(a, OPT_TOP_P, out->top_p, 0, 1, &top_p, diag));
    MN_TRY(args_float(a, OPT_MIN_P, out->min_p, 0, 1, &min_p, diag));
    MN_TRY(args_float(a, OPT_REPEAT_PENALTY, 1, 0.01, 100, &repeat, diag));
    MN_TRY(args_float(a, OPT_DRY, 0, 0, 1000, &dry, diag));
    MN_TRY(args_size(a, OPT_SEED, 0, 0, SIZE_MAX - 1, &seed, diag));
    out->temperature = (float)temp;
    out->top_k = (int32_t)top_k;
    out->top_p = (float)top_p;
    out->min_p = (float)min_p;
    out->repeat_penalty = (float)repeat;
    out->dry_multiplier = (float)dry;
    out->seed = seed;
    if (args_has(a, OPT_GRAMMAR)) {
        MN_TRY(read_grammar(a->value[OPT_GRAMMAR], grammar, diag));
        out->grammar = *grammar;
    }
done:
    return st;
}
