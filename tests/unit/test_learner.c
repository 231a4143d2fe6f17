/* test_learner.c: a model of every architecture and every kind of attention: made, and learning. */
#include "train_fixture.h"

static mn_diag diag;

static mn__trainer *begin(const mn__config *c, counting *source)
{
    mn__trainer *t;
    counting_init(source, c);
    if (mn__trainer_new(&t, c, &source->source, &source->source, &diag) != MN_OK)
        fail_msg("arch %d, mixer %d: %s", c->model_arch, c->model_mixer, diag.text);
    return t;
}

/* The validation loss, before and after all steps. */
static void assert_learns(mn__config *c)
{
    counting source;
    double before, after;
    finish_config(c);
    mn__trainer *t = begin(c, &source);
    assert_int_equal(mn__trainer_validate(t, &before, &diag), MN_OK);
    for (size_t i = 0; i < c->train_steps; i++)
        if (mn__trainer_step(t, &diag) != MN_OK) fail_msg("arch %d: %s", c->model_arch, diag.text);
    assert_int_equal(mn__trainer_validate(t, &after, &diag), MN_OK);
    if (!(after < before - 0.15))
        fail_msg("arch %d, mixer %d: a loss of %g, then of %g", c->model_arch, c->model_mixer,
                 before, after);
    mn__trainer_free(t);
}

static void test_architectures(void **state)
{
    static mn__config c;
    (void)state;
    for (mn__arch_kind arch = MN__ARCH_DENSE; arch < MN__ARCH_KINDS; arch++) {
        small_config(&c, arch);
        assert_learns(&c);
    }
}

static void test_mixers(void **state)
{
    static const char *const mixer[] = {"model.mixer=softmax", "model.mixer=performer",
                                        "model.mixer=cosformer", "model.mixer=linformer"};
    static mn__config c;
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        small_config(&c, MN__ARCH_DENSE);
        set_option(&c, mixer[i]);
        assert_learns(&c);
    }
}

/* Options that the table has and the small configs leave alone: each makes another model. */
static void test_options(void **state)
{
    static const struct {
        mn__arch_kind arch;
        const char *option[3];
    } cases[] = {
        {MN__ARCH_DENSE, {"model.parallel=yes", "model.activation=gelu", "model.bias=yes"}},
        {MN__ARCH_DENSE, {"model.tied=no", "model.norm=layer", "model.kv_heads=1"}},
        {MN__ARCH_DENSE, {"model.qk_norm=yes", "model.rotary_share=0.25", "model.out=no"}},
        {MN__ARCH_MOE, {"model.activation=gelu", "experts.renormalise=yes", "train.recompute=yes"}},
        {MN__ARCH_PKM, {"memory.query_norm=batch", "memory.share_values=yes", "memory.heads=1"}},
        {MN__ARCH_PKM, {"memory.query_norm=raw", "memory.key_norm=yes", "memory.insert=full"}},
        {MN__ARCH_PKM, {"memory.insert=no_mem", "train.update=selective", "train.clip=0"}},
        {MN__ARCH_MEMORY_PLUS, {"memory.swilu=no", "memory.value_width=6", "memory.gate=yes"}},
        {MN__ARCH_ULTRAMEM, {"memory.first=paper", "memory.two_quadrant=yes", "memory.rank=3"}},
        {MN__ARCH_ULTRAMEM, {"memory.share_values=yes", "memory.expand=9", "memory.balance=0.01"}},
        {MN__ARCH_ULTRAMEM_V2, {"memory.query=shared", "memory.gelu=yes", "memory.key_expand=2"}},
        {MN__ARCH_ULTRAMEM_V2,
         {"memory.query=published", "memory.first=paper", "memory.pre_width=6"}},
        {MN__ARCH_MEMORYFORMER,
         {"lookup.attention=no", "lookup.score=prob", "lookup.extra_bits=0"}},
        {MN__ARCH_MEMORYFORMER,
         {"model.norm=rms_outside", "train.update=dense", "lookup.std=0.05"}},
        {MN__ARCH_LOOKUP_FFN, {"lookup.projection=bh4", "lookup.bh4_block=4", "lookup.tables=3"}},
    };
    static mn__config c;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        counting source;
        small_config(&c, cases[i].arch);
        finish_config(&c);
        mn__trainer *plain = begin(&c, &source);
        small_config(&c, cases[i].arch);
        for (size_t k = 0; k < 3; k++) set_option(&c, cases[i].option[k]);
        finish_config(&c);
        mn__trainer *other = begin(&c, &source);
        assert_int_equal(mn__trainer_step(plain, &diag), MN_OK);
        assert_int_equal(mn__trainer_step(other, &diag), MN_OK);
        if (plain->learner->n_w == other->learner->n_w && plain->last.loss == other->last.loss &&
            plain->last.norm == other->last.norm)
            fail_msg("case %zu: options change nothing", i);
        mn__trainer_free(plain);
        mn__trainer_free(other);
    }
}

/* What the layers themselves refuse comes out as one sentence. */
static void test_impossible(void **state)
{
    static const struct {
        mn__arch_kind arch;
        const char *option[2], *says;
    } cases[] = {
        {MN__ARCH_ULTRAMEM, {"memory.keep=17", "memory.heads=2"}, "knn"},
        {MN__ARCH_ULTRAMEM, {"memory.cores=3", "memory.heads=2"}, "vdim"},
        {MN__ARCH_ULTRAMEM_V2, {"memory.keys=1", "memory.share=0.1"}, "mem_share_ratio"},
        {MN__ARCH_MEMORY_PLUS, {"memory.keys=65535", "memory.keep=65535"}, "refused"},
        {MN__ARCH_LOOKUP_FFN, {"lookup.projection=bh4", "lookup.bh4_block=6"}, "BH4"},
    };
    static mn__config c;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mn__learner *l = (mn__learner *)&c;
        small_config(&c, cases[i].arch);
        for (size_t k = 0; k < 2; k++) set_option(&c, cases[i].option[k]);
        if (i == 3) set_option(&c, "memory.value_width=1048576");
        finish_config(&c);
        const mn_status st = mn__learner_new(&l, &c, true, NULL, &diag);
        if (st != (i == 3 ? MN_ENOMEM : MN_ERANGE) || !strstr(diag.text, cases[i].says))
            fail_msg("case %zu: %s", i, diag.text);
        assert_null(l);
    }
}

/* Blocks run again make the same gradients. */
static void test_recompute(void **state)
{
    static mn__config c;
    (void)state;
    for (mn__arch_kind arch = MN__ARCH_DENSE; arch < MN__ARCH_KINDS; arch++) {
        counting source;
        small_config(&c, arch);
        finish_config(&c);
        mn__trainer *keep = begin(&c, &source);
        c.train_recompute = true;
        mn__trainer *again = begin(&c, &source);
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(mn__trainer_step(keep, &diag), MN_OK);
            assert_int_equal(mn__trainer_step(again, &diag), MN_OK);
            if (keep->last.loss != again->last.loss || keep->last.aux != again->last.aux ||
                keep->last.norm != again->last.norm)
                fail_msg("arch %d, step %zu: %.17g, %.17g, %.17g kept; %.17g, %.17g, %.17g again",
                         (int)arch, i + 1, keep->last.loss, keep->last.aux, keep->last.norm,
                         again->last.loss, again->last.aux, again->last.norm);
        }
        assert_memory_equal(keep->learner->w, again->learner->w,
                            keep->learner->n_w * sizeof *keep->learner->w);
        mn__trainer_free(keep);
        mn__trainer_free(again);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_architectures), cmocka_unit_test(test_mixers),
        cmocka_unit_test(test_options),       cmocka_unit_test(test_impossible),
        cmocka_unit_test(test_recompute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
