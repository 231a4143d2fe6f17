/* test_metric_edit.c: similarity of code. ratio = 2 M / (both lengths), in whole percent, halves to
 * even; M by matching blocks (code_sim) or by the longest common subsequence (code_sim_lev). */
#include "metric_fixture.h"

static void test_blocks(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"return x", {"return x"}, 1},
        {"return x", {"return y"}, 0.88}, /* 7 of 8: 14 / 16 = 87.5, to the even 88 */
        {"axxxxxxx", {"ayyyyyyy"}, 0.12}, /* 1 of 8: 2 / 16 = 12.5, to the even 12 */
        {"abc", {"xyz"}, 0},
        {"", {"x"}, 0},
        {"x", {""}, 0},
        {"", {""}, 1},             /* two empty lines are equal */
        {"  x", {"x"}, 0.5},       /* indentation counts: 2 / 4 */
        {"abcd", {"abxcd"}, 0.89}, /* ab and cd: 8 / 9 */
        {"aaa", {"abaa"}, 0.57},   /* the longest block aa comes first and leaves
                                      nothing on its left: 4 / 7 */
        {"ab", {"ba"}, 0.5},       /* a or b */
        {"café", {"cafe"}, 0.75},  /* characters, not bytes: 6 / 8 */
        {"中文", {"中国"}, 0.5},
        {"x", {"y", "xz", "x"}, 1}, /* the best gold answer */
        {"\xff", {"\uFFFD"}, 1},    /* broken UTF-8 */
    };
    MF_TABLE("code_sim", NULL, cases);
}

/* The first line without `, # and //. */
static void test_lines(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"x = 1\ny = 2", {"x = 1"}, 1},
        {"\n\nx = 1\ny", {"x = 1"}, 1}, /* line feeds in front go */
        {" \nx = 1", {"x = 1"}, 0.33},  /* a line of one space is the first: 2 / 6 */
        {"# comment\n// more\nx = 1", {"x = 1"}, 1},
        {"```python\nx = 1\n```", {"x = 1"}, 1},
        {"x = 1  # one\ny = 2", {"y = 2"}, 1},     /* a comment behind code drops the line too */
        {"url = 'http://a'\ny = 2", {"y = 2"}, 1}, /* and so does // in a text */
        {"# only\n# comments", {"x"}, 0},
        {"# only\n# comments", {""}, 1}, /* no line is the empty one */
        {"a / b", {"a / b"}, 1},         /* one slash is none */
        {"x = 1\r\ny", {"x = 1"}, 0.91}, /* the carriage return stays: 10 / 11 */
    };
    MF_TABLE("code_sim", NULL, cases);
    MF_TABLE("code_sim_lev", NULL, cases);
}

static void test_subsequence(void **state)
{
    (void)state;
    static const mf_case cases[] = {
        {"return x", {"return y"}, 0.88},
        {"abcd", {"abxcd"}, 0.89},
        {"aaa", {"abaa"}, 0.86}, /* all three: 6 / 7 */
        {"ab", {"ba"}, 0.5},
        {"", {"x"}, 0},
        {"", {""}, 1},
    };
    MF_TABLE("code_sim_lev", NULL, cases);
}

/* From 200 characters of the gold line on, a character that is more than 1% (and 1) of it begins no
 * block; blocks only grow over it. */
static void test_popular(void **state)
{
    (void)state;
    char output[102], aligned[101], gold[201], shorter[200];
    memset(output, 'a', 101);
    output[0] = 'b';
    output[101] = '\0';
    memset(aligned, 'a', 100);
    aligned[100] = '\0';
    memset(gold, 'a', 200);
    gold[200] = '\0';
    memset(shorter, 'a', 199);
    shorter[199] = '\0';
    const mf_case blocks[] = {
        {output, {gold}, 0},       /* no block begins, and none grows from b against a */
        {aligned, {gold}, 0.67},   /* the empty block in front grows: 200 / 300 */
        {output, {shorter}, 0.67}, /* 199 characters: nothing is popular, 200 / 300 */
    };
    MF_TABLE("code_sim", NULL, blocks);
    const mf_case subsequence[] = {{output, {gold}, 0.66}}; /* 200 / 301 */
    MF_TABLE("code_sim_lev", NULL, subsequence);
}

/* ---- against the rule spelled out ---- */

static bool popular(const char *b, char c)
{
    size_t n = strlen(b), count = 0;
    for (size_t i = 0; i < n; i++) count += b[i] == c;
    return n >= 200 && count > n / 100 + 1;
}

/* Of the longest blocks without popular characters the first in a, then in b; grown over them. M is
 * its length and what lies left and right of it. */
static size_t matching(const char *a, size_t a_lo, size_t a_hi, const char *b, size_t b_lo,
                       size_t b_hi)
{
    size_t i = a_lo, j = b_lo, n = 0;
    for (size_t p = a_lo; p < a_hi; p++) {
        for (size_t q = b_lo; q < b_hi; q++) {
            size_t k = 0;
            while (p + k < a_hi && q + k < b_hi && a[p + k] == b[q + k] && !popular(b, a[p + k]))
                k++;
            if (k > n) {
                i = p;
                j = q;
                n = k;
            }
        }
    }
    for (; i > a_lo && j > b_lo && a[i - 1] == b[j - 1]; n++) {
        i--;
        j--;
    }
    while (i + n < a_hi && j + n < b_hi && a[i + n] == b[j + n]) n++;
    if (n == 0) return 0;
    return n + matching(a, a_lo, i, b, b_lo, j) + matching(a, i + n, a_hi, b, j + n, b_hi);
}

static void make_line(char *s, size_t n, unsigned n_letter, uint32_t *x)
{
    for (size_t i = 0; i < n; i++) {
        *x = *x * 1664525 + 1013904223;
        s[i] = (char)('0' + (*x >> 16) % n_letter);
    }
    s[n] = '\0';
}

static void test_rule(void **state)
{
    (void)state;
    static const struct {
        size_t n_a, n_b;
        unsigned n_letter;
    } sizes[] = {{9, 9, 2},      {30, 40, 3},    {60, 50, 8},
                 {100, 210, 70}, {230, 220, 75}, {40, 200, 40}};
    mn__metric *m = mf_open("code_sim", NULL);
    uint32_t x = 7;
    size_t n_part = 0;
    for (size_t k = 0; k < 60; k++) {
        char a[256], b[256];
        size_t n_a = sizes[k % 6].n_a, n_b = sizes[k % 6].n_b;
        make_line(a, n_a, sizes[k % 6].n_letter, &x);
        make_line(b, n_b, sizes[k % 6].n_letter, &x);
        if (k % 2) memcpy(b + n_b / 3, a, n_a / 3);           /* something in common */
        for (char *c = a; *c; c++) *c = *c == '`' ? '!' : *c; /* '0' + 48 */
        for (char *c = b; *c; c++) *c = *c == '`' ? '!' : *c;
        const char *answer = b;
        const mn__gold gold = {.answers = &answer, .n_answer = 1};
        double score, want = 200.0 * (double)matching(a, 0, n_a, b, 0, n_b) / (double)(n_a + n_b);
        assert_int_equal(mn__metric_score(m, &gold, a, n_a, &score, NULL), MN_OK);
        if (fabs(score - rint(want) / 100) > 1e-12) fail_msg("%s | %s: %g, %g", a, b, score, want);
        n_part += score > 0.2 && score < 0.9;
    }
    assert_true(n_part > 30);
    mn__metric_close(m);
}

static void test_too_long(void **state)
{
    (void)state;
    enum { N = 16385 };
    char *line = malloc(N + 1);
    const char *answer = "x";
    const mn__gold gold = {.answers = &answer, .n_answer = 1};
    mn__metric *m = mf_open("code_sim", NULL);
    double score = 7;
    mn_diag diag = {""};
    assert_non_null(line);
    memset(line, 'x', N);
    line[N] = '\0';
    assert_int_equal(mn__metric_score(m, &gold, line, N, &score, &diag), MN_ERANGE);
    assert_non_null(strstr(diag.text, "16384"));
    assert_int_equal(mn__metric_score(m, &gold, line, N - 1, &score, &diag), MN_OK);
    assert_true(score == 0); /* 2 / 16385 */
    mn__metric_close(m);
    free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),      cmocka_unit_test(test_lines),
        cmocka_unit_test(test_subsequence), cmocka_unit_test(test_popular),
        cmocka_unit_test(test_rule),        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
