/* metric_fixture.h: tables of outputs with the score that follows by hand. */
#ifndef MN_TEST_METRIC_FIXTURE_H
#define MN_TEST_METRIC_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "eval/metric.h"

/* F of the rouge package, whose 1e-8 keeps 0 / 0 away; and F without it. */
#define ROUGE_F(p, r) (2.0 * ((p) * (r) / ((p) + (r) + 1e-8)))
#define PLAIN_F(p, r) (2.0 * (p) * (r) / ((p) + (r)))

typedef struct mf_case {
    const char *output;
    const char *answers[4]; /* up to the first NULL */
    double want;
} mf_case;

/* Fails the test when the metric does not open. */
static inline mn__metric *mf_open(const char *name, const char *dictionary)
{
    mn__metric *m = NULL;
    mn_diag diag = {""};
    if (mn__metric_open(&m, name, dictionary, &diag) != MN_OK) fail_msg("%s", diag.text);
    return m;
}

static inline mn__gold mf_gold(const mf_case *c)
{
    mn__gold gold = {.answers = c->answers};
    while (gold.n_answer < 4 && c->answers[gold.n_answer]) gold.n_answer++;
    return gold;
}

/* Each row of a table against one metric; gold: classes and question of all rows, may be NULL. */
static inline void mf_table(const char *name, const mn__gold *with, const mf_case *c, size_t n)
{
    mn__metric *m = mf_open(name, NULL);
    for (size_t i = 0; i < n; i++) {
        mn__gold gold = mf_gold(&c[i]);
        double score = -1;
        mn_diag diag = {""};
        if (with) {
            gold.classes = with->classes;
            gold.n_class = with->n_class;
            gold.question = with->question;
        }
        if (mn__metric_score(m, &gold, c[i].output, strlen(c[i].output), &score, &diag) != MN_OK)
            fail_msg("case %zu: %s", i, diag.text);
        if (!(fabs(score - c[i].want) < 1e-12))
            fail_msg("%s, case %zu: '%s' scores %.17g, by hand %.17g", name, i, c[i].output, score,
                     c[i].want);
    }
    mn__metric_close(m);
}

#define MF_TABLE(name, with, cases) mf_table(name, with, cases, sizeof(cases) / sizeof(cases)[0])

/* A gold answer that the metric cannot use: refused, and the sentence holds `words`. */
static inline void mf_refuse(const char *name, const char *output, const char *answer,
                             const char *words)
{
    mn__metric *m = mf_open(name, NULL);
    const mn__gold gold = {.answers = &answer, .n_answer = 1};
    double score = 7;
    mn_diag diag = {""};
    assert_int_equal(mn__metric_score(m, &gold, output, strlen(output), &score, &diag), MN_EINPUT);
    if (!strstr(diag.text, words)) fail_msg("'%s' in: %s", words, diag.text);
    assert_non_null(strstr(diag.text, name));
    assert_true(score == 7);
    mn__metric_close(m);
}

/* Gold answers that the metric can use, whatever it is. */
static inline mn__gold mf_any_gold(const char *name)
{
    static const char *const texts[] = {"text 大学", "B"}, *const numbers[] = {"12"};
    static const char *const paragraph[] = {"Paragraph 1 段落1"}, *const labels[] = {"kitchen"};
    static const char *const orders[] = {"1 0"}, *const verdicts[] = {"True [fact: False]"};
    static const struct {
        const char *name;
        const char *const *answers;
    } of[] = {{"last_number", numbers}, {"math_find", numbers},     {"math_calc", numbers},
              {"babilong", labels},     {"order", orders},          {"true_false", verdicts},
              {"retrieval", paragraph}, {"retrieval_zh", paragraph}};
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++)
        if (strcmp(name, of[i].name) == 0)
            return (mn__gold){.answers = of[i].answers, .n_answer = 1};
    return (mn__gold){texts, 2, texts, 2, "Where?"};
}

#endif
