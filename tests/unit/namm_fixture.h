/* namm_fixture.h: NAMMs whose numbers are drawn, in memory or in a file, for the tests of what
 * looks at them. */
#ifndef NAMM_FIXTURE_H
#define NAMM_FIXTURE_H

#include "policy/namm.h"
#include "policy_fixture.h"

enum { NF_PARAMS = 8192, NF_COLUMNS = 128 };

struct nf {
    mn__namm namm;
    float param[NF_PARAMS], mean[NF_COLUMNS], deviation[NF_COLUMNS];
};

/* A linear network over these groups (separated by spaces): window 32, hop 16, update 64. */
static inline void nf_init(struct nf *n, const char *group, double scale)
{
    *n = (struct nf){0};
    n->namm = (mn__namm){.spectrum = {.window = 32, .hop = 16, .gamma = 0.97},
                         .update = 64,
                         .stride = 1,
                         .age_dim = 4,
                         .age_base = 1000,
                         .options = "",
                         .param = n->param,
                         .mean = n->mean,
                         .deviation = n->deviation};
    n->namm.net = (mn__namm_net){.head = MN__NAMM_LINEAR, .bias = true};
    for (const char *at = group; *at;) {
        size_t len = strcspn(at, " ");
        snprintf(n->namm.group[n->namm.n_group], MN__NAMM_NAME, "%.*s", (int)len, at);
        const char *name = n->namm.group[n->namm.n_group++];
        n->namm.net.n_in += strcmp(name, "age") == 0        ? 4
                            : strcmp(name, "spectrum") == 0 ? 17
                            : strcmp(name, "recency") == 0  ? 3
                                                            : 1;
        at += len + (at[len] == ' ');
    }
    assert_true(n->namm.net.n_in <= NF_COLUMNS);
    for (size_t i = 0; i < NF_PARAMS; i++)
        n->param[i] = (float)(scale * mn__rng_normal(17, 3, i, 0));
    for (size_t i = 0; i < NF_COLUMNS; i++) n->deviation[i] = 1;
}

/* The same inputs through attention over the tokens. */
static inline void nf_use_bam(struct nf *n, size_t hidden)
{
    n->namm.net = (mn__namm_net){.head = MN__NAMM_BAM,
                                 .n_in = n->namm.net.n_in,
                                 .hidden = hidden,
                                 .n_head = 1,
                                 .bias = true,
                                 .mult = true};
    assert_true(mn__namm_net_params(&n->namm.net) <= NF_PARAMS);
}

/* A spec that names a file of it: `namm:file=PATH` and more options. Valid up to the next call. */
static inline const char *nf_spec(const struct nf *n, const char *options)
{
    static char spec[1024];
    mn_diag diag = {""};
    const char *path = tiny_model_path("test.namm.gguf");
    if (mn__namm_write(&n->namm, path, &diag) != MN_OK) fail_msg("%s", diag.text);
    snprintf(spec, sizeof spec, "namm:file=%s%s%s", path, *options ? "," : "", options);
    return spec;
}

#endif
