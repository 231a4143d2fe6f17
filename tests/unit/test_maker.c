/* test_maker.c: what holds for every maker of rows: the same row from the same name, as long as
 * fits and never longer, and what is asked for stands where it should. */
#include "maker_fixture.h"

static size_t tokens_of(const mn__task *task, const mn__row *row)
{
    mn__prompt p;
    size_t n = 0;
    mn_diag diag;
    assert_int_equal(mn__prompt_fill(&p, task, row, &diag), MN_OK);
    assert_int_equal(mn__tokens_count(&ef_words, p.text, p.n_byte, &n, &diag), MN_OK);
    mn__prompt_free(&p);
    return n;
}

static void expect_equal(const mn__row *a, const mn__row *b)
{
    assert_string_equal(a->context, b->context);
    assert_string_equal(a->input, b->input);
    assert_string_equal(a->id, b->id);
    assert_int_equal(a->n_answer, b->n_answer);
    for (size_t i = 0; i < a->n_answer; i++) assert_string_equal(a->answers[i], b->answers[i]);
    assert_true(a->depth == b->depth || (isnan(a->depth) && isnan(b->depth)));
}

static void for_each_made(void (*check)(const mn__task *task))
{
    size_t n, n_made = 0;
    const mn__task_set *const *sets = mn__task_list(&n);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < sets[i]->n_task; j++) {
            if (!sets[i]->task[j].maker) continue;
            check(&sets[i]->task[j]);
            n_made++;
        }
    }
    assert_int_equal(n_made, 3 + 13 + 1 + 5 + 1 + 1 + 5);
}

/* Equal for the same task, seed, number, length; another one for each other. */
static void check_same(const mn__task *task)
{
    mn__recipe r = recipe_of(task, 1, 1500), other[3] = {r, r, r};
    mn__row a = make(&r), b = make(&r);
    expect_equal(&a, &b);
    mn__row_free(&b);
    other[0].index = 3;
    other[1].seed = 12;
    other[2].length = 1800;
    for (size_t i = 0; i < 3; i++) {
        b = make(&other[i]);
        assert_string_not_equal(a.context, b.context);
        assert_string_not_equal(a.id, b.id);
        mn__row_free(&b);
    }
    mn__row_free(&a);
}

static void test_same(void **state)
{
    (void)state;
    size_t before = ef_held();
    for_each_made(check_same);
    assert_int_equal(ef_held(), before);
}

/* Bytes of the context that n units make, and whether a prompt of n fits into the length. */
static size_t write_units(const mn__recipe *r, size_t n, bool *fits)
{
    mn__made made = {.depth = NAN};
    mn_diag diag = {""};
    if (r->task->maker->write(r, n, &made, &diag) != MN_OK)
        fail_msg("%s: %s", r->task->name, diag.text);
    const mn__row row = {.context = mn__draft_text(&made.context),
                         .input = mn__draft_text(&made.input)};
    size_t n_byte = made.context.n;
    *fits = tokens_of(r->task, &row) <= r->length;
    mn__draft_free(&made.context);
    mn__draft_free(&made.input);
    mn__draft_free(&made.answers);
    return n_byte;
}

/* Written with one unit more, the row would be too long. */
static void check_most(const mn__recipe *r, const mn__row *row)
{
    const mn__maker *maker = r->task->maker;
    size_t least = maker->n_least, beyond = r->length, n_byte = strlen(row->context);
    bool fits;
    if (maker->n_most && maker->n_most(r) < beyond) beyond = maker->n_most(r) + 1;
    while (beyond - least > 1) {
        size_t n = least + (beyond - least) / 2;
        *(write_units(r, n, &fits) <= n_byte ? &least : &beyond) = n;
    }
    assert_int_equal(write_units(r, least, &fits), n_byte);
    assert_true(fits);
    write_units(r, least + 1, &fits);
    if (fits) fail_msg("%s: %zu units of %zu tokens", r->task->name, least + 1, r->length);
}

static void check_length(const mn__task *task)
{
    static const size_t lengths[] = {700, 1499, 4096, 10000};
    for (size_t i = 0; i < 4; i++) {
        mn__recipe r = recipe_of(task, 5, lengths[i]);
        mn__row row = make(&r);
        size_t n = tokens_of(task, &row);
        assert_int_equal(row.length, n);
        assert_int_equal(row.max_tokens, lengths[i]);
        if (n > lengths[i] || n + 120 < lengths[i]) /* a unit, here, has at most 120 tokens */
            fail_msg("%s: %zu tokens of %zu", task->name, n, lengths[i]);
        if (i < 2) check_most(&r, &row);
        mn__row_free(&row);
    }
}

static void test_length(void **state)
{
    (void)state;
    for_each_made(check_length);
}

static void check_answer(const mn__task *task)
{
    bool asked_before = strcmp(task->name, "ruler_cwe") == 0; /* in its example */
    for (uint64_t i = 0; i < 12; i++) {
        mn__recipe r = recipe_of(task, i, 2000);
        mn__row row = make(&r);
        assert_true(row.n_answer >= 1);
        assert_string_equal(row.dataset, task->name);
        for (size_t k = 0; k < row.n_answer; k++) {
            if (task->asks == MN__ASKS_TEXT) /* what follows in the text, blank included */
                assert_non_null(strstr(text.text, row.answers[k] + 1));
            else if (strcmp(row.answers[k], "it") != 0 && !strstr(row.context, row.answers[k]))
                fail_msg("%s: no `%s` in the context", task->name, row.answers[k]);
        }
        assert_true(isnan(row.depth) || (row.depth >= 0 && row.depth <= 1));
        assert_true(asked_before || !*row.input || !strstr(row.context, row.input));
        mn__row_free(&row);
    }
}

static void test_answer(void **state)
{
    (void)state;
    for_each_made(check_answer);
}

/* Where the first answer begins, as a share of the context, is the depth, up to the needle itself
 * and a unit of filling. */
static void check_depth(const mn__task *task)
{
    if (!task->maker->has_depth) return;
    for (int i = 0; i <= 4; i++) {
        mn__recipe r = recipe_of(task, (uint64_t)i, 6000);
        r.depth = i / 4.0;
        mn__row row = make(&r);
        size_t n = strlen(row.context);
        double at = (double)(strstr(row.context, row.answers[0]) - row.context) / (double)n;
        assert_true(row.depth == r.depth); /* rows of one cell say the same */
        if (fabs(at - r.depth) > 0.03)
            fail_msg("%s: depth %g, found at %g", task->name, r.depth, at);
        mn__row_free(&row);
    }
}

static void test_depth(void **state)
{
    (void)state;
    for_each_made(check_depth);
}

/* A longer row has the same needles. */
static void check_needles_stay(const mn__task *task)
{
    if (!task->maker->has_depth) return;
    mn__recipe r = recipe_of(task, 2, 1000), longer = recipe_of(task, 2, 5000);
    mn__row a = make(&r), b = make(&longer);
    assert_string_equal(a.input, b.input);
    for (size_t i = 0; i < a.n_answer; i++) assert_string_equal(a.answers[i], b.answers[i]);
    mn__row_free(&a);
    mn__row_free(&b);
}

static void test_needles_stay(void **state)
{
    (void)state;
    for_each_made(check_needles_stay);
}

static void check_too_short(const mn__task *task)
{
    mn__recipe r = recipe_of(task, 0, 2);
    mn__row row = {0};
    mn_diag diag = {""};
    size_t before = ef_held();
    assert_int_equal(mn__make_row(&row, &r, &ef_words, &diag), MN_ERANGE);
    assert_non_null(strstr(diag.text, "a prompt of at most 2 tokens wanted, the shortest has"));
    assert_null(row.block);
    assert_int_equal(ef_held(), before);
}

static void test_too_short(void **state)
{
    (void)state;
    for_each_made(check_too_short);
}

/* A text or files that are used up before the prompt is long enough. */
static void expect_used_up(const mn__recipe *r, const char *words)
{
    mn__row row = {0};
    mn_diag diag = {""};
    size_t before = ef_held();
    assert_int_equal(mn__make_row(&row, r, &ef_words, &diag), MN_ERANGE);
    if (!strstr(diag.text, words)) fail_msg("`%s` lacks `%s`", diag.text, words);
    assert_null(row.block);
    assert_int_equal(ef_held(), before);
}

static void test_used_up(void **state)
{
    (void)state;
    mn__recipe r = recipe_of(task_named("lm_books"), 0, 50000);
    expect_used_up(&r, "task lm_books: a prompt of 50000 tokens wanted, what there is to fill it");
    r = recipe_of(task_named("ruler_qa_2"), 1, 2000);
    r.n_stock = 60;
    expect_used_up(&r, "task ruler_qa_2: a prompt of 2000 tokens wanted, what there is");
}

static void check_no_memory(const mn__task *task)
{
    mn__recipe r = recipe_of(task, 0, 1500);
    mn_status st = MN_ENOMEM;
    size_t before = ef_held(), n_refused = 0;
    for (size_t limit = before + 100; st == MN_ENOMEM; limit += 1000 + (limit - before) / 8) {
        mn__row row = {0};
        mn_diag diag = {""};
        mn_mem_set_limit(limit);
        st = mn__make_row(&row, &r, &ef_words, &diag);
        mn_mem_set_limit(0);
        n_refused += st == MN_ENOMEM;
        mn__row_free(&row);
        assert_int_equal(ef_held(), before);
    }
    assert_int_equal(st, MN_OK);
    assert_true(n_refused > 0);
}

static void test_no_memory(void **state)
{
    (void)state;
    for_each_made(check_no_memory);
}

/* How often a prompt is written and counted for one row. */
static void test_cost(void **state)
{
    (void)state;
    size_t n_call = 0;
    const mn__tokens counted = {.encode = ef_encode_words, .ctx = &n_call};
    mn__recipe r = recipe_of(task_named("infinitebench_passkey"), 0, 200000);
    mn__row row;
    mn_diag diag;
    assert_int_equal(mn__make_row(&row, &r, &counted, &diag), MN_OK);
    assert_true(row.length <= 200000 && row.length > 199970);
    assert_in_range(n_call, 3, 12);
    mn__row_free(&row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same),         cmocka_unit_test(test_length),
        cmocka_unit_test(test_answer),       cmocka_unit_test(test_depth),
        cmocka_unit_test(test_needles_stay), cmocka_unit_test(test_too_short),
        cmocka_unit_test(test_used_up),      cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_cost),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
