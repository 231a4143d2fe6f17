/* test_insertion.c: the grammar; memories that overlap, against differences of a chain of blocks
 * and against the sum written out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "layer/dense_ffn.h"
#include "layer/memory_socket.h"
#include "differ.h"

static void check_text(const char *text, size_t n, const uint32_t (*want)[2])
{
    mn__insertions found;
    mn_diag diag = {""};
    if (mn__insertions_parse(text, 6, &found, &diag) != MN_OK) fail_msg("%s", diag.text);
    assert_int_equal(found.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(found.at[i].from, want[i][0]);
        assert_int_equal(found.at[i].to, want[i][1]);
    }
}

static void test_grammar(void **state)
{
    (void)state;
    check_text("no_mem", 0, NULL);
    check_text("full", 6, (const uint32_t[][2]){{0, 0}, {1, 1}, {2, 2}, {3, 3}, {4, 4}, {5, 5}});
    check_text("2:5", 1, (const uint32_t[][2]){{2, 5}});
    check_text("0:1/2:2", 2, (const uint32_t[][2]){{0, 1}, {2, 2}});
    check_text("3:5/0:4/0:4", 3, (const uint32_t[][2]){{3, 5}, {0, 4}, {0, 4}});
}

static void test_refused(void **state)
{
    static const char *const texts[] =
        {"",         "full/1:1", "1",    "1:",  ":1",   "1:2/",         "/1:2",
         "1:2//3:3", "1:2,3:4",  "-1:2", "a:b", "1:2 ", "1:9999999999", "FULL"},
                             *const ranges[] = {"2:1", "0:6", "6:6", "0:0/5:7"};
    mn__insertions found = {.n = 77};
    mn_diag diag;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (mn__insertions_parse(texts[i], 6, &found, &diag) != MN_EINPUT)
            fail_msg("`%s` was read", texts[i]);
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        assert_int_equal(mn__insertions_parse(ranges[i], 6, &found, &diag), MN_ERANGE);
    assert_non_null(strstr(diag.text, "I <= J < 6 blocks wanted, 5:7 found"));
    assert_int_equal(mn__insertions_parse("full", MN__INSERTIONS_MAX + 1, &found, &diag),
                     MN_ERANGE);
    assert_int_equal(found.n, 77);
}

/* Three feed-forward layers in a chain, x + ffn(x), with memories that are such layers too. */
enum { BLOCKS = 3, MEMORIES = 4, WIDTH = 5, HIDDEN = 7, N = 6 };
typedef struct chain {
    mn__dense_ffn ffn[BLOCKS], memory[MEMORIES];
    mn__memory_socket socket[BLOCKS];
    mn__memories memories;
    mn__real *x[BLOCKS + 1];
    bool again; /* run each block again before its backward */
} chain;

static void one_block(chain *c, const mn__env *env, size_t i, mn__real *y, bool keep)
{
    mn__layer *l = &c->socket[i].layer;
    const mn__shape s = {1, N};
    l->ops->forward(l, env, s, c->x[i], y, keep);
    if (!mn__env_is_dry(env))
        for (size_t k = 0; k < N * WIDTH; k++) y[k] += c->x[i][k];
}

static void forward(void *self, const mn__env *env, const mn__real *x, mn__real *y, bool keep)
{
    chain *c = self;
    mn__memories_begin(&c->memories, env, N, WIDTH, true);
    for (size_t i = 0; i <= BLOCKS; i++) c->x[i] = mn__take_reals(env, N * WIDTH);
    if (!mn__env_is_dry(env)) memcpy(c->x[0], x, N * WIDTH * sizeof *x);
    for (size_t i = 0; i < BLOCKS; i++) one_block(c, env, i, c->x[i + 1], keep && !c->again);
    if (!mn__env_is_dry(env)) memcpy(y, c->x[BLOCKS], N * WIDTH * sizeof *y);
}

static void backward(void *self, const mn__env *env, const mn__real *dy, mn__real *dx)
{
    chain *c = self;
    const mn__shape s = {1, N};
    mn__real *from = mn__take_reals(env, N * WIDTH), *to = mn__take_reals(env, N * WIDTH);
    if (!mn__env_is_dry(env)) memcpy(from, dy, N * WIDTH * sizeof *dy);
    for (size_t i = BLOCKS; i-- > 0;) {
        size_t mark = mn__tape_mark(env->tape);
        if (c->again) one_block(c, env, i, mn__take_reals(env, N * WIDTH), true);
        c->socket[i].layer.ops->backward(&c->socket[i].layer, env, s, from, to);
        if (!mn__env_is_dry(env))
            for (size_t k = 0; k < N * WIDTH; k++) from[k] += to[k];
        mn__tape_cut(env->tape, mark);
    }
    if (!mn__env_is_dry(env)) memcpy(dx, from, N * WIDTH * sizeof *dx);
}

static void make_chain(chain *c, mn__params *list)
{
    const mn__dense_ffn_sizes sizes = {
        .width = WIDTH, .n_hidden = HIDDEN, .act = MN__ACT_SWIGLU, .std_in = 0.3, .std_out = 0.3};
    mn__insertions at;
    assert_int_equal(mn__insertions_parse("0:2/0:0/1:2/1:1", BLOCKS, &at, NULL), MN_OK);
    memset(c, 0, sizeof *c);
    memcpy(c->memories.prefix, "mem", 4);
    c->memories.n = at.n;
    for (size_t k = 0; k < MEMORIES; k++) {
        mn__dense_ffn_init(&c->memory[k], &sizes);
        c->memories.slot[k] = (mn__memory_slot){.memory = &c->memory[k].layer, .at = at.at[k]};
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        mn__dense_ffn_init(&c->ffn[i], &sizes);
        mn__memory_socket_init(&c->socket[i], &c->ffn[i].layer, i, &c->memories);
        c->socket[i].layer.ops->declare(&c->socket[i].layer, list,
                                        (const char *const[]){"b0", "b1", "b2"}[i]);
    }
}

static void test_overlap(void **state)
{
    (void)state;
    for (int again = 0; again < 2; again++) {
        chain c;
        mn__params list = {0};
        make_chain(&c, &list);
        c.again = again;
        assert_non_null(mn__params_find(&list, "mem.2.up.weight"));
        assert_non_null(mn__params_find(&list, "b1.gate.weight"));
        const subject s = {&c, N * WIDTH, N * WIDTH, forward, backward, NULL, 0};
        differ(&s, &list, 21 + (uint64_t)again);
        mn__params_fini(&list);
    }
}

static void add(mn__dense_ffn *l, const mn__env *env, const mn__real *x, mn__real *y)
{
    mn__real more[N * WIDTH];
    l->layer.ops->forward(&l->layer, env, (mn__shape){1, N}, x, more, false);
    for (size_t k = 0; k < N * WIDTH; k++) y[k] += more[k];
}

static void test_sum(void **state)
{
    static mn__real w[2048], g[2048];
    mn__real x[BLOCKS + 1][N * WIDTH], y[N * WIDTH];
    chain c;
    mn__params list = {0};
    mn__tape tape = {0};
    const mn__env env = {.tape = &tape};
    (void)state;
    make_chain(&c, &list);
    assert_true(mn__params_size(&list, false) <= 2048);
    assert_int_equal(mn__tape_reserve(&tape, 1 << 16), MN_OK);
    mn__params_bind(&list, w, g, NULL);
    mn__params_fill(&list, NULL, 2);
    for (size_t k = 0; k < N * WIDTH; k++) x[0][k] = sin((double)k);
    forward(&c, &env, x[0], y, false);
    for (size_t i = 0; i < BLOCKS; i++) {
        memcpy(x[i + 1], x[i], sizeof x[i]);
        add(&c.ffn[i], &env, x[i], x[i + 1]);
        for (size_t k = 0; k < MEMORIES; k++)
            if (c.memories.slot[k].at.to == i)
                add(&c.memory[k], &env, x[c.memories.slot[k].at.from], x[i + 1]);
    }
    for (size_t k = 0; k < N * WIDTH; k++) assert_true(fabs(x[BLOCKS][k] - y[k]) < 1e-12);
    mn__params_fini(&list);
    mn__tape_fini(&tape);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grammar),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_sum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
