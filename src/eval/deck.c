/* deck.c: units, their rows, and the order in which they are dealt (deck.h). */
#include "eval/deck.h"

#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "base/file.h"
#include "base/heap.h"

enum { HASH_SEED = 4, N_PART = 4 }; /* never changed: what was trained on stays apart */

struct mn__deck {
    mn__deck_params p;
    mn__deck_unit *unit;
    size_t n_unit;
    mn__deck_item *item;
    uint64_t n_item, n_bad;
    mn_diag first_bad;
};

mn_eval_split mn__row_split(const mn__row *row)
{
    const char *text = *row->context                        ? row->context
                       : row->n_choice && *row->contexts[0] ? row->contexts[0]
                                                            : row->input;
    uint64_t h = mn__hash64(text, strlen(text), HASH_SEED);
    return h % N_PART == 0 ? MN_EVAL_SPLIT_TRAIN : MN_EVAL_SPLIT_TEST;
}

/* Each depth is a column of a map of its own: cells hold equally many rows. */
static uint64_t count_made(const mn__deck_params *p, size_t n_depth)
{
    if (!n_depth) return p->limit ? p->limit : p->source.n_made;
    return p->limit > UINT64_MAX / n_depth ? UINT64_MAX : n_depth * (p->limit ? p->limit : 1);
}

/* What a task is opened with: of what all are asked for, as much as it knows. */
static mn__source_params source_params(const mn__deck_params *p, const mn__task *task,
                                       size_t length)
{
    mn__source_params sp = p->source;
    sp.length = task->maker ? length : 0;
    if (!sp.length || !task->maker->has_depth) sp.n_depth = 0;
    if (!sp.length || !task->maker->text) sp.text = NULL;
    sp.n_made = count_made(p, sp.n_depth);
    return sp;
}

static mn_status open_unit(mn__deck *d, mn__task_ref ref, size_t length, mn_diag *diag)
{
    const mn__deck_params *p = &d->p;
    const mn__source_params sp = source_params(p, ref.task, length);
    mn__deck_unit *u = &d->unit[d->n_unit++];
    *u = (mn__deck_unit){.ref = ref, .length = sp.length};
    u->n_row = u->length ? sp.n_made : p->limit ? p->limit : UINT64_MAX;
    return mn__source_open(&u->source, ref, &sp, diag);
}

/* ---- what is left of a set ---- */

static mn_status look(const mn__deck_params *p, size_t i, mn_diag *diag)
{
    if (!p->task[i].by_set) return MN_OK; /* opening says it */
    const mn__source_params sp = source_params(p, p->task[i].task, p->n_length ? p->length[0] : 0);
    return mn__source_look(p->task[i], &sp, diag);
}

static bool has_rest(const mn__deck_params *p, const mn__task_set *set)
{
    mn_diag none;
    for (size_t i = 0; i < p->n_task; i++)
        if (p->task[i].set == set && look(p, i, &none) == MN_OK) return true;
    return false;
}

/* Whether task i can be asked; MN_EINPUT where nothing of its set can. */
static mn_status look_at_task(const mn__deck_params *p, size_t i, bool *there, mn_diag *diag)
{
    mn_diag why;
    char text[sizeof why.text + 16];
    *there = look(p, i, &why) == MN_OK;
    if (*there) return MN_OK;
    if (!has_rest(p, p->task[i].set)) return mn__fail(diag, MN_EINPUT, "%s", why.text);
    snprintf(text, sizeof text, "left out: %s", why.text);
    if (p->note) p->note(text, p->ctx);
    return MN_OK;
}

static mn_status open_units(mn__deck *d, mn_diag *diag)
{
    mn_status st = MN_OK;
    const mn__deck_params *p = &d->p;
    size_t n_length = p->n_length ? p->n_length : 1;
    d->unit = mn__alloc_zero(MN_MEM_OTHER, p->n_task * n_length * sizeof *d->unit);
    if (!d->unit) return mn__fail(diag, MN_ENOMEM, "no memory for %zu tasks", p->n_task);
    for (size_t i = 0; i < p->n_task; i++) {
        bool there;
        size_t n = p->task[i].task->maker ? n_length : 1;
        MN_TRY(look_at_task(p, i, &there, diag));
        for (size_t k = 0; there && k < n; k++)
            MN_TRY(open_unit(d, p->task[i], p->n_length ? p->length[k] : 0, diag));
    }
done:
    return st;
}

static mn_status add_row(mn__deck_unit *u, uint64_t row, uint64_t n, size_t *cap, mn_diag *diag)
{
    if (MN__GROW(u->row, n, *cap) != MN_OK)
        return mn__fail(diag, MN_ENOMEM, "no memory for a list of rows");
    u->row[n] = row;
    return MN_OK;
}

static mn_status list_rows(const mn__deck *d, mn__deck_unit *u, mn_diag *diag)
{
    uint64_t n = 0;
    size_t cap = 0;
    bool found = true;
    if (u->length) return MN_OK;
    for (uint64_t i = 0; n < u->n_row; i++) {
        mn__row row = {0};
        mn_status st = mn__source_get(u->source, i, &row, &found, diag);
        bool wanted =
            found && (d->p.split == MN_EVAL_SPLIT_ALL || mn__row_split(&row) == d->p.split);
        mn__row_free(&row);
        if (st == MN_OK && wanted) st = add_row(u, i, n++, &cap, diag);
        if (st != MN_OK) return st;
        if (!found) break;
    }
    u->n_row = n;
    return MN_OK;
}

static void note_bad(mn__deck *d, const mn__source *s)
{
    if (!d->n_bad) mn__fail(&d->first_bad, MN_EINPUT, "%s", mn__source_first_bad(s));
    d->n_bad += mn__source_n_bad(s);
}

static mn_status list_items(mn__deck *d, mn_diag *diag)
{
    uint64_t n = 0, most = 0;
    for (size_t i = 0; i < d->n_unit; i++) {
        mn_status st = list_rows(d, &d->unit[i], diag);
        if (st != MN_OK) return st;
        n += d->unit[i].n_row;
        note_bad(d, d->unit[i].source);
        if (d->unit[i].n_row > most) most = d->unit[i].n_row;
    }
    d->item = mn__alloc_array(MN_MEM_OTHER, n, sizeof *d->item);
    if (!d->item)
        return mn__fail(diag, MN_ENOMEM, "no memory for %llu prompts", (unsigned long long)n);
    for (uint64_t row = 0; row < most; row++)
        for (size_t i = 0; i < d->n_unit; i++)
            if (row < d->unit[i].n_row)
                d->item[d->n_item++] =
                    (mn__deck_item){.unit = i, .row = d->unit[i].row ? d->unit[i].row[row] : row};
    return MN_OK;
}

/* Items whose rows the caller wants stay, in their order. */
static mn_status leave_out(mn__deck *d, mn_diag *diag)
{
    uint64_t n = 0;
    for (uint64_t i = 0; d->p.wants && i < d->n_item; i++) {
        mn__row row = {0};
        bool found = false, wanted = true;
        mn_status st = mn__deck_get_row(d, i, &row, &found, diag);
        if (st == MN_OK && found)
            st = d->p.wants(d->p.ctx, &d->unit[d->item[i].unit], &row, &wanted, diag);
        mn__row_free(&row);
        if (st != MN_OK) return st;
        if (wanted) d->item[n++] = d->item[i];
    }
    if (d->p.wants) d->n_item = n;
    return MN_OK;
}

mn_status mn__deck_open(mn__deck **out, const mn__deck_params *params, mn_diag *diag)
{
    mn_status st;
    *out = NULL;
    mn__deck *d = mn__alloc_zero(MN_MEM_OTHER, sizeof *d);
    if (!d) return mn__fail(diag, MN_ENOMEM, "no memory for a list of prompts");
    d->p = *params;
    MN_TRY(open_units(d, diag));
    MN_TRY(list_items(d, diag));
    MN_TRY(leave_out(d, diag));
    *out = d;
    d = NULL;
done:
    mn__deck_close(d);
    return st;
}

void mn__deck_close(mn__deck *d)
{
    if (!d) return;
    for (size_t i = 0; i < d->n_unit; i++) {
        mn__source_close(d->unit[i].source);
        mn__free(d->unit[i].row);
    }
    mn__free(d->unit);
    mn__free(d->item);
    mn__free(d);
}

size_t mn__deck_n_unit(const mn__deck *d)
{
    return d->n_unit;
}

const mn__deck_unit *mn__deck_get_unit(const mn__deck *d, size_t i)
{
    return &d->unit[i];
}

uint64_t mn__deck_n_item(const mn__deck *d)
{
    return d->n_item;
}

uint64_t mn__deck_n_bad(const mn__deck *d)
{
    return d->n_bad;
}

const char *mn__deck_first_bad(const mn__deck *d)
{
    return d->first_bad.text;
}

mn__deck_item mn__deck_get_item(const mn__deck *d, uint64_t i)
{
    return d->item[i];
}

mn_status mn__deck_get_row(mn__deck *d, uint64_t i, mn__row *out, bool *found, mn_diag *diag)
{
    return mn__source_get(d->unit[d->item[i].unit].source, d->item[i].row, out, found, diag);
}
