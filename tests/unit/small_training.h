/* small_training.h: what tests of trainings share: tiny configs, and sequences that can be learnt.
 */
#ifndef TESTS_UNIT_SMALL_TRAINING_H
#define TESTS_UNIT_SMALL_TRAINING_H

#include "train/loop.h"

/* A config of any architecture that trains in milliseconds; not checked yet. */
void small_config(mn__config *c, mn__arch_kind arch);
/* "section.key=value", or the test fails. */
void set_option(mn__config *c, const char *text);
/* Checked, or the test fails. */
void finish_config(mn__config *c);

/* Counting modulo the vocabulary, by strides that the row chooses: learnt within some steps. */
typedef struct counting {
    mn__row_source source;
    int32_t vocab;
    size_t n_fill; /* rows given so far */
} counting;
void counting_init(counting *s, const mn__config *c);

#endif
