/* golden_budget.c: kind `budget`: how the layers of a pyramid share what there is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden/golden.h"
#include "policy/policy_kind.h"

enum { LAYER_MAX = 512 };

static size_t low(const mn__quota *q)
{
    return q->protect;
}
static size_t high(const mn__quota *q)
{
    return q->n;
}

static bool one_case(golden *g, const json_t *c)
{
    mn__quota q[LAYER_MAX] = {{0}};
    size_t layers, tokens, window, mean;
    const char *rule;
    mn__policy p = {0};
    if (!golden_fields(g, c, "a case", "rule layers tokens window beta mean kept") ||
        !golden_text(g, c, "rule", &rule) || !golden_size(g, c, "layers", 2, LAYER_MAX, &layers) ||
        !golden_size(g, c, "tokens", 1, 1 << 30, &tokens) ||
        !golden_size(g, c, "window", 0, tokens, &window) || !golden_real(g, c, "beta", &p.beta) ||
        !golden_size(g, c, "mean", 1, tokens, &mean))
        return false;
    p.pyramid_kvpress = strcmp(rule, "kvpress") == 0;
    if (!p.pyramid_kvpress && strcmp(rule, "paper") != 0)
        return golden_fail(g, "`rule`: paper or kvpress wanted, `%s` found", rule);
    double *kept = golden_numbers(g, c, "kept", (const size_t[]){layers, 0}, false);
    if (!kept) return false;
    for (size_t l = 0; l < layers; l++)
        q[l] = (mn__quota){
            .layer = (uint32_t)l,
            .n = tokens,
            .want = mn__pyramid_layer(&p, l, layers, (double)tokens, (double)window, (double)mean)};
    mn__apportion(q, layers, layers * mean, low, high);
    bool ok = true;
    for (size_t l = 0; l < layers && ok; l++) {
        char what[64];
        snprintf(what, sizeof what, "%s pyramid, mean %zu: layer %zu", rule, mean, l);
        ok = golden_near(g, what, kept[l], (double)q[l].keep, 0);
    }
    free(kept);
    return ok;
}

bool golden_budget(golden *g)
{
    const json_t *cases = json_object_get(g->root, "cases");
    if (!golden_fields(g, g->root, "", "kind case oracle seed cases")) return false;
    if (!json_array_size(cases)) return golden_fail(g, "`cases`: a list is wanted");
    for (size_t i = 0; i < json_array_size(cases); i++)
        if (!one_case(g, json_array_get(cases, i))) return false;
    return true;
}
