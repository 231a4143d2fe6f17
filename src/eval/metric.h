/* metric.h: how near an answer comes to the gold ones. Each metric follows the script of the
 * benchmark that it belongs to, quirks included; docs/metrics.md lists them. */
#ifndef MN_EVAL_METRIC_H
#define MN_EVAL_METRIC_H

#include <stdbool.h>
#include <stddef.h>

#include "mneme/status.h"

enum { MN__METRIC_TEXT_MAX = 1 << 20 }; /* bytes of an output or a gold answer */

/* What a row of a set says about the right answer. Borrowed strings in UTF-8. */
typedef struct mn__gold {
    const char *const *answers; /* [n_answer], at least one */
    size_t n_answer;
    const char *const *classes; /* [n_class] all_classes; none: 0 */
    size_t n_class;
    const char *question; /* babilong leaves out what it names; may be NULL */
} mn__gold;

typedef struct mn__metric_info {
    const char *name;    /* as in dataset2metric.json where that has it */
    const char *meaning; /* one line; the score is in 0..1, 1 the best */
    const char *source;  /* whose script it follows */
    bool all_answers;    /* looks at all gold answers together; else the best over them counts */
} mn__metric_info;

typedef struct mn__metric mn__metric;

size_t mn__metric_count(void);
const mn__metric_info *mn__metric_at(size_t i); /* i < count */

/* dictionary: folder for the metrics over Chinese words (jieba's data) or Japanese morphemes (a
 * MeCab dictionary); NULL: where the Debian package puts it. MN_EUSAGE: no such metric, with the
 * nearest name. MN_EINPUT: the dictionary is missing or damaged. MN_ENOMEM. */
mn_status mn__metric_open(mn__metric **out, const char *name, const char *dictionary,
                          mn_diag *diag);
void mn__metric_close(mn__metric *m); /* NULL is fine */

/* Score output[n_output], any bytes (broken UTF-8 counts as U+FFFD), against the gold answers.
 * Several threads may use one metric. MN_EINPUT: no gold answer, or one that is not what the metric
 * needs (a number, a class). MN_ERANGE: a text over MN__METRIC_TEXT_MAX, or too long to compare.
 * MN_ENOMEM. */
mn_status mn__metric_score(const mn__metric *m, const mn__gold *gold, const char *output,
                           size_t n_output, double *score, mn_diag *diag);

#endif
