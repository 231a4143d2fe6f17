/* differ.c: central differences of a random projection of a layer's output. */
#include "differ.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"

enum { TEAM = 3, X_STREAM = 1, DY_STREAM = 2, ENTRIES_MAX = 400 };

typedef struct trial {
    const subject *s;
    const mn__params *list;
    double *x, *y, *dy, *dx, *w, *g, *state;
    size_t n_w;
    bool keep, backward;
    uint64_t chosen; /* by the last forward */
} trial;

static double *draw(size_t n, uint64_t seed, uint32_t stream, double scale)
{
    double *x = calloc(n ? n : 1, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n && scale > 0; i++) x[i] = scale * mn__rng_normal(seed, stream, i, 0);
    return x;
}

static void pass(const mn__env *env, void *arg)
{
    trial *t = arg;
    size_t mark = mn__tape_mark(env->tape);
    t->s->forward(t->s->self, env, t->x, t->y, t->keep);
    if (t->s->selected && t->keep && !mn__env_is_dry(env)) t->chosen = t->s->selected(t->s->self);
    if (t->backward) t->s->backward(t->s->self, env, t->dy, t->dx);
    mn__tape_cut(env->tape, mark);
}

/* A planned pass; what it was planned to take is what it takes. */
static void run_planned(trial *t, mn__team *team)
{
    mn__tape tape = {0};
    const mn__env env = {.team = team, .tape = &tape};
    mn_diag diag = {""};
    assert_int_equal(mn__env_plan(&env, pass, t, &diag), MN_OK);
    pass(&env, t);
    assert_int_equal(tape.peak, tape.size);
    mn__tape_fini(&tape);
}

static void run(trial *t, mn__team *team, bool backward)
{
    t->backward = backward;
    t->keep = backward || t->s->selected;
    run_planned(t, team);
}

static double projection(trial *t)
{
    double sum = 0;
    run(t, NULL, false);
    for (size_t i = 0; i < t->s->n_y; i++) sum += t->dy[i] * t->y[i];
    return sum;
}

/* Every entry of a short array, some of a long one. */
static void compare(trial *t, const char *name, double *at, const double *grad, size_t n)
{
    const double h = 1e-5;
    double mean = 0;
    size_t step = n / ENTRIES_MAX + 1, n_skip = 0, n_seen = 0;
    for (size_t i = 0; i < n; i++) mean += fabs(grad[i]) / (double)n;
    if (!(mean > 0)) fail_msg("%s: no gradient at all", name);
    run(t, NULL, false);
    const uint64_t chosen = t->chosen;
    for (size_t i = 0; i < n; i += step, n_seen++) {
        const double keep = at[i];
        at[i] = keep + h;
        double up = projection(t);
        bool moved = t->chosen != chosen;
        at[i] = keep - h;
        double down = projection(t), wanted = (up - down) / (2 * h);
        moved = moved || t->chosen != chosen;
        at[i] = keep;
        n_skip += moved;
        if (!moved && !(fabs(grad[i] - wanted) <= 1e-5 * fmax(fabs(wanted), mean)))
            fail_msg("%s[%zu]: %.12g found, %.12g by differences", name, i, grad[i], wanted);
    }
    if (n_skip * 4 > n_seen) fail_msg("%s: %zu of %zu were skipped", name, n_skip, n_seen);
}

static void same_bits(const char *what, const double *a, const double *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(a + i, b + i, sizeof *a) != 0)
            fail_msg("%s[%zu]: %.17g alone, %.17g by a team", what, i, a[i], b[i]);
}

/* The same pass by a team, into other arrays; and the output when nothing is kept. */
static void compare_team(trial *t)
{
    trial u = *t;
    mn__team *team = mn__team_new(TEAM);
    assert_non_null(team);
    u.y = draw(t->s->n_y, 0, 0, 1);
    u.dx = draw(t->s->n_x, 0, 0, 1);
    u.g = draw(t->n_w, 0, 0, 0);
    mn__params_bind(t->list, t->w, u.g, t->state);
    run(&u, team, true);
    same_bits("output", t->y, u.y, t->s->n_y);
    same_bits("gradient of input", t->dx, u.dx, t->s->n_x);
    same_bits("gradients", t->g, u.g, t->n_w);
    memset(u.y, 0, t->s->n_y * sizeof *u.y);
    u.keep = u.backward = false;
    run_planned(&u, team);
    same_bits("output of inference", t->y, u.y, t->s->n_y);
    mn__params_bind(t->list, t->w, t->g, t->state);
    free(u.y);
    free(u.dx);
    free(u.g);
    mn__team_free(team);
}

/* A second backward adds the same once more. */
static void compare_adding(trial *t)
{
    double *once = draw(t->n_w, 0, 0, 0);
    memcpy(once, t->g, t->n_w * sizeof *once);
    run(t, NULL, true);
    for (size_t i = 0; i < t->n_w; i++)
        if (!(fabs(t->g[i] - 2 * once[i]) <= 1e-12 * (1 + fabs(once[i]))))
            fail_msg("gradient %zu: %g, then %g", i, once[i], t->g[i]);
    memcpy(t->g, once, t->n_w * sizeof *once);
    free(once);
}

void differ(const subject *s, const mn__params *list, uint64_t seed)
{
    assert_int_equal(list->st, MN_OK);
    trial t = {.s = s, .list = list, .n_w = mn__params_size(list, false)};
    size_t n_state = mn__params_size(list, true);
    t.w = draw(t.n_w, seed, 0, 0);
    t.g = draw(t.n_w, seed, 0, 0);
    t.state = draw(n_state, seed, 0, 0);
    t.x = draw(s->n_x, seed, X_STREAM, s->x_scale > 0 ? s->x_scale : 1);
    t.dy = draw(s->n_y, seed, DY_STREAM, 1);
    t.y = draw(s->n_y, 0, 0, 1);
    t.dx = draw(s->n_x, 0, 0, 1);
    mn__params_bind(list, t.w, t.g, t.state);
    mn__params_fill(list, NULL, seed);
    for (size_t i = 0; i < list->n; i++)
        for (size_t j = 0, n = mn__param_size(list->at[i]); list->at[i]->g && j < n; j++)
            list->at[i]->w[j] += 0.5 * mn__rng_normal(seed, (uint32_t)(16 + i), j, 1);
    run(&t, NULL, true);
    compare_team(&t);
    compare_adding(&t);
    compare(&t, "input", t.x, t.dx, s->n_x);
    for (size_t i = 0; i < list->n; i++)
        if (list->at[i]->g)
            compare(&t, list->at[i]->name, list->at[i]->w, list->at[i]->g,
                    mn__param_size(list->at[i]));
    double *all[] = {t.w, t.g, t.state, t.x, t.dy, t.y, t.dx};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}
