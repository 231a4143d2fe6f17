/* metric_internal.h: what the metrics' files share among themselves. */
#ifndef MN_EVAL_METRIC_INTERNAL_H
#define MN_EVAL_METRIC_INTERNAL_H

#include "eval/metric.h"
#include "eval/piece.h"
#include "eval/words.h"

/* One output before the gold answers. */
typedef struct mn__scoring {
    mn__scratch *scratch;
    const mn__words *words; /* NULL but for metrics over words of a language without spaces */
    const mn__gold *gold;
    mn__piece output;
    const mn__piece *answers; /* [gold->n_answer] */
    mn__piece answer;         /* the one to compare with; metrics over all look at answers */
    const char *name;
    mn_diag *diag;
} mn__scoring;

typedef mn_status mn__metric_fn(const mn__scoring *x, double *score);

#define MN_METRIC(name, function, over, words, meaning, source) mn__metric_fn mn__score_##function;
#include "eval/metrics.def"
#undef MN_METRIC

/* Lower case, without ASCII punctuation, articles made spaces: what SQuAD and LongBench compare. */
mn_status mn__normal_english(mn__scratch *s, mn__piece p, mn__piece *out);
/* Lower case, without ASCII and the listed Chinese punctuation, without spaces. */
mn_status mn__normal_chinese(mn__scratch *s, mn__piece p, mn__piece *out);
bool mn__is_ascii_punctuation(uint32_t c);
bool mn__is_ascii_digit(uint32_t c);
bool mn__in_abcd(mn__piece p); /* a part of "ABCD" as it stands, the empty one too */
/* A..D out of an output by LongBench v2's two patterns, 0: neither is there. */
mn_status mn__choice_stated(mn__scratch *s, mn__piece output, uint32_t *letter);

#endif
