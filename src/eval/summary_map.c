/* summary_map.c: tables with two axes: needles by depth and length, kept tokens by layer and head.
 */
#include "eval/summary_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"

/* Values that stand on an axis as they are; with more of them neighbours share a cell. */
enum { MAX_STEPS = 15, TENTHS = 10 };

static mn_status no_memory(mn_diag *diag)
{
    return mn__fail(diag, MN_ENOMEM, "no memory for the maps of a store");
}

/* ---- needles ---- */

struct axis {
    double value[MAX_STEPS]; /* rising; all that occur, when there are few */
    size_t n;                /* more than MAX_STEPS: too many */
};

static void note_value(struct axis *a, double v)
{
    size_t at = 0;
    if (a->n > MAX_STEPS) return;
    while (at < a->n && a->value[at] < v) at++;
    if (at < a->n && a->value[at] == v) return;
    if (++a->n > MAX_STEPS) return;
    memmove(a->value + at + 1, a->value + at, (a->n - 1 - at) * sizeof *a->value);
    a->value[at] = v;
}

/* The cell of a depth: itself, or the middle of the tenth that holds it. */
static double depth_cell(const struct axis *a, double v)
{
    return a->n <= MAX_STEPS ? v : (fmin(floor(v * TENTHS), TENTHS - 1) + 0.5) / TENTHS;
}

/* The cell of a length: itself, or the power of two that holds it. */
static double length_cell(const struct axis *a, double v)
{
    return a->n <= MAX_STEPS ? v : exp2(ceil(log2(v)));
}

static double length_of(const mn__sheet_prompt *p)
{
    return p->length > 0 ? p->length : p->n_token;
}

static bool is_needle(const mn__sheet_prompt *p, size_t task)
{
    return p->task == task && p->depth >= 0 && p->depth <= 1 && length_of(p) > 0;
}

/* Add a score to its cell, among those of this arm and task from `first` on. */
static mn_status add_score(mn__summary *s, size_t *cap, size_t first, const mn__needle_line *like)
{
    for (size_t i = first; i < s->n_needle; i++) {
        mn__needle_line *at = &s->needle[i];
        if (at->depth != like->depth || at->length != like->length) continue;
        at->score += like->score;
        at->n++;
        return MN_OK;
    }
    if (MN__GROW(s->needle, s->n_needle, *cap) != MN_OK) return MN_ENOMEM;
    s->needle[s->n_needle++] = *like;
    return MN_OK;
}

static int by_cell(const void *x, const void *y)
{
    const mn__needle_line *a = x, *b = y;
    if (a->length != b->length) return a->length < b->length ? -1 : 1;
    return (a->depth > b->depth) - (a->depth < b->depth);
}

static mn_status map_needles(mn__summary *s, size_t *cap, const mn__sheet *sheet, size_t first_arm,
                             const size_t at[2], const struct axis axis[2])
{
    size_t arm = at[0], task = at[1], first = s->n_needle;
    for (size_t i = 0; i < sheet->n_prompt; i++) {
        const mn__sheet_prompt *p = &sheet->prompt[i];
        const mn__cell *c = mn__sheet_at(sheet, arm, i);
        if (!c || isnan(c->value[MN__CELL_SCORE]) || !is_needle(p, task)) continue;
        mn__needle_line line = {.arm = first_arm + arm,
                                .task = sheet->task[task].name,
                                .depth = depth_cell(&axis[0], p->depth),
                                .length = length_cell(&axis[1], length_of(p)),
                                .n = 1,
                                .score = c->value[MN__CELL_SCORE]};
        if (add_score(s, cap, first, &line) != MN_OK) return MN_ENOMEM;
    }
    for (size_t i = first; i < s->n_needle; i++) s->needle[i].score /= (double)s->needle[i].n;
    if (s->n_needle > first)
        qsort(s->needle + first, s->n_needle - first, sizeof *s->needle, by_cell);
    return MN_OK;
}

mn_status mn__summary_add_needles(mn__summary *s, size_t *cap, const mn__sheet *sheet,
                                  size_t first_arm, mn_diag *diag)
{
    for (size_t task = 0; task < sheet->n_task; task++) {
        struct axis axis[2] = {{.n = 0}, {.n = 0}}; /* of depths, of lengths */
        for (size_t i = 0; i < sheet->n_prompt; i++) {
            if (!is_needle(&sheet->prompt[i], task)) continue;
            note_value(&axis[0], sheet->prompt[i].depth);
            note_value(&axis[1], length_of(&sheet->prompt[i]));
        }
        for (size_t arm = 0; arm < sheet->n_arm; arm++)
            if (map_needles(s, cap, sheet, first_arm, (size_t[]){arm, task}, axis) != MN_OK)
                return no_memory(diag);
    }
    return MN_OK;
}

/* ---- kept tokens ---- */

mn_status mn__summary_add_kept(mn__summary *s, size_t *cap, const mn__sheet *sheet,
                               size_t first_arm, mn_diag *diag)
{
    for (size_t arm = 0; arm < sheet->n_arm; arm++) {
        const mn__sheet_kept *k = &sheet->arm[arm].kept;
        if (k->n == 0) continue;
        size_t n = k->n_layer * k->n_head;
        double *token = mn__summary_take(s->memory, 2 * n * sizeof *token);
        if (!token || MN__GROW(s->kept, s->n_kept, *cap) != MN_OK) return no_memory(diag);
        for (size_t i = 0; i < n; i++) {
            token[i] = k->token[i] / (double)k->n;
            token[n + i] = k->share[i] / (double)k->n;
        }
        s->kept[s->n_kept++] = (mn__kept_line){.arm = first_arm + arm,
                                               .n = k->n,
                                               .n_layer = k->n_layer,
                                               .n_head = k->n_head,
                                               .token = token,
                                               .share = token + n};
    }
    return MN_OK;
}
