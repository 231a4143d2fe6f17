/* test_grammar.c: what the check lets pass libllama takes without a word, and what it refuses
 * libllama refuses too, or would never come to an end with. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "abc_vocab.h"
#include "base/rng.h"
#include "gguf.h"
#include "llama.h"
#include "mneme/mem.h"
#include "text/grammar.h"

static mn__vocab *vocab;

static int setup(void **state)
{
    mn_diag diag;
    struct gguf_context *meta = abc_vocab_meta();
    (void)state;
    if (mn__vocab_open(&vocab, meta, &diag) != MN_OK) return -1;
    gguf_free(meta);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mn__vocab_close(vocab);
    return 0;
}

/* libllama's own verdict, and how many bytes it wrote to standard error meanwhile. */
static bool llama_takes(const char *text, long *n_said)
{
    FILE *said = tmpfile();
    int kept = dup(STDERR_FILENO);
    assert_true(said != NULL && kept >= 0);
    fflush(stderr);
    dup2(fileno(said), STDERR_FILENO);
    mn__vocab_take_log();
    struct llama_sampler *s = llama_sampler_init_grammar(mn__vocab_llama(vocab), text, "root");
    dup2(kept, STDERR_FILENO);
    close(kept);
    fseek(said, 0, SEEK_END);
    *n_said = ftell(said);
    fclose(said);
    if (s != NULL) llama_sampler_free(s);
    return s != NULL;
}

static const char *const good[] = {
    "root ::= \"a\"",
    "root ::=",
    "# only a remark\nroot ::= \"a\" # and another\n",
    "root ::= \"a\" |\n  \"b\" | \n\n \"c\"\r\nother ::= \"d\"",
    "root ::= [a-z] [^a-z\\]\\-] [-a] [a-] [\\x41-\\u0042\\U00000043]+ . \"\\t\\r\\n\\\\\\\"\\[\\]\"",
    "root ::= (\n \"a\" # inside groups lines may end\n | (\"b\" | ) )* \"c\"?",
    "root ::= a* b\na ::= \"x\" | \"y\" b\nb ::= (\"z\"*)*",
    "root ::= \"a\"{3} \"b\"{2,} \"c\"{0,4} \"d\"{ 1 , 2 } \"e\"{0}",
    "root ::= \"a\" root | \"b\"",
    "root ::= \"\" | [] | \"a\"",
    "root ::= \"caf\xc3\xa9\" [\xc3\xa0-\xc3\xbf]",
    "root ::= <[3]> !<[4]> <|im_end|>",
    "root ::= \"a\"\nroot ::= \"b\"",
    "root ::= \"a\"{2000} | \"c\"{0,5000}",
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        mn_diag diag = {""};
        long n_said;
        if (mn__grammar_check(good[i], vocab, &diag) != MN_OK)
            fail_msg("%s: %s", good[i], diag.text);
        assert_true(llama_takes(good[i], &n_said));
        assert_int_equal(n_said, 0);
    }
}

static void test_bad(void **state)
{
    static const struct {
        const char *text, *say;
    } bad[] = {
        {"", "a rule called 'root' wanted"},
        {"other ::= \"a\"", "a rule called 'root' wanted"},
        {"root ::= \"a\"\n\n x::= y z\ny ::= \"\"", "line 3: no rule is called 'z'"},
        {"root = \"a\"", "line 1: ::= wanted, '= \"a\"' found"},
        {"root ::= \"a\"\n| \"b\"", "line 2: the name of a rule wanted, '| \"b\"' found"},
        {"root ::= \"a", "its closing mark wanted, the end of the text found"},
        {"root ::= [a-", "its closing mark wanted"},
        {"root ::= \"\\q\"", "an escape out of"},
        {"root ::= \"\\x4\"", "a hexadecimal digit wanted, '\"' found"},
        {"root ::= (\"a\" | \"b\"", "an item, | or ) wanted"},
        {"root ::= \"a\")", "an item, | or a new line wanted, ')' found"},
        {"root ::= *", "something to repeat"},
        {"root ::= \"a\" | +", "something to repeat"},
        {"root ::= \"\"?", "something to repeat"},
        {"root ::= \"a\"{0}*", "something to repeat"},
        {"root ::= \"a\"{x}", "a number wanted"},
        {"root ::= \"a\"{1;2}", "} wanted, ';2}' found"},
        {"root ::= \"a\"{2001}", "repetitions: at most 2000"},
        {"root ::= \"a\"{50}{50}", "multiplied out: at most 2000"},
        {"root ::= !\"a\"", "a token in < > wanted"},
        {"root ::= <[999999]>", "a token of the vocabulary wanted"},
        {"root ::= <abc", "a short token in < > wanted"},
        {"root ::= <no such token>", "one token of the vocabulary"},
        {"root ::= root \"a\"", "line 1: rule 'root' comes back to itself"},
        {"root ::= \"b\" | a\na ::= \"c\"? root", "comes back to itself"},
        {"root ::= \"caf\xe9\"", "UTF-8 wanted"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mn_diag diag = {""};
        assert_int_equal(mn__grammar_check(bad[i].text, vocab, &diag), MN_EINPUT);
        if (!strstr(diag.text, bad[i].say))
            fail_msg("'%s' wanted for %s, found: %s", bad[i].say, bad[i].text, diag.text);
        /* what it takes and should not: no text at all is no grammar to it */
        bool takes = !*bad[i].text || strstr(bad[i].text, "<[");
        if (llama_takes(bad[i].text, &(long){0}) != takes) fail_msg("%s", bad[i].text);
    }
}

static void refuse(const char *text, const char *say)
{
    mn_diag diag = {""};
    assert_int_equal(mn__grammar_check(text, vocab, &diag), MN_EINPUT);
    if (!strstr(diag.text, say)) fail_msg("'%s' wanted, found: %s", say, diag.text);
}

/* libllama would recurse, multiply or walk without end on these. */
static void test_endless(void **state)
{
    static char deep[30000], wide[30000];
    (void)state;
    refuse("root ::= \"a\"{3,1}", "at least 3 and at most 1");
    refuse("root ::= a root \"x\" | \"y\"\na ::= b\nb ::= \"\" | \"c\"", "comes back to itself");
    /* closing marks inside a literal close no group */
    size_t n = (size_t)snprintf(deep, sizeof deep, "root ::= \"");
    memset(deep + n, ')', 12000);
    n += 12000;
    n += (size_t)snprintf(deep + n, sizeof deep - n, "\" ");
    memset(deep + n, '(', 12000);
    refuse(deep, "groups inside each other: at most 256");
    n = (size_t)snprintf(wide, sizeof wide, "root ::= \"");
    memset(wide + n, 'a', 20000);
    snprintf(wide + n + 20000, sizeof wide - n - 20000, "\"{1000}");
    refuse(wide, "multiplied out: at most 1048576");
}

/* Grammars with a few bytes changed, cut or doubled: both judges say the same. Left recursion is
 * the one thing that libllama may find where the check does not: it says so to its log. */
static void test_mutants(void **state)
{
    enum { ROUNDS = 20000 };
    static const char bytes[] = "\"[]()|*+?{}<>!.:=\\-^# \nax1,0";
    size_t n_good = 0, n_bad = 0;
    (void)state;
    for (uint64_t round = 0, drawn = 0; round < ROUNDS; round++) {
        char text[512];
        mn_diag diag = {""};
#define DRAW(n) ((size_t)(mn__rng_uniform(11, 1, drawn++, 0) * (double)(n)))
        size_t n = (size_t)snprintf(text, 256, "%s", good[DRAW(sizeof good / sizeof *good)]),
               n_change = 1 + DRAW(3);
        for (size_t k = 0; k < n_change && n > 1; k++) {
            size_t at = DRAW(n), what = DRAW(3);
            if (what == 0) {
                text[at] = bytes[DRAW(sizeof bytes - 1)];
            } else if (what == 1) {
                memmove(text + at, text + at + 1, n-- - at);
            } else {
                memmove(text + at + 1, text + at, ++n - at);
                text[at] = bytes[DRAW(sizeof bytes - 1)];
            }
        }
#undef DRAW
        mn_status st = mn__grammar_check(text, vocab, &diag);
        bool is_ours = strstr(diag.text, "at most") || strstr(diag.text, "UTF-8") ||
                       strstr(diag.text, "comes back") || strstr(diag.text, "in < >") ||
                       strstr(diag.text, "of the vocabulary") || strstr(diag.text, "is called");
        if (st != MN_OK && is_ours) continue; /* we refuse more, or libllama would not end */
        long n_said;
        bool takes = llama_takes(text, &n_said);
        bool is_told = st == MN_OK && strstr(mn__vocab_take_log(), "left recursion") != NULL;
        if ((st == MN_OK && n_said > 0) || (st == MN_OK) != (takes || is_told))
            fail_msg("round %d: %s: '%s'", (int)round, text, diag.text);
        n_good += st == MN_OK;
        n_bad += st != MN_OK;
    }
    assert_true(n_good > 2000 && n_bad > 2000);
}

static void test_memory(void **state)
{
    mn_mem_stats before, after;
    mn_diag diag = {""};
    (void)state;
    mn_mem_get_stats(&before);
    mn_mem_set_limit(before.total_now + 100);
    assert_int_equal(mn__grammar_check(good[0], vocab, &diag), MN_ENOMEM);
    mn_mem_set_limit(0);
    assert_int_equal(mn__grammar_check(good[0], vocab, &diag), MN_OK);
    mn_mem_get_stats(&after);
    assert_int_equal(before.total_now, after.total_now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),    cmocka_unit_test(test_bad),
        cmocka_unit_test(test_endless), cmocka_unit_test(test_mutants),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
