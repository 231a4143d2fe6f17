/* train_fixture.h: what tests of trainings share: tiny configs, and sequences that can be learnt.
 */
#ifndef MN_TEST_TRAIN_FIXTURE_H
#define MN_TEST_TRAIN_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/rng.h"
#include "train/loop.h"

/* "section.key=value", or the test fails. */
static inline void set_option(mn__config *c, const char *text)
{
    mn_diag diag = {{0}};
    if (mn__config_override(c, text, &diag) != MN_OK) fail_msg("%s: %s", text, diag.text);
}

/* Checked, or the test fails. */
static inline void finish_config(mn__config *c)
{
    mn_diag diag = {{0}};
    if (mn__config_check(c, &diag) != MN_OK) fail_msg("%s", diag.text);
}

/* A config of any architecture that trains in milliseconds; not checked yet. */
static inline void small_config(mn__config *c, mn__arch_kind arch)
{
    static const char *const options[] = {
        "model.vocab=13",        "model.width=16",  "model.blocks=3",     "model.heads=2",
        "model.hidden=16",       "model.std=0.2",   "experts.n=6",        "experts.inner=8",
        "memory.insert=0:1/0:2", "memory.keys=8",   "memory.key_width=4", "memory.keep=4",
        "memory.share=0.8",      "lookup.bits=4",   "lookup.std=0.1",     "model.mix_block=4",
        "model.mix_slots=2",     "train.batch=2",   "train.length=12",    "train.passes=2",
        "train.steps=30",        "train.rate=1e-2", "train.warmup=0.1",   "train.threads=2",
        "report.valid_rows=5"};
    mn__config_init(c);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) set_option(c, options[i]);
    c->model_arch = (int)arch;
}

/* Counting modulo the vocabulary, by strides that the row chooses: learnt within some steps. */
typedef struct counting {
    mn__row_source source;
    int32_t vocab;
    size_t n_fill; /* rows given so far */
} counting;

static inline mn_status tf_count(mn__row_source *self, size_t step, size_t row, size_t length,
                                 int32_t *out, mn_diag *diag)
{
    counting *s = (counting *)self;
    const uint64_t name = (uint64_t)step * 1000 + row;
    const int32_t first = (int32_t)(mn__rng_uniform(7, 1, name, 0) * s->vocab),
                  stride = 1 + (int32_t)(mn__rng_uniform(7, 2, name, 0) * 2);
    (void)diag;
    for (size_t i = 0; i <= length; i++) out[i] = (first + stride * (int32_t)i) % s->vocab;
    s->n_fill++;
    return MN_OK;
}

static inline void counting_init(counting *s, const mn__config *c)
{
    *s = (counting){{.identity = 42, .fill = tf_count}, (int32_t)c->model_vocab, 0};
}

#endif
