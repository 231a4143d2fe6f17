/* describe_namm.c: what a NAMM file holds (mneme/inspect.h). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "infer/describe.h"
#include "policy/namm.h"

static const char *yes_no(bool x)
{
    return x ? "yes" : "no";
}

static void tell_net(const mn__teller *t, const mn__namm_net *net)
{
    static const char *const heads[] = {"linear", "MLP", "BAM", "mix"};
    mn__tell(t, "namm", "head", "%s", heads[net->head]);
    if (net->head == MN__NAMM_MLP) mn__tell(t, "namm", "layers", "%zu", net->depth);
    if (net->hidden) mn__tell(t, "namm", "hidden channels", "%zu", net->hidden);
    if (net->head == MN__NAMM_BAM) {
        mn__tell(t, "namm", "attention heads", "%zu", net->n_head);
        mn__tell(t, "namm", "residual", "%s", net->mult ? "gated" : "additive");
    } else if (net->head == MN__NAMM_MLP && net->depth > 1) {
        mn__tell(t, "namm", "residual", "first layer %s, middle layers %s",
                 yes_no(net->residual_first), yes_no(net->residual));
    }
    if (net->head == MN__NAMM_MIX) mn__tell(t, "namm", "components", "%zu", net->n_part);
    if (net->head == MN__NAMM_MLP || net->head == MN__NAMM_BAM)
        mn__tell(t, "namm", "biases", "%s", yes_no(net->bias));
}

static void tell_inputs(const mn__teller *t, const mn__namm *m)
{
    char names[MN__NAMM_INPUTS * (MN__NAMM_NAME + 2)] = "";
    const mn__namm_spectrum *s = &m->spectrum;
    size_t at = 0;
    for (size_t i = 0; i < m->n_group; i++)
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", i ? ", " : "", m->group[i]);
    mn__tell(t, "namm", "inputs", "%s", names);
    mn__tell(t, "namm", "columns", "%zu", m->net.n_in);
    mn__tell(t, "namm", "window", "%zu tokens", s->window);
    mn__tell(t, "namm", "hop", "%zu tokens", s->hop);
    mn__tell(t, "namm", "gamma", "%.12g per token", s->gamma);
    mn__tell(t, "namm", "update", "every %zu tokens", m->update);
    mn__tell(t, "namm", "observed queries", m->stride > 1 ? "32 of every %zu" : "all",
             m->stride * 32);
    mn__tell(t, "namm", "attention times length", "%s", yes_no(s->by_length));
    mn__tell(t, "namm", "log of magnitudes", "%s", yes_no(s->log));
    mn__tell(t, "namm", "average corrected", "%s", yes_no(s->corrected));
    mn__tell(t, "namm", "age", "%zu dimensions, base %.12g", m->age_dim, m->age_base);
}

/* "N numbers, LEAST to MOST", and how many are NaN. */
static void tell_numbers(const mn__teller *t, const char *name, const float *x, size_t n)
{
    char nan[32] = "", range[64] = "";
    double least = INFINITY, most = -INFINITY;
    size_t n_nan = 0;
    for (size_t i = 0; i < n; i++) {
        n_nan += isnan(x[i]) != 0;
        least = fmin(least, (double)x[i]);
        most = fmax(most, (double)x[i]);
    }
    if (least <= most) snprintf(range, sizeof range, ", %.6g to %.6g", least, most);
    if (n_nan) snprintf(nan, sizeof nan, ", %zu NaN", n_nan);
    mn__tell(t, "namm", name, "%zu numbers%s%s", n, range, nan);
}

mn_status mn__describe_namm(const mn__gguf *g, const mn__teller *t, mn_diag *diag)
{
    mn__namm *m = NULL;
    mn_status st = mn__namm_parse(&m, g, diag);
    if (st != MN_OK) return st;
    mn__tell(t, "file", "format", "NAMM (GGUF), version 1");
    mn__tell(t, "file", "bytes", "%zu", mn__gguf_size(g));
    mn__tell(t, "file", "hash", "%016llx", (unsigned long long)m->hash);
    tell_net(t, &m->net);
    tell_numbers(t, "parameters", m->param, mn__namm_net_params(&m->net));
    tell_inputs(t, m);
    tell_numbers(t, "mean", m->mean, m->net.n_in);
    tell_numbers(t, "deviation", m->deviation, m->net.n_in);
    mn__tell(t, "namm", "policy options", "%s", *m->options ? m->options : "none");
    for (size_t i = 0; i < m->n_note; i++)
        mn__tell(t, "note", m->note[i].key, "%s", m->note[i].value);
    mn__namm_free(m);
    return MN_OK;
}
