/* policy_duo.c: learned once per model: heads that look far keep everything, the others only the
 * first and newest tokens. Ref: arXiv 2410.10819.
 *
 *   profile=FILE: one line per layer, one number in [0,1] per KV head (`#` starts a comment)
 *   the best `full` of all heads of full-attention layers are spared (full=auto: as many as the
 *   budget allows); the others keep `sinks` and `recent`, and share what is left
 *
 * Deviations: the number of spared heads may follow the budget.
 * Needs: the file. Cost: none per token, no state. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/diag.h"
#include "base/file.h"
#include "policy/policy_kind.h"

enum { MAX_PROFILE_BYTES = 1 << 24 };

typedef struct duo_scorer {
    mn__scorer scorer;
    double full;    /* share of heads, -1: by the budget */
    size_t n_lane;  /* of full-attention layers */
    uint32_t *rank; /* [n_lane] best first */
    float *gate;    /* [n_lane] */
} duo_scorer;

static void score(const mn__scorer *s, const mn__score_view *v, float *out)
{
    (void)s;
    for (size_t i = 0; i < v->n; i++) out[i] = (float)i;
}

static void release(mn__scorer *s)
{
    duo_scorer *self = (duo_scorer *)s;
    mn__free(self->rank);
    mn__free(self->gate);
    mn__free(self);
}

static const struct mn__scorer_ops ops = {.name = "duo", .score = score, .free = release};

/* One number of a line; false at the line's end. */
static bool next_number(const char **at, const char *end, double *out)
{
    char word[48];
    size_t n = 0;
    while (*at < end && (**at == ' ' || **at == '\t' || **at == '\r')) ++*at;
    while (*at < end && !strchr(" \t\r\n#", **at) && n + 1 < sizeof word) word[n++] = *(*at)++;
    word[n] = 0;
    char *rest;
    *out = n ? strtod(word, &rest) : 0;
    if (n && *rest) *out = NAN;
    return n > 0;
}

static mn_status read_line(duo_scorer *self, const char **at, const char *end,
                           const mn__cache_shape *shape, size_t *line, const char *path,
                           mn_diag *diag)
{
    size_t head = 0;
    for (double x; next_number(at, end, &x); head++) {
        if (!(x >= 0 && x <= 1))
            return mn__fail(diag, MN_EINPUT, "%s: layer %zu, head %zu: a number from 0 to 1 wanted",
                            path, *line, head);
        if (*line < shape->n_layer && head < shape->n_kv_head &&
            (!shape->window || !shape->window[*line]))
            self->gate[self->n_lane++] = (float)x;
    }
    while (*at < end && **at != '\n') ++*at;
    *at += *at < end;
    if (head == 0) return MN_OK;
    if (head != shape->n_kv_head)
        return mn__fail(diag, MN_EINPUT,
                        "%s: layer %zu has %zu numbers, the model has %zu KV heads", path, *line,
                        head, shape->n_kv_head);
    ++*line;
    return MN_OK;
}

/* Lanes by falling gate, earlier first on equal ones. */
static void sort_rank(duo_scorer *self)
{
    for (size_t i = 0; i < self->n_lane; i++) {
        size_t above = 0;
        for (size_t j = 0; j < self->n_lane; j++)
            above += self->gate[j] > self->gate[i] || (self->gate[j] == self->gate[i] && j < i);
        self->rank[above] = (uint32_t)i;
    }
}

static mn_status read_profile(duo_scorer *self, const char *path, const mn__cache_shape *shape,
                              mn_diag *diag)
{
    mn__map map = {0};
    size_t line = 0, n = shape->n_layer * shape->n_kv_head;
    mn_status st;
    self->gate = mn__alloc_array(MN_MEM_POLICY, n, sizeof *self->gate);
    self->rank = mn__alloc_array(MN_MEM_POLICY, n, sizeof *self->rank);
    if (!self->gate || !self->rank)
        return mn__fail(diag, MN_ENOMEM, "out of memory for the profile of %zu heads", n);
    MN_TRY(mn__map_open(&map, path, diag));
    if (map.size > MAX_PROFILE_BYTES) {
        st = mn__fail(diag, MN_EINPUT, "%s: a profile of at most %d bytes wanted, %zu found", path,
                      MAX_PROFILE_BYTES, map.size);
        goto done;
    }
    const char *at = (const char *)map.data, *end = at + map.size;
    while (at < end) MN_TRY(read_line(self, &at, end, shape, &line, path, diag));
    if (line != shape->n_layer)
        st = mn__fail(diag, MN_EINPUT, "%s: %zu lines of numbers, the model has %zu layers", path,
                      line, shape->n_layer);
    else
        sort_rank(self);
done:
    mn__map_close(&map);
    return st;
}

static mn_status make(mn__scorer **out, const mn__spec *s, const mn__cache_shape *shape,
                      mn_diag *diag)
{
    mn_status st = MN_OK;
    const char *path = mn__spec_get(s, "profile");
    duo_scorer *self = mn__alloc_zero(MN_MEM_POLICY, sizeof *self);
    if (!self) return mn__fail(diag, MN_ENOMEM, "out of memory for policy %s", s->name);
    self->scorer.ops = &ops;
    self->full = -1;
    if (strcmp(mn__spec_get(s, "full"), "auto") != 0)
        MN_TRY(mn__spec_real(s, "full", 0, 1, &self->full, diag));
    if (shape && !*path) {
        st = mn__fail(diag, MN_EUSAGE,
                      "policy %s needs profile=FILE: one line per layer, one number per KV head",
                      s->name);
        goto done;
    }
    if (shape) MN_TRY(read_profile(self, path, shape, diag));
    *out = &self->scorer;
    self = NULL;
done:
    if (self) release(&self->scorer);
    return st;
}

static const uint32_t *rank(const mn__scorer *s, double *full)
{
    const duo_scorer *self = (const duo_scorer *)s;
    *full = self->full;
    return self->rank;
}

const mn__policy_kind mn__kind_duo = {.make = make, .rank = rank, .paper = "sinks=64 recent=256"};
