/* row_look.c: rows that tell candidates apart (row_look.h). */
#include "evolve/row_look.h"

#include <string.h>

#include "base/diag.h"
#include "base/file.h"
#include "eval/ask.h"

/* With one token there is no step behind the cut, with none nothing to be likely. */
static bool is_mute(const mn__row_look *l, const mn__ask *ask)
{
    const mn__reading *r = &ask->reading[ask->gold_reading];
    const size_t cut = l->evict_context && r->n_context ? r->n_context : r->n;
    const bool forgets_before = cut < r->n || (l->chunk && r->n > l->chunk);
    const size_t n = ask->gold < r->n_gold ? r->gold[ask->gold].n : 0;
    return n == 0 || (n == 1 && !forgets_before);
}

static void add_row(mn__row_look *l, const mn__row *row)
{
    uint64_t h = mn__row_hash(row);
    h = mn__hash64(row->context, strlen(row->context), h);
    for (size_t i = 0; i < row->n_choice; i++)
        h = mn__hash64(row->contexts[i], strlen(row->contexts[i]), h);
    l->hash = mn__hash64(&h, sizeof h, l->hash);
}

mn_status mn__row_look_wants(void *ctx, const mn__deck_unit *u, const mn__row *row, bool *wanted,
                             mn_diag *diag)
{
    mn__row_look *l = ctx;
    mn_diag why = {""};
    mn__ask ask = {0};
    const mn__ask_params ap = {.model = l->model, .n_ctx = l->n_ctx, .max_gold = l->max_gold};
    l->n_row++;
    *wanted = true;
    if (l->leaves_mute) {
        mn_status st = mn__ask_make(&ask, u->ref.task, row, &ap, &why);
        if (st == MN_ENOMEM) return mn__fail(diag, st, "%s", why.text);
        if (st == MN_OK) *wanted = !is_mute(l, &ask);
        mn__ask_free(&ask);
    }
    if (*wanted)
        add_row(l, row);
    else
        l->n_mute++;
    return MN_OK;
}
