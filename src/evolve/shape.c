/* shape.c: architectures by name (shape.h). */
#include "evolve/shape.h"

#include <stdio.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "base/rng.h"
#include "policy/namm_input.h"
#include "policy/spec.h"

enum { STREAM_DRAW = 0x53484150, AGE_DIM = 8, MLP_WIDTH = 32, SIZE_MOST = 1 << 24 };
enum { WINDOW = 32, HOP = 16 }; /* of a file that looks at no spectrum */
/* Of all queries' attention a quarter is looked at: what it costs to see it, a second product of
 * queries and keys, falls to a quarter too. */
enum { STRIDE = 4 };

/* What is not in the paper's: attention of all queries and of the last ones, of all heads, and of
 * neighbours; what the output makes of a value. */
#define SHARED                                                                                     \
    "age", "recency", "observed", "observed.s", "observed.sp", "w64", "w64.s", "w64.sp", "w16",    \
        "w16.p", "w16.s", "w16.sp", "w16.g", "w16.gp", "row", "row.p", "row.g", "row.gp", "knorm", \
        "vnorm", "onorm", "kdiff", "vdiff"
/* What may be asked for, as the paper has it; where no spectrum is looked at, the interval alone.
 */
#define INTERVAL "update=512"
#define SPECTRUM INTERVAL " window=32 hop=16 gamma=0.99 log=0 scale=raw corrected=0"
#define OPTIONS  "alloc=ada,chunk=0,every=0,recent=16"

typedef struct shape {
    const char *name;
    const char *group[MN__NAMM_INPUTS + 1];
    mn__namm_net net;
    bool by_length, corrected;
    size_t stride; /* 0: 1 */
    double last_bias;
    const char *keys;    /* options of the shape with their defaults */
    const char *options; /* of the policy, which go into the file */
    /* Heads compete for the slots of their layer by the shares of later attention that they expect.
     * No share is below 0: where a threshold decides, it takes the scores themselves. */
    bool ranks;
} shape;

static const shape shapes[] = {
    {.name = "paper",
     .group = {"age", "spectrum"},
     .net = {.head = MN__NAMM_BAM, .hidden = 32, .n_head = 1, .bias = true, .mult = true},
     .last_bias = 0.75,
     .keys = SPECTRUM,
     .options = "rule=threshold"},
    {.name = "paper-additive",
     .group = {"age", "spectrum"},
     .net = {.head = MN__NAMM_BAM, .hidden = 32, .n_head = 1, .bias = true},
     .last_bias = 0.75,
     .keys = SPECTRUM,
     .options = "rule=threshold"},
    {.name = "paper-mlp",
     .group = {"age", "spectrum"},
     .net = {.head = MN__NAMM_MLP, .hidden = MLP_WIDTH, .depth = 2, .bias = true},
     .last_bias = 0.75,
     .keys = SPECTRUM,
     .options = "rule=threshold"},
    {.name = "linear",
     .group = {SHARED},
     .net = {.head = MN__NAMM_LINEAR},
     .by_length = true,
     .corrected = true,
     .stride = STRIDE,
     .keys = INTERVAL,
     .options = OPTIONS,
     .ranks = true},
    {.name = "mlp",
     .group = {SHARED},
     .net = {.head = MN__NAMM_MLP, .hidden = MLP_WIDTH, .depth = 2, .bias = true},
     .by_length = true,
     .corrected = true,
     .stride = STRIDE,
     .keys = INTERVAL,
     .options = OPTIONS,
     .ranks = true},
    {.name = "bam",
     .group = {SHARED},
     .net = {.head = MN__NAMM_BAM, .hidden = 16, .n_head = 1, .bias = true, .mult = true},
     .by_length = true,
     .corrected = true,
     .stride = STRIDE,
     .keys = INTERVAL,
     .options = OPTIONS,
     .ranks = true},
    {.name = "mix",
     .group = {SHARED},
     .net = {.head = MN__NAMM_MIX, .n_part = 4},
     .by_length = true,
     .corrected = true,
     .stride = STRIDE,
     .keys = INTERVAL,
     .options = OPTIONS,
     .ranks = true},
};
enum { N_SHAPE = sizeof shapes / sizeof *shapes };

static const shape *find(const char *name, mn_diag *diag)
{
    const char *names[N_SHAPE + 1] = {0};
    for (size_t i = 0; i < N_SHAPE; i++) {
        if (strcmp(shapes[i].name, name) == 0) return &shapes[i];
        names[i] = shapes[i].name;
    }
    const char *near = mn__nearest(name, names);
    mn__fail(diag, MN_EUSAGE, "unknown shape of a NAMM `%s`%s%s%s", name, near ? ": `" : "",
             near ? near : "", near ? "`?" : "");
    return NULL;
}

/* What was asked for of n's times, the rest being there. */
static mn_status read_times(mn__namm *n, const mn__spec *o, mn_diag *diag)
{
    static const char *const scales[] = {"raw", "n", NULL};
    mn_status st;
    int scale = 0;
    mn__namm_spectrum *s = &n->spectrum;
    MN_TRY(mn__spec_size(o, "update", 0, SIZE_MOST, &n->update, diag));
    if (mn__spec_get(o, "window")) {
        MN_TRY(mn__spec_size(o, "window", 0, SIZE_MOST, &s->window, diag));
        MN_TRY(mn__spec_size(o, "hop", 0, SIZE_MOST, &s->hop, diag));
        MN_TRY(mn__spec_real(o, "gamma", 0, 1, &s->gamma, diag));
        MN_TRY(mn__spec_switch(o, "log", &s->log, diag));
        MN_TRY(mn__spec_word(o, "scale", scales, &scale, diag));
        MN_TRY(mn__spec_switch(o, "corrected", &s->corrected, diag));
        s->by_length = scale != 0;
    }
done:
    return st;
}

static mn_status no_memory(mn_diag *diag)
{
    return mn__fail(diag, MN_ENOMEM, "no memory for a NAMM");
}

/* The shape of the text's name, its options in *o. */
static mn_status read_text(const shape **out, mn__spec *o, const char *text, mn_diag *diag)
{
    mn_status st;
    mn__spec *user = mn__alloc(MN_MEM_OTHER, sizeof *user);
    if (!user) return no_memory(diag);
    MN_TRY(mn__spec_parse(user, "shape", text, true, diag));
    *out = find(user->name, diag);
    if (!*out) {
        st = MN_EUSAGE;
        goto done;
    }
    MN_TRY(mn__spec_lay(o, user, (*out)->keys, diag));
done:
    mn__free(user);
    return st;
}

/* A file's limits. */
static mn_status refuse(const mn__spec *o, mn_diag *diag)
{
    mn__diag_prefix(diag, "shape %s", o->name);
    return MN_EUSAGE;
}

/* All but its numbers. */
static mn_status lay_out(mn__namm *n, const shape *s, const mn__spec *o, mn_diag *diag)
{
    n->spectrum = (mn__namm_spectrum){.window = WINDOW,
                                      .hop = HOP,
                                      .gamma = 0.99,
                                      .by_length = s->by_length,
                                      .corrected = s->corrected};
    n->stride = s->stride ? s->stride : 1;
    n->age_dim = AGE_DIM;
    n->age_base = 50000;
    n->net = s->net;
    mn_status st = read_times(n, o, diag);
    if (st != MN_OK) return st;
    if (mn__namm_times_check(n, diag) != MN_OK) return refuse(o, diag);
    for (; s->group[n->n_group]; n->n_group++) {
        memcpy(n->group[n->n_group], s->group[n->n_group], strlen(s->group[n->n_group]) + 1);
        n->net.n_in += mn__namm_group_dims(n, s->group[n->n_group]);
    }
    return mn__namm_inputs_check(n, diag) == MN_OK ? MN_OK : refuse(o, diag);
}

mn_status mn__shape_new(mn__namm **out, const char *text, bool is_free, mn_diag *diag)
{
    mn_status st = MN_OK;
    char options[80];
    const shape *s = NULL;
    mn__namm *n = mn__alloc_zero(MN_MEM_OTHER, sizeof *n);
    mn__spec *o = mn__alloc(MN_MEM_OTHER, sizeof *o);
    *out = NULL;
    if (!n || !o) MN_TRY(no_memory(diag));
    MN_TRY(read_text(&s, o, text, diag));
    MN_TRY(lay_out(n, s, o, diag));
    const size_t n_param = mn__namm_net_params(&n->net);
    snprintf(options, sizeof options, "%s%s", s->ranks && !is_free ? "scale=share," : "",
             s->options);
    n->options = mn__strdup(options);
    n->param = mn__alloc_zero(MN_MEM_OTHER, n_param * sizeof(float));
    n->mean = mn__alloc_zero(MN_MEM_OTHER, n->net.n_in * sizeof(float));
    n->deviation = mn__alloc_zero(MN_MEM_OTHER, n->net.n_in * sizeof(float));
    if (!n->options || !n->param || !n->mean || !n->deviation) MN_TRY(no_memory(diag));
    for (size_t c = 0; c < n->net.n_in; c++) n->deviation[c] = 1;
    n->param[n_param - 1] = (float)s->last_bias;
    *out = n;
    n = NULL;
done:
    mn__free(o);
    mn__namm_free(n);
    return st;
}

void mn__shape_draw(mn__namm *namm, double sigma, uint64_t seed)
{
    const mn__namm_net *net = &namm->net;
    const size_t last = net->head == MN__NAMM_MIX ? net->n_part : 1,
                 n = mn__namm_net_params(net) - last;
    for (size_t i = 0; i < n; i++)
        namm->param[i] = (float)(sigma * mn__rng_normal(seed, STREAM_DRAW, i, 0));
}

void mn__shape_fixed(const mn__namm *namm, uint8_t *fixed)
{
    size_t at = 0;
    for (size_t g = 0; g < namm->n_group; g++) {
        const size_t n = mn__namm_group_dims(namm, namm->group[g]);
        const bool is_fixed = !strcmp(namm->group[g], "age") || !strcmp(namm->group[g], "recency");
        memset(fixed + at, is_fixed, n);
        at += n;
    }
}
