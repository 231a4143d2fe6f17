/* grammar_check.c: what holds between the rules of a grammar that was read: all are defined, one is
 * the root, and none comes back to itself before a character is written, which would never end. */
#include "text/grammar.h"

#include <assert.h>
#include <string.h>
#include "base/diag.h"
#include "base/heap.h"
#include "text/grammar_internal.h"
#include "text/utf8.h"

#define SHOWN   64
#define NAME(r) (int)((r)->n_name < SHOWN ? (r)->n_name : SHOWN), (r)->name

static mn_status check_defined(mn__grammar *g, mn_diag *diag)
{
    for (size_t i = 0; i < g->n_rule; i++)
        if (!g->rule[i].is_defined)
            return mn__fail(diag, MN_EINPUT, "grammar, line %zu: no rule is called '%.*s'",
                            g->rule[i].line, NAME(&g->rule[i]));
    if (mn__grammar_named(g, "root", strlen("root"), true) == NULL)
        return mn__fail(diag, MN_EINPUT, "grammar: a rule called 'root' wanted, none found");
    return MN_OK;
}

static bool item_can_be_empty(const mn__grammar *g, const mn__grammar_item *x)
{
    return x->is_optional || (x->rule >= 0 && g->rule[x->rule].can_be_empty);
}

/* By what is known of the other rules so far. */
static bool rule_can_be_empty(const mn__grammar *g, const mn__grammar_rule *r)
{
    bool is_empty = true;
    for (int32_t i = r->first; i != MN__ITEM_NONE; i = g->item[i].next) {
        if (g->item[i].rule != MN__ITEM_OR) {
            is_empty = is_empty && item_can_be_empty(g, &g->item[i]);
            continue;
        }
        if (is_empty) return true;
        is_empty = true;
    }
    return is_empty;
}

/* Mostly two rounds: a rule is mostly defined after those that use it. */
static void find_empty(mn__grammar *g)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = g->n_rule; i-- > 0;) {
            mn__grammar_rule *r = &g->rule[i];
            if (r->can_be_empty || !rule_can_be_empty(g, r)) continue;
            r->can_be_empty = changed = true;
        }
    }
}

enum { UNSEEN, OPEN, DONE };

/* The walk over what a rule may begin with: one rule on the way, and the item it has come to. */
struct visit {
    int32_t rule, item;
};

/* The next rule that `v` may begin with, MN__ITEM_NONE when there are no more. */
static int32_t next_beginning(const mn__grammar *g, struct visit *v)
{
    while (v->item != MN__ITEM_NONE) {
        const mn__grammar_item *x = &g->item[v->item];
        v->item = x->next;
        if (x->rule != MN__ITEM_OR && !item_can_be_empty(g, x)) /* the rest comes later */
            while (v->item != MN__ITEM_NONE && g->item[v->item].rule != MN__ITEM_OR)
                v->item = g->item[v->item].next;
        if (x->rule >= 0) return x->rule;
    }
    return MN__ITEM_NONE;
}

static mn_status check_beginnings(const mn__grammar *g, struct visit *way, uint8_t *state,
                                  mn_diag *diag)
{
    for (size_t i = 0; i < g->n_rule; i++) {
        size_t n = 1;
        if (state[i] != UNSEEN) continue;
        state[i] = OPEN;
        way[0] = (struct visit){(int32_t)i, g->rule[i].first};
        while (n > 0) {
            const int32_t to = next_beginning(g, &way[n - 1]);
            if (to == MN__ITEM_NONE) {
                state[way[--n].rule] = DONE;
            } else if (state[to] == OPEN) {
                return mn__fail(diag, MN_EINPUT,
                                "grammar, line %zu: rule '%.*s' comes back to itself before it "
                                "writes a character (left recursion)",
                                g->rule[to].line, NAME(&g->rule[to]));
            } else if (state[to] == UNSEEN) {
                state[to] = OPEN;
                way[n++] = (struct visit){to, g->rule[to].first};
            }
        }
    }
    return MN_OK;
}

static mn_status check_recursion(const mn__grammar *g, mn_diag *diag)
{
    struct visit *way = mn__alloc_array(MN_MEM_OTHER, g->n_rule, sizeof *way);
    uint8_t *state = mn__alloc_zero(MN_MEM_OTHER, g->n_rule);
    mn_status st = way != NULL && state != NULL
                       ? check_beginnings(g, way, state, diag)
                       : mn__fail(diag, MN_ENOMEM, "no memory to check a grammar");
    mn__free(way);
    mn__free(state);
    return st;
}

static mn_status grammar_make(mn__grammar *g, size_t n_bytes, mn_diag *diag)
{
    size_t n_slot = 16;
    while (n_slot < 2 * n_bytes) n_slot *= 2;
    g->mask = n_slot - 1;
    g->rule = mn__alloc_array(MN_MEM_OTHER, n_bytes + 1, sizeof *g->rule);
    g->item = mn__alloc_array(MN_MEM_OTHER, n_bytes + 1, sizeof *g->item);
    g->slot = mn__alloc_zero(MN_MEM_OTHER, n_slot * sizeof *g->slot);
    if (g->rule == NULL || g->item == NULL || g->slot == NULL)
        return mn__fail(diag, MN_ENOMEM, "no memory to check a grammar of %zu bytes", n_bytes);
    return MN_OK;
}

mn_status mn__grammar_check(const char *text, const mn__vocab *v, mn_diag *diag)
{
    mn_status st;
    mn__grammar g = {0};
    const size_t n_bytes = strlen(text);
    assert(n_bytes <= MN__GRAMMAR_MAX_BYTES);
    if (mn__utf8_count_broken(text, n_bytes) > 0)
        return mn__fail(diag, MN_EINPUT, "grammar: UTF-8 wanted, other bytes found");
    MN_TRY(grammar_make(&g, n_bytes, diag));
    MN_TRY(mn__grammar_read(&g, text, v, diag));
    MN_TRY(check_defined(&g, diag));
    find_empty(&g);
    MN_TRY(check_recursion(&g, diag));
done:
    mn__free(g.rule);
    mn__free(g.item);
    mn__free(g.slot);
    return st;
}
