/* test_mixer.c: queries, keys and values of all origins against differences; sizes that cannot
 * be. */
#include "layer/mixer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "socket.h"

static uint64_t selected(void *self)
{
    const socket *s = self;
    const mn__mixer *l = (const mn__mixer *)s->layer;
    return socket_hash(1, l->saved.memory.code, s->s.n_seq * s->s.len * l->memory.n_table);
}

static void check(mn__mixer_sizes sizes, mn__shape s)
{
    mn__mixer l;
    mn_diag diag = {""};
    assert_int_equal(mn__mixer_init(&l, &sizes, &diag), MN_OK);
    socket it = {&l.layer, s, sizes.n_bit ? selected : NULL};
    socket_differ(&it, sizes.width);
}

static void test_dense(void **state)
{
    (void)state;
    check((mn__mixer_sizes){.width = 6,
                            .heads = {2, 2, 4},
                            .rotary = {2, 10000},
                            .has_bias = true,
                            .has_out = true},
          (mn__shape){2, 5});
    check((mn__mixer_sizes){.width = 5,
                            .heads = {4, 2, 4},
                            .rotary = {4, 500},
                            .has_out = true,
                            .has_qk_norm = true,
                            .qk_eps = 1e-5},
          (mn__shape){2, 7});
    check((mn__mixer_sizes){.width = 6, .heads = {2, 1, 3}}, (mn__shape){1, 4});
}

static void test_memory(void **state)
{
    (void)state;
    check((mn__mixer_sizes){.width = 8,
                            .heads = {2, 2, 4},
                            .rotary = {2, 10000},
                            .n_table = 4,
                            .n_bit = 2,
                            .temperature = 1},
          (mn__shape){2, 5});
    check((mn__mixer_sizes){.width = 6,
                            .heads = {2, 1, 2},
                            .n_table = 2,
                            .n_bit = 3,
                            .temperature = 1,
                            .has_out = true,
                            .has_qk_norm = true,
                            .qk_eps = 1e-5},
          (mn__shape){1, 6});
}

/* The other kinds of attention; Performer's own test has its gradients. */
static void test_kinds(void **state)
{
    (void)state;
    check((mn__mixer_sizes){.width = 6,
                            .heads = {2, 1, 4},
                            .kind = MN__MIX_COSFORMER,
                            .context = 9,
                            .eps = 1e-6,
                            .rotary = {2, 10000},
                            .has_out = true},
          (mn__shape){2, 9});
    check(
        (mn__mixer_sizes){
            .width = 8, .heads = {2, 2, 4}, .kind = MN__MIX_LINFORMER, .block = 3, .n_slot = 2},
        (mn__shape){2, 8});
}

static void test_performer(void **state)
{
    (void)state;
    const mn__mixer_sizes sizes = {
        .width = 8, .heads = {2, 2, 4}, .kind = MN__MIX_PERFORMER, .has_out = true};
    mn__mixer l;
    mn__params list = {0};
    mn__real w[512] = {0}, state_of[64] = {0}, before[64];
    assert_int_equal(mn__mixer_init(&l, &sizes, NULL), MN_OK);
    assert_int_equal(l.core.performer.n_feature, 5);
    l.layer.ops->declare(&l.layer, &list, "m");
    assert_true(mn__params_size(&list, false) <= 512 && mn__params_size(&list, true) <= 64);
    mn__params_bind(&list, w, NULL, state_of);
    l.layer.ops->fill(&l.layer, 3);
    memcpy(before, state_of, sizeof before);
    assert_true(before[0] != 0);
    l.layer.ops->fill(&l.layer, 3);
    assert_memory_equal(before, state_of, sizeof before);
    mn__params_fini(&list);
}

static void refused(mn__mixer_sizes sizes, const char *sentence)
{
    mn__mixer l;
    mn_diag diag = {""};
    assert_int_equal(mn__mixer_init(&l, &sizes, &diag), MN_ERANGE);
    if (!strstr(diag.text, sentence)) fail_msg("%s", diag.text);
}

static void test_refused(void **state)
{
    (void)state;
    refused((mn__mixer_sizes){.width = 8, .heads = {3, 2, 4}, .has_out = true},
            "3 query heads over 2");
    refused((mn__mixer_sizes){.width = 8, .heads = {2, 2, 4}, .rotary = {6, 10000}},
            "up to 4 wanted, 6 found");
    refused((mn__mixer_sizes){.width = 10, .heads = {2, 2, 4}}, "2 heads of 4 wanted to make");
    refused((mn__mixer_sizes){.width = 8, .heads = {2, 2, 4}, .n_table = 3, .n_bit = 2},
            "3 x 2, width 8 wanted");
    refused((mn__mixer_sizes){.width = 8, .heads = {2, 2, 4}, .kind = MN__MIX_COSFORMER},
            "cosFormer: the length");
    refused((mn__mixer_sizes){.width = 8, .heads = {2, 2, 4}, .kind = MN__MIX_LINFORMER},
            "blocks of 0 positions");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dense),   cmocka_unit_test(test_memory),
        cmocka_unit_test(test_kinds),   cmocka_unit_test(test_performer),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
